#!/bin/bash
# Opens what csp_ext makes for GIS tools with these tools: QGIS without a screen, ogr2ogr, gdal_translate and GeoPandas, as
# Debian has them, and runs the SQL of doc/maps.md. Installs what is missing, works on a private cluster, and leaves the
# drawings in build/test-logs/gis. The last line counts: "N passed, N failed". Exit status 77: the tools cannot be had here.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/common.sh
. tools/private_cluster.sh

packages=(python3-qgis gdal-bin python3-gdal python3-geopandas python3-sqlalchemy python3-psycopg2)
python=/usr/bin/python3
passed=0 failed=0
logs=$PWD/build/test-logs/gis

skip() {
    echo "skipped: $*"
    exit 77
}

has_tools() {
    command -v ogr2ogr gdal_translate >/dev/null && "$python" -c 'import qgis.core, geopandas, sqlalchemy, psycopg2, osgeo' 2>/dev/null
}

# tally NAME LOG STATUS: counts the lines of a test; one that breaks off, or checks nothing, is a failure.
tally() {
    local p f
    p=$(grep -c '^ok ' "$2" || true)
    f=$(grep -c '^not ok ' "$2" || true)
    if [ "$f" -eq 0 ] && { [ "$3" -ne 0 ] || [ "$p" -eq 0 ]; }; then
        echo "$1: ended with status $3 after $p checks, which is a failure" >&2
        f=1
    fi
    passed=$((passed + p)) failed=$((failed + f))
    printf -- '-- %s: %d passed, %d failed (after %d s)\n' "$1" "$p" "$f" "$SECONDS"
}

run_test() {
    local name=$1 log=$logs/$1.log status=0
    shift
    say "$name"
    "$@" >"$log" 2>&1 || status=$?
    grep -vE '^ok ' "$log" || true
    tally "$name" "$log" "$status"
}

# check DESCRIPTION COMMAND...: passes if the command does.
check() {
    local description=$1
    shift
    if "$@"; then echo "ok - $description"; else echo "not ok - $description"; fi
}

# The SQL of a section of doc/maps.md.
section_sql() {
    awk -v title="## $1" '/^## / { inside = $0 == title } /^```/ { sql = inside && $0 == "```sql"; next } sql' doc/maps.md
}

documentation() {
    local section
    export PGOPTIONS="-c client_min_messages=warning"
    for section in Grids Layers Rasters Joins; do
        section_sql "$section" >"$logs/$section.sql"
        check "section $section has SQL" [ -s "$logs/$section.sql" ]
        check "SQL of section $section" psql -Xq -v ON_ERROR_STOP=1 -f "$logs/$section.sql" -o "$logs/$section.out"
    done
}

# A checksum of the layers and rasters of a database, and of what PostGIS says of them.
contents() {
    local table
    {
        for table in prior '"Several Classes"' most_probable prior_raster disc; do
            psql -XAqt -d "$1" -c "SELECT * FROM maps.$table ORDER BY 1"
        done
        psql -XAqt -d "$1" -c "SELECT f_table_name, srid, type FROM geometry_columns WHERE f_table_schema = 'maps' ORDER BY 1" \
            -c "SELECT r_table_name, srid, round(scale_x::numeric, 9), round(scale_y::numeric, 9), num_bands, nodata_values, extent FROM raster_columns WHERE r_table_schema = 'maps' ORDER BY 1"
    } | md5sum
}

# Layers and rasters outlive a dump, and go on.
dump_and_restore() {
    local before
    before=$(contents "$PGDATABASE")
    createdb restored
    pg_dump -Fc -f "$logs/dump"
    check "restored without errors" pg_restore --exit-on-error -d restored "$logs/dump"
    check "the same layers and rasters" [ "$(contents restored)" = "$before" ]
    check "a layer is refreshed" psql -Xq -d restored -v ON_ERROR_STOP=1 -c 'REFRESH MATERIALIZED VIEW CONCURRENTLY maps.prior'
    check "to the same values" [ "$(contents restored)" = "$before" ]
}

command -v apt-get >/dev/null || has_tools || skip "the GIS tools are installed with apt here"
has_tools || { say "installing ${packages[*]}"; tools/install_dependencies.sh "${packages[@]}"; } || skip "the GIS tools cannot be installed"
has_tools || skip "QGIS, GDAL or GeoPandas do not work here"

rm -rf "$logs"
mkdir -p "$logs"
tools/build_and_install.sh all
cluster_start "log_min_messages = warning"
say "sample data, a model, layers and rasters"
psql -XAqt -f test/gis/prepare.sql >/dev/null

export CSP_GIS_OUTPUT=$logs CSP_GIS_STYLES=$PWD/styles PYTHONPATH=test/gis PYTHONDONTWRITEBYTECODE=1
XDG_RUNTIME_DIR=$(mktemp -d) && export XDG_RUNTIME_DIR
for tool in qgis gdal geopandas; do
    run_test "$tool" "$python" "test/gis/${tool}_test.py"
done
run_test "dump and restore" dump_and_restore
run_test documentation documentation
rm -rf "$XDG_RUNTIME_DIR"

say "$("$PG_CONFIG" --version), $SECONDS s, drawings in build/test-logs/gis"
printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]

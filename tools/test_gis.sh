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

# The SQL of a section of doc/maps.md.
section_sql() {
    awk -v title="## $1" '/^## / { inside = $0 == title } /^```/ { sql = inside && $0 == "```sql"; next } sql' doc/maps.md
}

documentation() {
    local section
    export PGOPTIONS="-c client_min_messages=warning"
    for section in Grids Layers Rasters Joins; do
        section_sql "$section" >"$logs/$section.sql"
        if [ -s "$logs/$section.sql" ] && psql -Xq -v ON_ERROR_STOP=1 -f "$logs/$section.sql" -o "$logs/$section.out"; then
            echo "ok - SQL of section $section"
        else
            echo "not ok - SQL of section $section"
        fi
    done
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
run_test documentation documentation
rm -rf "$XDG_RUNTIME_DIR"

say "$("$PG_CONFIG" --version), $SECONDS s, drawings in build/test-logs/gis"
printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]

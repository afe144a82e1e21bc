#!/bin/bash
# examples/webmap in a real browser: installs Node.js and Chromium through apt and the packages of its lock file through npm into a
# scratch directory, trains on the sample data in a private cluster, and has test/webmap/test.mjs look at the map and click on it.
# Where the network does not give these it is skipped, and says so. Writes build/webmap.png.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/common.sh
. tools/private_cluster.sh

skip() {
    echo "skipped: $*"
    exit 0
}

scratch=
server=
cleanup() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    [ -z "$scratch" ] || rm -rf "$scratch"
    cluster_stop
}
trap cleanup EXIT

missing=()
command -v node >/dev/null || missing+=(nodejs)
command -v npm >/dev/null || missing+=(npm)
command -v chromium >/dev/null || missing+=(chromium)
if [ ${#missing[@]} -gt 0 ]; then
    tools/install_dependencies.sh "${missing[@]}" || skip "cannot install ${missing[*]}"
fi
say "node $(node --version), npm $(npm --version), $(chromium --version 2>/dev/null)"
tools/build_and_install.sh

scratch=$(mktemp -d "${TMPDIR:-/tmp}/csp_webmap.XXXXXX")
cp examples/webmap/* test/webmap/* "$scratch/"
(cd "$scratch" && npm ci --no-audit --no-fund --ignore-scripts >npm.log 2>&1) || { tail -n 5 "$scratch/npm.log" >&2; skip "npm cannot install the packages"; }

cluster_start "log_min_messages = fatal"
psql -Xq -v ON_ERROR_STOP=1 >/dev/null <<'SQL'
SET client_min_messages = warning;
CREATE EXTENSION csp_ext CASCADE;
\i data/load.sql
CALL csp_train('places', 'observations', location => 'geom', features => 'features', label => 'label');
-- Where there are observations: the model says nothing of the sea.
CREATE TABLE observed_area AS
SELECT (ST_Dump(ST_Union(ST_Buffer(geom, 2, 4)))).geom::geometry(Polygon, 4326) AS geom FROM observations;
CREATE INDEX ON observed_area USING gist (geom);
SQL

(cd "$scratch" && exec env POINTS=observations MASK=observed_area PORT=0 node server.mjs >server.log 2>&1) &
server=$!
for _ in $(seq 100); do
    grep -q '^http' "$scratch/server.log" 2>/dev/null && break
    kill -0 "$server" 2>/dev/null || { cat "$scratch/server.log" >&2; fail "the server does not start"; }
    sleep 0.1
done

mkdir -p build
status=0
(cd "$scratch" && node test.mjs "$(grep -m 1 '^http' server.log)" webmap.png "$(command -v chromium)") | tee build/webmap.log || status=$?
cp "$scratch/webmap.png" build/ || status=1
[ "$status" -eq 0 ] || cat "$scratch/server.log" >&2
printf '%d passed, %d failed\n' "$(grep -c '^ok ' build/webmap.log)" "$(grep -c '^not ok ' build/webmap.log)"
exit "$status"

#!/bin/bash
# Tiles of a prior, 256 cells each: what pgbench sees with four clients, each a session that asks for tiles here and there at zoom 2
# to 7. Latency in ms, 50th and 99th percentile: computed as they are asked for, and beside that ST_AsMVT over a table that has the
# same cells computed beforehand (zoom 5 only: 262,144 cells). Then the processor time of a tile in one session, which a busy
# machine changes little. Called by bench/run.sh, in its cluster. Argument: seconds a measurement (10).
set -euo pipefail

seconds=${1:-10}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

psql -Xq -v ON_ERROR_STOP=1 <<'SQL'
SET client_min_messages = warning;
CREATE TABLE IF NOT EXISTS tile_cells AS
SELECT x, y, c.id, c.geom, csp_probability(c.location, 'Cf', 'bench') AS probability
FROM generate_series(0, 31) x, generate_series(0, 31) y, csp.tile_cells(5, x, y, 16, NULL, false) c;
CREATE INDEX IF NOT EXISTS tile_cells_xy ON tile_cells (x, y);
ANALYZE tile_cells;
SQL

cat >"$scratch/prior" <<'SQL'
\set z random(2, 7)
\set x random(0, (1 << :z) - 1)
\set y random(0, (1 << :z) - 1)
SELECT csp_prior_tile(:z, :x, :y, '{"model": "bench", "label": "Cf"}');
SQL
sed "s/, \"label\": \"Cf\"//" "$scratch/prior" >"$scratch/class"
sed "s/csp_prior_tile(/csp_prior_tile_etag(/" "$scratch/prior" >"$scratch/etag"
cat >"$scratch/table" <<'SQL'
\set x random(0, 31)
\set y random(0, 31)
SELECT ST_AsMVT(t, 'prior', 4096, 'geom', 'id') FROM (SELECT id, geom, probability FROM tile_cells WHERE x = :x AND y = :y) t;
SQL

# percentiles NAME FILE: of the transactions after each client's first, which loads the model.
percentiles() {
    rm -f "$scratch"/log.*
    (cd "$scratch" && pgbench -n -M prepared -c 4 -j 2 -T "$seconds" -f "$2" -l --log-prefix=log >/dev/null 2>&1)
    awk '$2 > 0 { print $3 / 1000 }' "$scratch"/log.* | sort -n |
        awk -v name="$1" '{ v[NR] = $1 } END { printf "%-42s %8d tiles  50%%: %6.2f ms  99%%: %6.2f ms\n", name, NR,
                                                      v[int(NR * 0.5) + 1], v[int(NR * 0.99) + 1] }'
}
for _ in 1 2 3; do
    percentiles "probability of a class, computed" "$scratch/prior"
    percentiles "most probable class, computed" "$scratch/class"
    percentiles "from a table of cells" "$scratch/table"
    percentiles "the ETag alone" "$scratch/etag"
done

psql -XAtq -v ON_ERROR_STOP=1 <<'SQL'
CREATE FUNCTION pg_temp.seconds() RETURNS float8 LANGUAGE SQL AS $$
    SELECT (f[12]::int + f[13]::int) / 100.0 FROM regexp_split_to_array(regexp_replace(pg_read_file('/proc/self/stat'), '^.*\) ', ''), ' ') f $$;
DO $$
DECLARE query json; started float8;
BEGIN
    FOREACH query IN ARRAY ARRAY['{"label": "Cf"}', '{}', '{"kind": "embedding"}', '{"label": "Cf", "cells": 64}']::json[] LOOP
        PERFORM csp_prior_tile(5, 17, 11, (query::jsonb || '{"model": "bench"}')::json) FROM generate_series(1, 10);
        started := pg_temp.seconds();
        PERFORM csp_prior_tile(5, 17, 11, (query::jsonb || '{"model": "bench"}')::json) FROM generate_series(1, 100);
        RAISE NOTICE 'processor time of a tile: % ms %', round((10 * (pg_temp.seconds() - started))::numeric, 2), query;
    END LOOP;
    started := pg_temp.seconds();
    PERFORM csp_probability(c.location, 'Cf', 'bench') FROM generate_series(1, 100), csp.tile_cells(5, 17, 11, 16, NULL, false) c;
    RAISE NOTICE 'of that, the probability of 256 places: % ms', round((10 * (pg_temp.seconds() - started))::numeric, 2);
END $$;
SQL

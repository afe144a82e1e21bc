-- What EXPLAIN shows of batched execution; then the end of what test batch began.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
\pset format unaligned
\pset tuples_only on
SET search_path = batch, public;
SET jit = off;
SET max_parallel_workers_per_gather = 0;
SET csp.model = 'both';
-- Figures of time and memory are not the same twice.
CREATE FUNCTION explained(query text, options text DEFAULT 'COSTS OFF, VERBOSE') RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE line text;
BEGIN
    FOR line IN EXECUTE format('EXPLAIN (%s) %s', options, query) LOOP
        line := regexp_replace(line, '[0-9.]+( ?(ms|us|s|kB|MB))\M', 'N\1', 'g');
        RETURN NEXT regexp_replace(line, '((Time|Memory)[^:]*: )[0-9.]+$', '\1N', 'gn');
    END LOOP;
END $$;

EXPLAIN (COSTS OFF, VERBOSE) SELECT csp_embed(geom) FROM place;
EXPLAIN (COSTS OFF) SELECT csp_embed(geom) FROM place;
EXPLAIN (COSTS OFF, VERBOSE) SELECT count(csp_embed(geom)) FROM place;
EXPLAIN (COSTS OFF, VERBOSE) SELECT id FROM place WHERE csp_probability(geom, 'north') > 0.4 AND k < 100;
EXPLAIN (COSTS OFF, VERBOSE) SELECT id, (csp_embed(geom))[1], csp_probability(geom, label, 'bands') FROM place WHERE csp_probability(geom, 'north') > 0.4 ORDER BY 2 LIMIT 3;
EXPLAIN (COSTS OFF, VERBOSE) SELECT id, c.* FROM place, csp_classify(geom, 2) c;
EXPLAIN (COSTS OFF) SELECT id, csp_embed(geom) FROM part ORDER BY id;
EXPLAIN (COSTS OFF) UPDATE target SET e = csp_embed(geom);
EXPLAIN (COSTS OFF) INSERT INTO target (id, e) SELECT id, csp_embed(geom) FROM place;
-- Without batches: nothing to batch, switched off, an argument that must be computed row by row.
EXPLAIN (COSTS OFF) SELECT csp_embed('SRID=4326;POINT(1 2)'::geometry);
EXPLAIN (COSTS OFF) SELECT csp_embed(ST_SetSRID(ST_MakePoint(random(), 0), 4326)) FROM place;
SET csp.enable_batch = off;
EXPLAIN (COSTS OFF) SELECT csp_embed(geom) FROM place;
RESET csp.enable_batch;
-- What was done: rows, batches, their time in the encoder.
SELECT explained('SELECT csp_embed(geom) FROM place', 'ANALYZE, VERBOSE, COSTS OFF, SUMMARY OFF, TIMING OFF');
SELECT explained('SELECT csp_embed(geom) FROM place', 'ANALYZE, COSTS OFF, SUMMARY OFF, TIMING OFF');
SELECT explained('SELECT csp_embed(geom) FROM place LIMIT 1', 'ANALYZE, COSTS OFF, SUMMARY OFF, TIMING OFF');
SELECT explained('SELECT csp_embed(geom) FROM place LIMIT 400', 'ANALYZE, COSTS OFF, SUMMARY OFF, TIMING OFF');
SELECT explained('SELECT id FROM place WHERE csp_probability(geom, ''north'') > 2', 'ANALYZE, COSTS OFF, SUMMARY OFF, TIMING OFF');
SET csp.batch_size = 100;
SELECT explained('SELECT csp_embed(geom) FROM place', 'ANALYZE, COSTS OFF, SUMMARY OFF, TIMING OFF');
RESET csp.batch_size;
SET work_mem = '64kB';
SELECT explained('SELECT csp_embed(geom) FROM place', 'ANALYZE, COSTS OFF, SUMMARY OFF, TIMING OFF');
RESET work_mem;
SELECT explained('SELECT csp_embed(geom) FROM place', 'ANALYZE, TIMING, SUMMARY OFF, COSTS OFF, FORMAT YAML');
-- the settings that the plan was made under
SET csp.batch_size = 7;
SELECT bool_or(e ~ 'csp.batch_size = ''7''') AS told FROM explained('SELECT csp_embed(geom) FROM place', 'COSTS OFF, SETTINGS') e;

SET client_min_messages = error;
DROP SCHEMA batch CASCADE;
DROP EXTENSION IF EXISTS file_fdw CASCADE;
DROP EXTENSION IF EXISTS vector CASCADE;
DELETE FROM csp.model_version WHERE model LIKE 'batch %';
DELETE FROM csp.model WHERE name LIKE 'batch %';
DROP OWNED BY csp_test_batch;
DROP ROLE csp_test_batch;

-- Bad input to csp_train: an error before any work, and nothing left behind.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE SEQUENCE places_seq;
CREATE TEMP TABLE before AS SELECT count(*) AS runs FROM csp.runs;

-- unknown things
CALL csp_train('m', 'no_such_table', features => 'features');
\echo :SQLSTATE
CALL csp_train('m', 'places', location => 'nowhere', features => 'features');
\echo :SQLSTATE
CALL csp_train('m', 'places', features => 'no_features');
\echo :SQLSTATE
CALL csp_train('m', 'places', features => 'features', options => '{"epoch": 3}');
\echo :SQLSTATE
CALL csp_train('m', 'places', features => 'features', options => '{"position_encoding": "flat"}');
\echo :SQLSTATE
CALL csp_train('m', 'SELECT * FROM no_such_table', features => 'features');
\echo :SQLSTATE
-- wrong types and values
CALL csp_train('m', 'places', location => 'id', features => 'features');
\echo :SQLSTATE
CALL csp_train('m', 'places', features => 'label');
\echo :SQLSTATE
CALL csp_train('m', 'places', features => 'features', options => '[1]');
\echo :SQLSTATE
CALL csp_train('m', 'places', features => 'features', options => '{"epochs": "many"}');
\echo :SQLSTATE
CALL csp_train('m', 'places', features => 'features', options => '{"epochs": -1}');
\echo :SQLSTATE
CALL csp_train('m', 'places', features => 'features', options => '{"epochs": [1]}');
\echo :SQLSTATE
CALL csp_train('m', 'places', features => 'features', options => '{"epochs": null}');
\echo :SQLSTATE
CALL csp_train('m', 'places', features => 'features', options => '{"dropout": 1e400}');
\echo :SQLSTATE
CALL csp_train('m', 'places', features => 'features', options => '{"min_radius": 10, "max_radius": 1}');
\echo :SQLSTATE
CALL csp_train('m', 'places', features => 'features', options => '{"device": "toaster"}');
\echo :SQLSTATE
CALL csp_train('m', 'places');
\echo :SQLSTATE
CALL csp_train(NULL, 'places', features => 'features');
\echo :SQLSTATE
CALL csp_train('', 'places', features => 'features');
\echo :SQLSTATE
CALL csp_train('a@b', 'places', features => 'features');
\echo :SQLSTATE
CALL csp_train('m', '', features => 'features');
\echo :SQLSTATE
CALL csp_train('m', 'places_seq', features => 'features');
\echo :SQLSTATE
CALL csp_train('m', 'SELECT 1; SELECT 2', features => 'features');
\echo :SQLSTATE
CALL csp_train('m', 'SELECT 1) x; DROP TABLE places; --', features => 'features');
\echo :SQLSTATE
CALL csp_train('m', 'WITH d AS (DELETE FROM places RETURNING *) SELECT * FROM d', features => 'features');
\echo :SQLSTATE
CALL csp_train('m', 'SELECT geom AS a, geom AS b, features FROM places', features => 'features');
\echo :SQLSTATE
CALL csp_train('m', 'SELECT geom, features, features FROM places', features => 'features');
\echo :SQLSTATE
CALL csp_train('m', 'SELECT 1 AS features', features => 'features');
\echo :SQLSTATE
-- where it cannot run
BEGIN;
CALL csp_train('m', 'places', features => 'features');
\echo :SQLSTATE
ROLLBACK;
DO $$ BEGIN EXECUTE 'CALL csp_train(''m'', ''places'', features => ''features'')'; END $$;
\echo :SQLSTATE
SET default_transaction_read_only = on;
CALL csp_train('m', 'places', features => 'features');
\echo :SQLSTATE
RESET default_transaction_read_only;
SELECT before.runs = (SELECT count(*) FROM csp.runs) AS "no run was made" FROM before;

-- what only the rows tell: the run says it, the caller gets it
CALL csp_train('m', 'SELECT geom, CASE WHEN id = 5 THEN features[1:3] ELSE features END AS f FROM places ORDER BY id', features => 'f');
\echo :SQLSTATE
CALL csp_train('m', 'SELECT geom, CASE WHEN id = 5 THEN features || ''NaN''::real ELSE features || 0::real END AS f FROM places ORDER BY id', features => 'f');
\echo :SQLSTATE
CALL csp_train('m', 'SELECT geom, CASE WHEN id = 5 THEN features || ''Infinity''::real ELSE features || 0::real END AS f FROM places ORDER BY id', features => 'f');
\echo :SQLSTATE
CALL csp_train('m', 'SELECT geom, CASE WHEN id = 5 THEN features || NULL::real ELSE features || 0::real END AS f FROM places ORDER BY id', features => 'f');
\echo :SQLSTATE
CALL csp_train('m', 'SELECT geom, ARRAY[features, features] AS f FROM places', features => 'f');
\echo :SQLSTATE
CALL csp_train('m', 'SELECT geom, ''{}''::real[] AS f FROM places', features => 'f');
\echo :SQLSTATE
CALL csp_train('m', 'SELECT ST_SetSRID(geom, 0) AS g, features FROM places', features => 'features');
\echo :SQLSTATE
CALL csp_train('m', 'SELECT ST_SetSRID(geom, 990000) AS g, features FROM places', features => 'features');
\echo :SQLSTATE
CALL csp_train('m', 'SELECT ST_Buffer(geom, 1) AS g, features FROM places', features => 'features');
\echo :SQLSTATE
CALL csp_train('m', 'SELECT ST_Translate(geom, 0, 100) AS g, features FROM places', features => 'features');
\echo :SQLSTATE
CALL csp_train('m', 'SELECT geom, features FROM places LIMIT 1', features => 'features');
\echo :SQLSTATE
CALL csp_train('m', 'SELECT geom, features FROM places LIMIT 0', features => 'features');
\echo :SQLSTATE
CALL csp_train('m', 'SELECT geom, ''one'' AS label FROM places', label => 'label');
\echo :SQLSTATE
CALL csp_train('m', 'SELECT geom, NULL::text AS label FROM places', label => 'label');
\echo :SQLSTATE
CALL csp_train('m', 'SELECT geom, features, 1 / (id - 100) AS label FROM places', features => 'features', label => 'label');
\echo :SQLSTATE
SET csp.training_memory = '1MB';
\set VERBOSITY terse
CALL csp_train('m', 'SELECT geom, array_cat(features, array_fill(0::real, ARRAY[2000])) AS f FROM places', features => 'f');
\echo :SQLSTATE
\set VERBOSITY default
RESET csp.training_memory;
SELECT state, count(*) FROM csp.runs WHERE model = 'm' GROUP BY state;
SELECT count(*) FROM csp.models WHERE name = 'm';
SELECT state, sqlstate, message, detail IS NOT NULL AS detail FROM csp.runs WHERE model = 'm' ORDER BY id LIMIT 1;
SELECT csp_wait(987654);
\echo :SQLSTATE
SELECT csp_cancel(987654);
\echo :SQLSTATE

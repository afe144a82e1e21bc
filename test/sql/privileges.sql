-- Other roles: what they may call, see and not touch.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE ROLE csp_test_trainer LOGIN;
CREATE ROLE csp_test_reader LOGIN;
CREATE ROLE csp_test_nologin NOLOGIN;
GRANT CREATE ON SCHEMA public TO csp_test_trainer;

SET ROLE csp_test_trainer;
CALL csp_train('mine', 'places', features => 'features');          -- not granted
\echo :SQLSTATE
RESET ROLE;
GRANT EXECUTE ON PROCEDURE csp_train TO csp_test_trainer, csp_test_nologin;
SET ROLE csp_test_trainer;
CALL csp_train('mine', 'places', features => 'features');          -- may not read the source
\echo :SQLSTATE
CALL csp_train('mine', 'SELECT * FROM places', features => 'features');
\echo :SQLSTATE
CALL csp_train('both', 'SELECT ST_SetSRID(ST_MakePoint(1, 2), 4326) AS g, ''{1}''::real[] AS f', features => 'f');  -- another's model
\echo :SQLSTATE
RESET ROLE;
GRANT SELECT (geom, features, label) ON places TO csp_test_trainer, csp_test_nologin;
SET ROLE csp_test_nologin;
CALL csp_train('mine', 'places', features => 'features');          -- cannot log in
\echo :SQLSTATE
SET ROLE csp_test_trainer;
-- columns that are granted will do
CALL csp_train('mine', 'places', 'geom', 'features', 'label', '{"pretrain_epochs": 1, "epochs": 1, "embedding_dim": 8}');
\echo :SQLSTATE
SELECT name, owner FROM csp.models;
SELECT model, owner, state FROM csp.runs;
SELECT array_length(csp_embed(geom), 1) FROM places LIMIT 1;       -- the only model that this role sees
SELECT csp_embed(geom, 'both') FROM places LIMIT 1;
\echo :SQLSTATE
UPDATE csp.model SET owner = 'csp_test_reader' WHERE name = 'mine';
\echo :SQLSTATE
DELETE FROM csp.model_weights;
\echo :SQLSTATE
INSERT INTO csp.run (model, owner, source, query, has_features, has_label, options, settings)
VALUES ('x', 'csp_test_trainer', '', '', true, true, '{}', '{}');
\echo :SQLSTATE
SELECT csp_wait((SELECT max(id) FROM csp.runs));
\echo :SQLSTATE

SET ROLE csp_test_reader;
SELECT count(*) FROM csp.models;
SELECT count(*) FROM csp.model_weights;
SELECT count(*) FROM csp.runs;
SELECT csp_embed(ST_SetSRID(ST_MakePoint(0, 0), 4326), 'mine');
\echo :SQLSTATE
RESET ROLE;
GRANT csp_test_trainer TO csp_test_reader;
SET ROLE csp_test_reader;
SELECT array_length(csp_embed(ST_SetSRID(ST_MakePoint(0, 0), 4326), 'mine'), 1);
RESET ROLE;
REVOKE csp_test_trainer FROM csp_test_reader;
SET ROLE csp_test_reader;
SELECT csp_embed(ST_SetSRID(ST_MakePoint(0, 0), 4326), 'mine');
\echo :SQLSTATE
RESET ROLE;

-- A hostile schema in front changes nothing.
CREATE SCHEMA hostile;
CREATE FUNCTION hostile.eq(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE OPERATOR hostile.= (LEFTARG = text, RIGHTARG = text, FUNCTION = hostile.eq);
CREATE TABLE hostile.model AS SELECT 'both'::text AS name;
SET search_path = hostile, pg_catalog, public;
SELECT csp_embed(ST_SetSRID(ST_MakePoint(0, 0), 4326), 'no such model') IS NULL;
\echo :SQLSTATE
RESET search_path;
DROP SCHEMA hostile CASCADE;

-- What CREATE EXTENSION brings, and its rights.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE EXTENSION csp_ext CASCADE;
SET client_min_messages = notice;

-- Loads no torch: the shared objects of this process.
CREATE TABLE maps (line text);
DO $$ BEGIN EXECUTE format('COPY maps FROM %L', '/proc/' || pg_backend_pid() || '/maps'); END $$;
SELECT count(*) FILTER (WHERE line LIKE '%/csp_ext.so%') > 0 AS csp_ext, count(*) FILTER (WHERE line LIKE '%torch%') AS torch
FROM maps;
DROP TABLE maps;

SELECT name FROM csp_info() WHERE name !~ '^device cuda';
SELECT count(*) > 30 AS many, bool_and(description <> '' AND range <> '') AS described FROM csp_options();
SELECT name, published_name, type, range FROM csp_options() WHERE name IN ('temperature_in_batch', 'seed', 'loss', 'layer_norm') ORDER BY 1;

-- House rules of the catalogue: nothing runs with the owner's rights, everything is described,
-- every table but the checkpoints is in the dump, every function that answers from a model is parallel safe.
CREATE VIEW members AS
    SELECT p.* FROM pg_depend d JOIN pg_proc p ON p.oid = d.objid
    WHERE d.classid = 'pg_proc'::regclass AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
      AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'csp_ext');
SELECT proname FROM members WHERE prosecdef;
SELECT oid::regprocedure FROM members WHERE obj_description(oid, 'pg_proc') IS NULL AND proname <> 'catalog_changed';
SELECT oid::regprocedure FROM members WHERE provolatile = 's' AND (proparallel <> 's' OR NOT proisstrict) AND proname NOT IN ('csp_info', 'csp_location_error', 'valid_location')
  AND NOT oid::regprocedure::text ~ '^csp_fuse\(|^csp_(fused_probabilities|classify)\(geo[a-z]*,real\[\]';  -- an image or a place may be missing
SELECT proname, count(*) FROM members GROUP BY proname ORDER BY proname;
SELECT c.oid::regclass FROM pg_class c, pg_extension e
WHERE e.extname = 'csp_ext' AND c.relnamespace = 'csp'::regnamespace AND c.relkind IN ('r', 'S')
  AND NOT c.oid = ANY (e.extconfig);
SELECT c.oid::regclass FROM pg_class c
WHERE c.relnamespace = 'csp'::regnamespace AND c.relkind = 'r' AND NOT c.relrowsecurity;
SELECT oid::regprocedure FROM members WHERE proacl IS NOT NULL ORDER BY 1;
DROP VIEW members;

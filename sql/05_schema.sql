-- The schema of the catalogue, and the search path of this script.
--
-- Whoever may create in the schema that csp_ext goes to can have put functions and operators there that match an expression
-- better than PostgreSQL's own. So what stores expressions (views, policies, functions in SQL) is made with
-- SET LOCAL search_path = pg_catalog, pg_temp; and what is made in that schema, or has PostGIS's types, with this one:
SELECT pg_catalog.set_config('csp_ext.search_path', pg_catalog.current_setting('search_path'), true);

CREATE SCHEMA csp;
COMMENT ON SCHEMA csp IS 'csp_ext: models, training runs and their metrics';
GRANT USAGE ON SCHEMA csp TO PUBLIC;

-- See sql/05_schema.sql.
SELECT pg_catalog.set_config('csp_ext.search_path', pg_catalog.current_setting('search_path'), true);

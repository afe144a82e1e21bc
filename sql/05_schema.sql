-- The schema of the catalogue.

CREATE SCHEMA csp;
COMMENT ON SCHEMA csp IS 'csp_ext: models, training runs and their metrics';
GRANT USAGE ON SCHEMA csp TO PUBLIC;

-- What is installed, and what a training run can be told.

CREATE FUNCTION csp_info() RETURNS TABLE (name text, value text)
    LANGUAGE C VOLATILE ROWS 10 PARALLEL SAFE AS 'MODULE_PATHNAME', 'csp_info';
COMMENT ON FUNCTION csp_info() IS 'versions of csp_ext and of what it was built with, instruction set in use, training library, devices to train on with their memory';

CREATE FUNCTION csp_options() RETURNS TABLE (
    name text, published_name text, type text, default_value text, range text, description text)
    LANGUAGE C IMMUTABLE ROWS 40 PARALLEL SAFE AS 'MODULE_PATHNAME', 'csp_options';
COMMENT ON FUNCTION csp_options() IS
    'options of csp_train; published_name is the name in the CSP and TorchSpatial code, accepted too';

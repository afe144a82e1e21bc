-- Models as files.

CREATE FUNCTION csp_import(model text, file bytea, options jsonb DEFAULT '{}') RETURNS bigint
    LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'csp_import';
COMMENT ON FUNCTION csp_import(text, bytea, jsonb) IS
    'makes a new version of a model from a file, deploys it and returns its id (csp.models.id). file: a PyTorch checkpoint of the CSP or TorchSpatial code, its tensors as safetensors, or what csp_export wrote; nothing in it is executed. options: labels, a list of texts in the order of the classes (default: 0, 1, ...), deploy, false to leave that to csp_deploy, and options of the architecture (see csp_options()), which override what the file says. Errors for a file that is damaged, of another format, or does not fit the configuration';
REVOKE ALL ON FUNCTION csp_import(text, bytea, jsonb) FROM PUBLIC;

CREATE FUNCTION csp_export(model text) RETURNS bytea
    LANGUAGE C STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'csp_export';
COMMENT ON FUNCTION csp_export(text) IS
    'the file of a model: safetensors, with the configuration and the labels in its metadata; csp_import takes it, and Python''s safetensors reads it';

CREATE FUNCTION csp_export() RETURNS bytea
    LANGUAGE C STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'csp_export';
COMMENT ON FUNCTION csp_export() IS
    'the file of the model of the setting csp.model, or of the only model that you can see';

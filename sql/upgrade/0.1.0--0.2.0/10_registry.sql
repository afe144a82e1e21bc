SET LOCAL search_path = pg_catalog, pg_temp;

-- Deployments before the present one, comments, numbers of versions that were dropped.
ALTER TABLE csp.model
    ADD COLUMN earlier bigint[] NOT NULL DEFAULT '{}',
    ADD COLUMN dropped int NOT NULL DEFAULT 0,
    ADD COLUMN comment text;
ALTER TABLE csp.model_version ADD COLUMN comment text;

CREATE OR REPLACE VIEW csp.models WITH (security_invoker = true) AS
    SELECT v.id, m.name, v.version, (m.deployed = v.id) IS TRUE AS deployed, m.owner,
           (v.configuration ->> 'position_encoding') AS position_encoding,
           (v.configuration ->> 'embedding_dim')::int AS embedding_dim,
           (v.configuration ->> 'image_dim')::int AS image_dim,
           (v.configuration ->> 'class_count')::int AS class_count,
           v.metrics, v.configuration, v.options, v.provenance, v.created, m.comment, v.comment AS version_comment
    FROM csp.model m JOIN csp.model_version v ON v.model = m.name;

COMMENT ON FUNCTION @extschema@.csp_import(text, bytea, jsonb) IS
    'makes a new version of a model from a file, deploys it and returns its id (csp.models.id). file: a PyTorch checkpoint of the CSP or TorchSpatial code, its tensors as safetensors, or what csp_export wrote; nothing in it is executed. options: labels, a list of texts in the order of the classes (default: 0, 1, ...), deploy, false to leave that to csp_deploy, and options of the architecture (see csp_options()), which override what the file says. Errors for a file that is damaged, of another format, or does not fit the configuration';

SELECT pg_catalog.set_config('search_path', pg_catalog.current_setting('csp_ext.search_path'), true);

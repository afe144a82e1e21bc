-- csp_export and csp_import, on the models of test train.
\set SHOW_CONTEXT never
SET client_min_messages = warning;

-- what is exported comes back the same, to the bit, as a new name and as a new version
SELECT csp_import('again', csp_export('both')) AS version \gset
SELECT id = :version AS returns_the_version FROM csp.models WHERE name = 'again';
SELECT bool_and(csp_embed(geom, 'again') = csp_embed(geom, 'both')) AS same_embeddings,
       bool_and(csp_probabilities(geom, 'again') = csp_probabilities(geom, 'both')) AS same_probabilities,
       bool_and(csp_similarity(geom, features, 'again') = csp_similarity(geom, features, 'both')) AS same_similarities
FROM places;
SELECT csp_export('again') = csp_export('both') AS same_file;
SELECT a.label = b.label AS same_label, a.rows FROM csp.classes a JOIN csp.classes b USING (class)
WHERE a.model = 'again' AND b.model = 'both' ORDER BY class;
SELECT a.configuration = b.configuration AS same_configuration, a.provenance ->> 'imported_from' AS imported_from
FROM csp.models a, csp.models b WHERE a.name = 'again' AND b.name = 'both';
SELECT csp_import('again', csp_export('bands')) > 0 AS imported;
SELECT version, deployed FROM csp.models WHERE name = 'again' ORDER BY version;
SELECT bool_and(csp_embed(geom, 'again') = csp_embed(geom, 'bands')) AS deployed, bool_and(csp_embed(geom, 'again@1') = csp_embed(geom, 'both')) AS kept FROM places;

-- labels and architecture as options; nothing stays after a rollback
BEGIN;
SELECT csp_import('relabelled', csp_export('both'), jsonb_build_object('labels', jsonb_agg('class ' || class ORDER BY class))) > 0 AS imported
FROM csp.classes WHERE model = 'both';
SELECT label FROM csp.classes WHERE model = 'relabelled' ORDER BY class;
ROLLBACK;
SELECT count(*) FROM csp.models WHERE name = 'relabelled';
SELECT csp_import('other', csp_export('both'), '{"activation": "relu", "published_defects": true}') > 0 AS imported;
SELECT configuration ->> 'activation' AS activation, bool_or(csp_embed(geom, 'other') <> csp_embed(geom, 'both')) AS another_model
FROM csp.models, places WHERE name = 'other' GROUP BY 1;

-- the file is safetensors: eight bytes of length, a JSON header, and as many bytes as the header says
WITH file AS (SELECT csp_export('both') AS f),
     header AS (SELECT f, get_byte(f, 0) + 256 * get_byte(f, 1) + 65536 * get_byte(f, 2) AS n FROM file),
     parsed AS (SELECT f, n, convert_from(substr(f, 9, n), 'UTF8')::jsonb AS h FROM header)
SELECT h -> '__metadata__' ->> 'csp_ext.format' AS format,
       bool_and(t.value ->> 'dtype' = 'F32') FILTER (WHERE t.key <> '__metadata__') AS float32,
       max((t.value -> 'data_offsets' ->> 1)::int) = length(f) - 8 - n AS complete
FROM parsed, jsonb_each(h) t GROUP BY h, f, n;

-- the setting and the only model
SET csp.model = 'both';
SELECT csp_export() = csp_export('both') AS by_setting;
RESET csp.model;
SELECT csp_export(NULL) IS NULL AS strict;

-- errors, after which nothing is stored
SELECT csp_import(NULL, 'x');
\echo :SQLSTATE
SELECT csp_import('bad', NULL);
\echo :SQLSTATE
SELECT csp_import('bad', '');
\echo :SQLSTATE
SELECT csp_import('bad', 'neither one nor the other');
\echo :SQLSTATE
SELECT csp_import('bad', '\x504b0304'::bytea);
\echo :SQLSTATE
SELECT csp_import('bad', '\x80028a0a6cfc9c46f9206aa85019'::bytea);         -- a file of before PyTorch 1.6
\echo :SQLSTATE
SELECT csp_import('bad', substr(csp_export('both'), 1, 5000));
\echo :SQLSTATE
SELECT csp_import('bad', csp_export('both') || '\x00'::bytea);
\echo :SQLSTATE
SELECT csp_import('bad@1', csp_export('both'));
\echo :SQLSTATE
SELECT csp_import('bad', csp_export('both'), '[]');
\echo :SQLSTATE
SELECT csp_import('bad', csp_export('both'), '{"activation": "softplus"}');
\echo :SQLSTATE
SELECT csp_import('bad', csp_export('both'), '{"position_encoding": "gird"}');
\echo :SQLSTATE
SELECT csp_import('bad', csp_export('both'), '{"hidden_dim": 33}');
\echo :SQLSTATE
SELECT csp_import('bad', csp_export('both'), '{"epochs": 3}');
SELECT csp_import('bad', csp_export('both'), '{"image_classifier": false}');  -- the default
\echo :SQLSTATE
SELECT csp_import('bad', csp_export('both'), '{"labels": ["one"]}');
\echo :SQLSTATE
SELECT csp_import('bad', csp_export('both'), '{"labels": "one"}');
\echo :SQLSTATE
SELECT csp_import('bad', csp_export('both'), '{"labels": [1, 2]}');
\echo :SQLSTATE
SELECT csp_import('bad', csp_export('both'), (SELECT jsonb_build_object('labels', jsonb_agg('same'::text)) FROM csp.classes WHERE model = 'both'));
\echo :SQLSTATE
SELECT csp_export('nowhere');
\echo :SQLSTATE
SET default_transaction_read_only = on;
SELECT csp_import('bad', csp_export('both'));
\echo :SQLSTATE
RESET default_transaction_read_only;
SELECT count(*) FROM csp.models WHERE name LIKE 'bad%';

-- rights
CREATE ROLE csp_test_importer;
SET ROLE csp_test_importer;
SELECT csp_import('mine', 'x');
\echo :SQLSTATE
SELECT csp_export('both');
\echo :SQLSTATE
RESET ROLE;
SELECT csp_export('both') AS file \gset
GRANT EXECUTE ON FUNCTION csp_import TO csp_test_importer;
SET ROLE csp_test_importer;
SELECT csp_import('both', :'file');                                        -- another's model
\echo :SQLSTATE
SELECT csp_import('mine', :'file') > 0 AS imported;
SELECT name, owner FROM csp.models;
SELECT array_length(csp_embed(ST_SetSRID(ST_MakePoint(12.5, 41.9), 4326)), 1) AS dim;
RESET ROLE;
DELETE FROM csp.model_version WHERE model IN ('mine', 'again', 'other');
DELETE FROM csp.model WHERE name IN ('mine', 'again', 'other');
REVOKE ALL ON FUNCTION csp_import FROM csp_test_importer;
DROP ROLE csp_test_importer;

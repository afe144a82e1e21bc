-- Features beyond csp.training_memory are read from a temporary file, and give the same model.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE TABLE wide AS
SELECT i AS id, ST_SetSRID(ST_MakePoint(i * 7 % 360 - 180, i * 11 % 160 - 80), 4326) AS geom,
       ARRAY(SELECT sin(i * k / 50.0)::real FROM generate_series(1, 512) k) AS features,
       CASE WHEN i * 11 % 160 > 80 THEN 'north' ELSE 'south' END AS label
FROM generate_series(1, 3000) i;
\set options '"hidden_dim": 16, "embedding_dim": 8, "frequencies": 4, "batch_size": 64, "fine_tune_batch_size": 64, "pretrain_epochs": 2, "epochs": 1, "weight_contrastive": 0.5'

-- In memory; then with half of the room that the features take.
\o /dev/null
SELECT format('CALL csp_train(%L, ''wide'', ''geom'', ''features'', ''label'', %L)', 'memory_' || s, format('{"feature_storage": "%s", %s}', s, :'options'))
FROM unnest('{float32,float16,bfloat16}'::text[]) s \gexec
SELECT memory_estimate / 1024 - 2900 AS limit FROM csp.runs WHERE model = 'memory_float32' \gset
SET csp.training_memory = :limit;
CALL csp_train('file_float32', 'wide', 'geom', 'features', 'label', (format('{%s}', :'options'))::jsonb);
SELECT memory_estimate / 1024 - 1450 AS limit FROM csp.runs WHERE model = 'memory_float16' \gset
SET csp.training_memory = :limit;
SELECT format('CALL csp_train(%L, ''wide'', ''geom'', ''features'', ''label'', %L)', 'file_' || s, format('{"feature_storage": "%s", %s}', s, :'options'))
FROM unnest('{float16,bfloat16}'::text[]) s \gexec
\o
SELECT r.model, r.state, r.streamed_bytes, r.memory_estimate <= :limit * 1024::bigint AS below_last_limit, r.memory_peak >= r.memory AS peak
FROM csp.runs r WHERE r.model ~ '^(memory|file)_' ORDER BY r.id;
SELECT s, csp_export('memory_' || s) = csp_export('file_' || s) AS same, csp_export('memory_' || s) = csp_export('memory_float32') AS as_float32
FROM unnest('{float32,float16,bfloat16}'::text[]) s ORDER BY s;
-- 16 bits hardly change what is learned.
SELECT s, abs(m.loss / f.loss - 1) < 0.01 AS same_loss
FROM unnest('{float16,bfloat16}'::text[]) s, csp.metrics m, csp.metrics f
WHERE m.model = 'memory_' || s AND f.model = 'memory_float32' AND (m.stage, m.epoch) = (f.stage, f.epoch) AND m.stage = 'pretraining' AND m.epoch = 2 ORDER BY s;

-- A view is executed once, however often its rows are used.
CREATE SEQUENCE executed;
CREATE VIEW wide_once AS SELECT geom, features, label, nextval('executed') AS n FROM wide;
\o /dev/null
CALL csp_train('once', 'SELECT geom, features, label FROM wide_once WHERE n > 0', 'geom', 'features', 'label', (format('{%s, "feature_storage": "float16"}', :'options'))::jsonb);
\o
SELECT last_value FROM executed;
SELECT streamed_bytes > 0 AS streamed, csp_export('once') = csp_export('file_float16') AS same FROM csp.runs WHERE model = 'once';

-- What does not fit even so.
SET csp.training_memory = '1MB';
CALL csp_train('too_wide', 'wide', 'geom', 'features', 'label', (format('{%s}', :'options'))::jsonb);
SELECT state, sqlstate, regexp_replace(detail, '[0-9]+ MB', 'N MB') AS detail, hint FROM csp.runs WHERE model = 'too_wide';
RESET csp.training_memory;

-- Values that 16 bits cannot hold.
\set VERBOSITY default
CALL csp_train('too_wide', 'SELECT geom, CASE WHEN id = 2 THEN features || ''{65520}'' ELSE features || ''{65519}'' END AS f FROM wide ORDER BY id', features => 'f', options => '{"feature_storage": "float16"}');
\echo :SQLSTATE
CALL csp_train('too_wide', 'SELECT geom, CASE WHEN id = 2 THEN features || ''{-3.4e38}'' ELSE features || ''{1}'' END AS f FROM wide ORDER BY id', features => 'f', options => '{"feature_storage": "bfloat16"}');
\echo :SQLSTATE
CALL csp_train('too_wide', 'wide', features => 'features', options => '{"feature_storage": "float8"}');
\echo :SQLSTATE
CALL csp_train('too_wide', 'wide', features => 'features', options => '{"shuffle": "none"}');
\echo :SQLSTATE
DROP VIEW wide_once;
DROP SEQUENCE executed;
DROP TABLE wide;

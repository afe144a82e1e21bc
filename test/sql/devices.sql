-- Where runs compute, deterministic runs, and a model whose labels no stage has trained on.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
\set tiny '{"seed": 7, "pretrain_epochs": 1, "epochs": 1, "embedding_dim": 8}'
SELECT value ~ '^\d+ cores?, \d+\.\d GB of memory, \d+\.\d GB available$' AS cpu FROM csp_info() WHERE name = 'device cpu';

-- The setting is the default of the option, which wins.
SET csp.device = 'cpu';
CALL csp_train('device', 'places', 'geom', 'features', 'label', :'tiny') \gset
SET csp.device = 'cuda:99';
CALL csp_train('device', 'places', 'geom', 'features', 'label', '{"seed": 7, "pretrain_epochs": 1, "epochs": 1, "embedding_dim": 8, "device": "cpu", "deterministic": true}') \gset
SELECT version, options ->> 'device' AS option, options ->> 'deterministic' AS deterministic, provenance ->> 'device' AS device
FROM csp.models WHERE name = 'device' ORDER BY version;
SELECT csp_embed(geom, 'device@1') = csp_embed(geom, 'device@2') AS same FROM places LIMIT 1;

-- A device that is not there.
\set VERBOSITY terse
CALL csp_train('device', 'places', features => 'features');
\echo :SQLSTATE
RESET csp.device;
CALL csp_train('device', 'places', features => 'features', options => '{"device": "cuda:98"}');
\echo :SQLSTATE
SET csp.device = 'toaster';
\echo :SQLSTATE
SET csp.device = 'cuda:';
\echo :SQLSTATE
\set VERBOSITY default
SHOW csp.device;
SELECT count(*) FROM csp.runs WHERE model = 'device';

-- Too little memory: the batch size that the hint names fits.
SET csp.training_memory = '64MB';
\set VERBOSITY terse
CALL csp_train('batch', 'places', 'geom', 'features', options => '{"pretrain_epochs": 1, "batch_size": 60000, "embedding_dim": 8, "negatives": 64}') \gset
\echo :SQLSTATE
SELECT state, hint ~ '^Raise csp.training_memory, or train on fewer rows\. By estimate batch_size of \d+ would have fitted\.$' AS hint,
       jsonb_build_object('pretrain_epochs', 1, 'embedding_dim', 8, 'negatives', 64, 'batch_size', substring(hint FROM 'batch_size of (\d+)')::int) AS fits
FROM csp.runs WHERE model = 'batch' \gset
\echo :state :hint
\set VERBOSITY default
CALL csp_train('batch', 'places', 'geom', 'features', options => :'fits') \gset
SELECT state FROM csp.runs WHERE model = 'batch' ORDER BY id;
RESET csp.training_memory;

-- Labels that no stage trains on: a model without classes.
CALL csp_train('no classes', 'places', 'geom', 'features', 'label', '{"pretrain_epochs": 1, "epochs": 0, "embedding_dim": 8}') \gset
SELECT array_length(csp_embed(geom, 'no classes'), 1) FROM places LIMIT 1;
SELECT count(*) FROM csp.classes WHERE model = 'no classes';

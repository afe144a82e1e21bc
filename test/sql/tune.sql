-- csp_tune: what it refuses, which trials it draws, which it deploys.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
\set small '{"pretrain_epochs": 1, "epochs": 2, "embedding_dim": 8, "frequencies": 8, "batch_size": 64}'
CREATE TEMP TABLE before AS SELECT (SELECT count(*) FROM csp.runs) AS runs, (SELECT count(*) FROM csp.searches) AS searches;

-- Search spaces that cannot be.
CREATE PROCEDURE refused(search jsonb, options jsonb DEFAULT '{}') LANGUAGE plpgsql AS $$
DECLARE
    id bigint;
BEGIN
    CALL csp_tune('t', 'places', 'geom', 'features', 'label', search, options => options, search_id => id);
END $$;
CALL refused(NULL);
CALL refused('[1]');
CALL refused('{}');
\set VERBOSITY terse
CALL refused('{"learning_rat": [0.1]}');
CALL refused('{"dropout": [0.1]}', '{"learning_rat": 0.2}');
\set VERBOSITY default
CALL refused('{"learning_rate": []}');
CALL refused('{"learning_rate": 0.1}');
CALL refused('{"learning_rate": [0.1, "fast"]}');
CALL refused('{"learning_rate": [0.1, 100]}');
CALL refused('{"learning_rate": [0.1, 1e400]}');
CALL refused('{"learning_rate": {"min": 0.1}}');
CALL refused('{"learning_rate": {"min": 0.1, "max": 0.01}}');
CALL refused('{"learning_rate": {"min": 0.1, "max": 1, "scale": "quadratic"}}');
CALL refused('{"learning_rate": {"min": 0.1, "max": 1, "steps": 3}}');
CALL refused('{"dropout": {"min": 0, "max": 0.5, "scale": "log"}}');
CALL refused('{"hidden_dim": {"min": 1.5, "max": 8}}');
CALL refused('{"activation": {"min": "gelu", "max": "relu"}}');
CALL refused('{"observed_at": ["a", "b"]}');
CALL refused('{"seed": [1, 2]}');
CALL refused('{"lr": [0.1], "learning_rate": [0.2]}');
CALL refused('{"lr": [0.1]}', '{"learning_rate": 0.2}');
-- Trials that cannot be compared, or all of which are no options.
CALL refused('{"dropout": [0.1]}', '{"validation_fraction": 0}');
CALL refused('{"epochs": [0]}');
CALL refused('{"min_radius": [10, 20], "max_radius": [1]}');
DROP PROCEDURE refused;
CALL csp_tune('t', 'places', label => 'label', search => '{"loss": ["full_loss", "cross_entropy"]}', metric => 'validation_loss');
CALL csp_tune('t', 'places', features => 'features', search => '{"batch_size": [32, 64]}');
CALL csp_tune('t', 'places', features => 'features', search => '{"dropout": [0.1]}', metric => 'validation_top1');
CALL csp_tune('t', 'places', label => 'label', search => '{"dropout": [0.1]}', options => '{"epochs": 0}');
-- Other arguments.
CALL csp_tune('t', 'places', label => 'label', search => '{"dropout": [0.1]}', metric => 'loss');
CALL csp_tune('t', 'places', label => 'label', search => '{"dropout": [0.1]}', method => 'grid');
CALL csp_tune('t', 'places', label => 'label', search => '{"dropout": [0.1]}', trials => 0);
CALL csp_tune('t', 'places', label => 'label', search => '{"dropout": [0.1]}', trials => NULL);
CALL csp_tune('t', 'places', label => 'label', search => '{"dropout": [0.1]}', parallel => 0);
CALL csp_tune('t', 'places', label => 'label', search => '{"dropout": [0.1]}', reduction => 1);
CALL csp_tune('t', 'places', search => '{"dropout": [0.1]}');
CALL csp_tune('t', 'no_such_table', label => 'label', search => '{"dropout": [0.1]}');
CALL csp_tune(NULL, 'places', label => 'label', search => '{"dropout": [0.1]}');
CALL csp_tune('a@b', 'places', label => 'label', search => '{"dropout": [0.1]}');
BEGIN;
CALL csp_tune('t', 'places', label => 'label', search => '{"dropout": [0.1]}');
ROLLBACK;
SELECT before.runs = (SELECT count(*) FROM csp.runs) AS "no run was made",
       before.searches = (SELECT count(*) FROM csp.searches) AS "no search" FROM before;

-- The same search twice: the same trials, the same values; another seed draws others.
\set space '{"learning_rate": {"min": 1e-4, "max": 0.3, "scale": "log"}, "hidden_dim": {"min": 8, "max": 64}, "activation": ["relu", "gelu"]}'
CALL csp_tune('tuned', 'places', 'geom', 'features', 'label', :'space', 3, :'small');
CALL csp_tune('tuned', 'places', 'geom', 'features', 'label', :'space', 3, :'small', parallel => 1);
CALL csp_tune('tuned', 'places', 'geom', 'features', 'label', :'space', 1, :'small', seed => 1);
SELECT a.options = b.options AS same_options, a.value = b.value AS same_value, a.best = b.best AS same_best
FROM csp.trials a JOIN csp.trials b USING (trial) WHERE a.search = 1 AND b.search = 2 ORDER BY trial;
SELECT count(DISTINCT options) FROM csp.trials WHERE search IN (1, 3);
SELECT bool_and((options ->> 'learning_rate')::float8 BETWEEN 1e-4 AND 0.3 AND (options ->> 'hidden_dim')::int BETWEEN 8 AND 64
                AND options ->> 'activation' IN ('relu', 'gelu')) AS within FROM csp.trials;

-- The best by the metric is deployed, as it was trained; the others have left figures and no model.
SELECT id, model, version, state, method, metric, trials, runs, done, parallel, best_value IS NOT NULL AS value, error
FROM csp.searches, LATERAL (SELECT message) e (error) ORDER BY id;
SELECT s.best_value = (SELECT max(value) FROM csp.trials t WHERE t.search = s.id) AS greatest,
       s.best_run = (SELECT r.id FROM csp.runs r WHERE r.search = s.id AND r.version IS NOT NULL) AS its_run FROM csp.searches s ORDER BY id;
SELECT count(*) AS runs, count(version) AS versions, (SELECT count(*) FROM csp.trial_model) AS models,
       count(*) = count((SELECT min(epoch) FROM csp.metrics m WHERE m.run = r.id)) AS figures FROM csp.runs r WHERE search = 1;
SELECT m.version, m.deployed, m.class_count, m.provenance #> '{search,trial}' = to_jsonb(s.best_trial) AS trial,
       m.provenance #> '{search,options}' = s.best_options AS searched, m.options @> s.best_options AS options,
       (m.metrics ->> 'validation_top1')::float8 = s.best_value AS value
FROM csp.models m JOIN csp.searches s ON s.id = (m.provenance #>> '{search,id}')::int ORDER BY 1;
SELECT label, rows FROM csp.classes WHERE model = 'tuned' AND version = 1;
SELECT best_options || :'small'::jsonb AS winning FROM csp.searches WHERE id = 1 \gset
CALL csp_train('retrained', 'places', 'geom', 'features', 'label', :'winning') \gset
SELECT csp_embed(geom, 'retrained') = csp_embed(geom, 'tuned@1') AS "the weights of csp_train" FROM places LIMIT 1;

-- No trial twice; a notice where there are no more.
SET client_min_messages = notice;
CALL csp_tune('few', 'places', label => 'label', search => '{"layer_norm": [true, false, true]}', options => '{"epochs": 1, "hidden_dim": 16, "frequencies": 4}', wait => false);
SET client_min_messages = warning;
SELECT csp_wait_search(4);
SELECT trials, done FROM csp.searches WHERE id = 4;

-- Trials that fail come last and end nothing, unless all fail.
CALL csp_tune('partly', 'places', label => 'label', search => '{"loss": ["full_loss_user", "cross_entropy"]}', options => '{"epochs": 1, "frequencies": 4}');
SELECT options, state, value IS NULL AS no_value, best, message FROM csp.trials WHERE search = 5 ORDER BY options;
CALL csp_tune('failing', 'places', label => 'label', search => '{"dropout": [0.1, 0.2]}', options => '{"loss": "full_loss_user"}');
\echo :SQLSTATE
SELECT state, best_trial, version, message, detail FROM csp.searches WHERE id = 6;
CALL csp_tune('unjudged', 'SELECT * FROM places WHERE id % 7 = 0', 'geom', label => 'label', search => '{"dropout": [0.1]}', options => '{"epochs": 1, "validation_fraction": 1e-9}');
SELECT count(*) FROM csp.models WHERE name IN ('failing', 'unjudged');

-- Successive halving: a third goes on, with three times the epochs; without labels by the loss of pre-training.
CALL csp_tune('halved', 'places', features => 'features', search => '{"pretrain_learning_rate": {"min": 1e-5, "max": 1e-1, "scale": "log"}}',
              trials => 7, method => 'halving', options => '{"pretrain_epochs": 6, "hidden_dim": 16, "frequencies": 4, "embedding_dim": 8}');
SELECT rung, count(*), min(pretrain_epochs) AS epochs, max(pretrain_epochs) AS epochs, count(value) AS values FROM csp.trials WHERE search = 8 GROUP BY 1 ORDER BY 1;
SELECT (SELECT array_agg(trial ORDER BY trial) FROM csp.trials WHERE search = 8 AND rung = 2) =
       (SELECT array_agg(trial ORDER BY trial) FROM (SELECT trial FROM csp.trials WHERE search = 8 AND rung = 1 ORDER BY value LIMIT 2) b) AS best_go_on;
SELECT method, metric, trials, runs, done, best_value = (SELECT min(value) FROM csp.trials WHERE search = 8) AS least FROM csp.searches WHERE id = 8;

-- Who may what.
CREATE ROLE csp_test_tuner LOGIN;
GRANT SELECT ON places TO csp_test_tuner;
SET ROLE csp_test_tuner;
CALL csp_tune('theirs', 'places', label => 'label', search => '{"dropout": [0.1]}');
SELECT count(*) FROM csp.searches;
SELECT count(*) FROM csp.trials;
SELECT csp_cancel_search(1);
\echo :SQLSTATE
SELECT csp_wait_search(1);
\echo :SQLSTATE
DELETE FROM csp.search;
\echo :SQLSTATE
RESET ROLE;
GRANT EXECUTE ON PROCEDURE csp_tune, csp_resume_search TO csp_test_tuner;
SET ROLE csp_test_tuner;
CALL csp_resume_search(6);
\echo :SQLSTATE
CALL csp_tune('tuned', 'places', label => 'label', search => '{"dropout": [0.1]}');  -- another's model
CALL csp_tune('theirs', 'SELECT * FROM places WHERE current_user = ''csp_test_tuner''', label => 'label', search => '{"dropout": [0.1]}', options => '{"epochs": 1, "frequencies": 4}');
SELECT model, owner, state FROM csp.searches;
SELECT model, owner, state FROM csp.runs;
SELECT name, owner, provenance ->> 'trained_by' AS trained_by FROM csp.models;
RESET ROLE;
SELECT csp_cancel_search(1) AS "nothing to cancel";
SELECT csp_wait_search(987654);
\echo :SQLSTATE
\set VERBOSITY sqlstate
SELECT min(run) AS trial_run FROM csp.trials WHERE search = 6 \gset
CALL csp_resume(:trial_run);
DELETE FROM csp.model_version WHERE model = 'theirs';
DELETE FROM csp.model WHERE name = 'theirs';
DELETE FROM csp.search WHERE model = 'theirs';
DROP OWNED BY csp_test_tuner;
DROP ROLE csp_test_tuner;

-- Runs that go on from a model (from_model), and rows that are held out in spatial blocks.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
\set quick '{"pretrain_epochs": 2, "epochs": 2, "hidden_dim": 32, "embedding_dim": 16, "frequencies": 8, "batch_size": 64}'
CALL csp_train('ft_base', 'places', 'geom', 'features', 'label', :'quick') \gset

-- labels of the caller's own, some of which the model knows; no images
CREATE VIEW zones AS SELECT geom, CASE WHEN abs(ST_Y(geom)) > 60 THEN 'polar' ELSE label END AS zone FROM places WHERE label <> 'south' OR ST_Y(geom) < -60;
CALL csp_train('ft_tuned', 'zones', 'geom', label => 'zone', options => '{"from_model": "ft_base", "epochs": 3}') \gset
SELECT name, version, embedding_dim, image_dim, class_count, options ->> 'from_model' AS from_model, options ->> 'frequencies' AS frequencies
FROM csp.models WHERE name = 'ft_tuned';
SELECT label FROM csp.classes WHERE model = 'ft_tuned' ORDER BY class;
SELECT csp_model_card('ft_tuned') #>> '{options, from_model}' AS card;
-- it begins with the weights: a frozen encoder stays as it is, and so do images
CALL csp_train('ft_frozen', 'zones', 'geom', label => 'zone', options => '{"from_model": "ft_base@1", "epochs": 2, "encoder_learning_rate": 0}') \gset
SELECT bool_and(csp_embed(geom, 'ft_frozen') = csp_embed(geom, 'ft_base')) AS same_places, bool_and(csp_embed_image(features, 'ft_frozen') = csp_embed_image(features, 'ft_base')) AS same_images,
       bool_or(csp_embed(geom, 'ft_tuned') = csp_embed(geom, 'ft_base')) AS tuned_places FROM places;
CALL csp_train('ft_kept', 'places', 'geom', label => 'label', options => '{"from_model": "ft_base", "epochs": 1, "encoder_learning_rate": 0, "learning_rate": 1e-30}') \gset
SELECT max(abs(csp_probability(geom, label, 'ft_kept') - csp_probability(geom, label, 'ft_base'))) AS difference FROM places;

-- the version that is deployed when the run is queued, of the same name too; and the options of a version once more
CALL csp_train('ft_base', 'places', 'geom', 'features', 'label', '{"from_model": "ft_base", "pretrain_epochs": 1, "epochs": 1}') \gset
SELECT options || '{"from_model": "ft_base"}' AS again FROM csp.models WHERE name = 'ft_base' AND version = 1 \gset
CALL csp_train('ft_base', 'places', 'geom', 'features', 'label', :'again') \gset
SELECT version, deployed, options ->> 'from_model' AS from_model FROM csp.models WHERE name = 'ft_base' ORDER BY version;
-- a model from a file
SELECT csp_import('ft_from_file', csp_export('ft_base@1')) > 0 AS imported;
CALL csp_train('ft_imported', 'zones', 'geom', label => 'zone', options => '{"from_model": "ft_from_file", "encoder_learning_rate": 0, "epochs": 1}') \gset
SELECT bool_and(csp_embed(geom, 'ft_imported') = csp_embed(geom, 'ft_base@1')) AS same FROM places;
-- images alone: no classes; images of another kind: an image side of their own
CALL csp_train('ft_images', 'places', 'geom', 'features', options => '{"from_model": "ft_base", "pretrain_epochs": 1}') \gset
CALL csp_train('ft_other_images', 'SELECT geom, features[1:3] AS f, label FROM places', 'geom', 'f', 'label', '{"from_model": "ft_base", "pretrain_epochs": 1, "epochs": 1}') \gset
SELECT name, image_dim, class_count FROM csp.models WHERE name IN ('ft_images', 'ft_other_images') ORDER BY name;

-- errors, before any work
SELECT count(*) AS runs FROM csp.runs \gset
\set VERBOSITY terse
CALL csp_train('m', 'zones', 'geom', label => 'zone', options => '{"from_model": "nothing of that name"}');
\echo :SQLSTATE
CALL csp_train('m', 'zones', 'geom', label => 'zone', options => '{"from_model": "ft_base@17"}');
\echo :SQLSTATE
\set VERBOSITY default
CALL csp_train('m', 'zones', 'geom', label => 'zone', options => '{"from_model": 3}');
\echo :SQLSTATE
CALL csp_train('m', 'zones', 'geom', label => 'zone', options => '{"from_model": null}');
\echo :SQLSTATE
CALL csp_train('m', 'zones', 'geom', label => 'zone', options => '{"from_model": "ft_base", "hidden_dim": 64}');
\echo :SQLSTATE
CALL csp_train('m', 'zones', 'geom', label => 'zone', options => '{"from_model": "ft_base", "position_encoding": "sphereC+"}');
\echo :SQLSTATE
CALL csp_train('m', 'SELECT *, now() AS day FROM zones', 'geom', label => 'zone', options => '{"from_model": "ft_base", "observed_at": "day"}');
\echo :SQLSTATE
SELECT count(*) - :runs AS new_runs FROM csp.runs;

-- who does not see the model cannot go on from it; who was granted it can
CREATE ROLE regress_csp_tuner LOGIN;
GRANT EXECUTE ON PROCEDURE csp_train TO regress_csp_tuner;
GRANT SELECT ON zones TO regress_csp_tuner;
SET ROLE regress_csp_tuner;
CALL csp_train('ft_granted', 'zones', 'geom', label => 'zone', options => '{"from_model": "ft_base@1", "epochs": 1}');
\echo :SQLSTATE
RESET ROLE;
SELECT csp_grant('ft_base', 'regress_csp_tuner');
SET ROLE regress_csp_tuner;
CALL csp_train('ft_granted', 'zones', 'geom', label => 'zone', options => '{"from_model": "ft_base@1", "epochs": 1}') \gset
SELECT name, version FROM csp.models WHERE name = 'ft_granted';
RESET ROLE;
SELECT csp_revoke('ft_base', 'regress_csp_tuner');
SELECT csp_drop_model('ft_granted');

-- a version that has gone before the run could begin: it is resumed once its source is mended
CREATE VIEW late AS SELECT geom, label, 1 / (ST_X(geom) + 170)::int AS broken FROM places;
CALL csp_train('ft_late', 'late', 'geom', label => 'broken', options => '{"from_model": "ft_from_file"}') \gset
CREATE OR REPLACE VIEW late AS SELECT geom, label, 1 / (ST_X(geom) + 171)::int AS broken FROM places;
SELECT csp_drop_model('ft_from_file', true);
SELECT max(id) AS late FROM csp.runs WHERE model = 'ft_late' \gset
\set VERBOSITY terse
CALL csp_resume(:late);
\echo :SQLSTATE
SELECT csp_import('ft_from_file', csp_export('ft_base@1')) > 0 AS another_of_that_name;
CALL csp_resume(:late);
\echo :SQLSTATE
SELECT csp_drop_model('ft_from_file');
\set VERBOSITY default
DROP VIEW late;

-- a search that goes on from a model
CALL csp_tune('ft_searched', 'zones', 'geom', label => 'zone', search => '{"learning_rate": [0.001, 0.01]}', trials => 2, options => '{"from_model": "ft_base", "epochs": 1}') \gset
SELECT options ->> 'from_model' AS from_model, options ->> 'hidden_dim' AS hidden_dim FROM csp.models WHERE name = 'ft_searched';
CALL csp_tune('ft_searched', 'zones', 'geom', label => 'zone', search => '{"hidden_dim": [8, 16]}', options => '{"from_model": "ft_base"}');
\echo :SQLSTATE
CALL csp_tune('ft_searched', 'zones', 'geom', label => 'zone', search => '{"from_model": ["ft_base", "ft_tuned"]}');
\echo :SQLSTATE

-- blocks held out: of two halves of the globe the smaller one
CALL csp_train('ft_halves', 'SELECT geom, label FROM places WHERE ST_X(geom) < 0 OR ST_Y(geom) > 0', 'geom', label => 'label', options => '{"epochs": 1, "validation_block_size": 180}') \gset
SELECT (provenance ->> 'rows_validation')::int AS held_out,
       (SELECT min(n) FROM (SELECT count(*) AS n FROM places WHERE ST_X(geom) < 0 OR ST_Y(geom) > 0 GROUP BY csp_spatial_block(geom, 180)) half) AS smaller_half
FROM csp.models WHERE name = 'ft_halves';
CALL csp_train('ft_hexagons', 'places', 'geom', 'features', 'label', '{"pretrain_epochs": 1, "epochs": 1, "validation_block_size": 3000, "validation_block_shape": "hexagon", "validation_fraction": 0.3}') \gset
SELECT (provenance ->> 'rows_validation')::int BETWEEN 90 AND 126 AS held_out FROM csp.models WHERE name = 'ft_hexagons';
CALL csp_train('m', 'SELECT geom, label FROM places WHERE ST_X(geom) = 10', 'geom', label => 'label', options => '{"validation_block_size": 180}');
\echo :SQLSTATE
CALL csp_train('m', 'places', 'geom', label => 'label', options => '{"validation_block_size": 200}');
\echo :SQLSTATE
CALL csp_train('m', 'places', 'geom', label => 'label', options => '{"validation_block_size": 10, "validation_block_shape": "triangle"}');
\echo :SQLSTATE
CALL csp_tune('ft_searched', 'places', 'geom', label => 'label', search => '{"validation_block_size": [10, 20]}');
\echo :SQLSTATE

DROP OWNED BY regress_csp_tuner;
DROP ROLE regress_csp_tuner;
DROP VIEW zones;
SELECT count(csp_drop_model(name)) AS dropped FROM (SELECT name FROM csp.models WHERE name IN
    ('ft_base', 'ft_tuned', 'ft_frozen', 'ft_kept', 'ft_imported', 'ft_images', 'ft_other_images', 'ft_searched', 'ft_halves', 'ft_hexagons') GROUP BY name) own;

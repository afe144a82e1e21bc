-- Every position encoding, objective and loss through SQL; dates and observers.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE VIEW observed AS
SELECT id, geom, features, label, timestamptz '2024-01-01 00:00+00' + id % 366 * interval '1 day' AS observed_at,
       (date '2024-01-01' + (id % 366)::int) AS day, 'observer ' || id % 5 AS observer, label || '' AS not_a_date FROM places;

-- one epoch of each stage with every encoding
SELECT format($$CALL csp_train(%L, 'places', 'geom', 'features', 'label', '{"position_encoding": "%s", "frequencies": 4, "anchors": 20, "degrees": 4, "hidden_dim": 16, "embedding_dim": 16, "pretrain_epochs": 1, "epochs": 1}')$$, 'science ' || e, e)
FROM unnest(string_to_array(rtrim((SELECT range FROM csp_options() WHERE name = 'position_encoding'), '.'), ', ')) e \gexec
SELECT count(csp_import('copy of ' || name, csp_export(name))) AS imported FROM csp.models WHERE name LIKE 'science %';
SELECT m.name, m.configuration ->> 'network' AS network, array_length(csp_embed(geom, m.name), 1) AS dim,
       (SELECT round(sum(p)::numeric, 4) FROM unnest(csp_probabilities(geom, m.name)) p) AS total,
       csp_embed(geom, 'copy of ' || m.name) = csp_embed(geom, m.name) AS exported
FROM csp.models m, (SELECT geom FROM places WHERE id = 7) p WHERE m.name LIKE 'science %' ORDER BY m.name COLLATE "C";

-- every objective, supervised loss and sampler
SELECT format($$CALL csp_train('objective', 'observed', 'geom', 'features', 'label', '{"hidden_dim": 16, "embedding_dim": 16, "pretrain_epochs": 1, "epochs": 1, "observer": "observer", %s}')$$, o)
FROM unnest(ARRAY['"objective": "mc_symmetric", "learn_temperature": true', '"objective": "nce", "negative_sampler": "uniform"',
                  '"unsuper_loss": "imgcontlossnolocneg", "negative_sampler": "observed"', '"objective": "l2_regression"',
                  '"loss": "full_loss", "neg_rand_type": "spherical"', '"loss": "full_loss_user", "neg_rand_type": "sphericalold"',
                  '"max_rows_per_class": 20, "balance_classes": true', '"label_ratio": 0.2', '"precision": "bfloat16"']) o \gexec
SELECT version, options ->> 'objective' AS objective, options ->> 'loss' AS loss, options ->> 'negative_sampler' AS sampler,
       configuration ->> 'user_count' AS users, csp_similarity(geom, features, name || '@' || version) BETWEEN -1 AND 1 AS similarity
FROM csp.models, (SELECT geom, features FROM places WHERE id = 7) p WHERE name = 'objective' ORDER BY version;
SELECT csp_embed_image(features, 'objective@4') FROM places LIMIT 1;
\echo :SQLSTATE

-- dates
CALL csp_train('dated', 'observed', 'geom', 'features', 'label', '{"hidden_dim": 16, "embedding_dim": 16, "pretrain_epochs": 1, "epochs": 1, "observed_at": "observed_at"}');
CALL csp_train('dated', 'observed', 'geom', 'features', 'label', '{"hidden_dim": 16, "embedding_dim": 16, "pretrain_epochs": 1, "epochs": 1, "observed_at": "day"}');
SET timezone = 'UTC';
SELECT csp_embed(geom, '2024-07-01', 'dated') = csp_embed(geom::geography, '2024-07-01', 'dated') AS geography,
       csp_embed(geom, '2024-07-01', 'dated') <> csp_embed(geom, '2024-01-01', 'dated') AS seasons,
       csp_embed(geom, '2023-01-01', 'dated') = csp_embed(geom, '2024-01-01', 'dated') AS every_year,
       csp_embed(geom, date '2024-07-01', 'dated') = csp_embed(geom, '2024-07-01 00:00+00', 'dated') AS dates,
       csp_probability(geom, (SELECT label FROM csp.classes WHERE model = 'dated' AND version = 2 AND class = 1), '2024-07-01', 'dated') = (csp_probabilities(geom, '2024-07-01', 'dated'))[1] AS probability,
       csp_similarity(geom, features, '2024-07-01', 'dated') BETWEEN -1 AND 1 AS similarity,
       (SELECT count(*) FROM csp_classify(geom, 2, '2024-07-01', 'dated')) AS classes,
       csp_fuse('{1,1,1}', geom, '2024-07-01', 'dated') <> csp_fuse('{1,1,1}', geom, '2024-01-01', 'dated') AS fused,
       csp_embed(geom, NULL::timestamptz, 'dated') IS NULL AS strict
FROM places WHERE id = 7;
SELECT csp_embed(geom, 'dated') FROM places LIMIT 1;
\echo :SQLSTATE
SELECT csp_embed(geom, '2024-07-01', 'both') FROM places LIMIT 1;
\echo :SQLSTATE
SELECT csp_embed(geom, 'infinity'::timestamptz, 'dated') FROM places LIMIT 1;
\echo :SQLSTATE
CALL csp_train('gaps', 'SELECT geom, features, label, CASE WHEN id % 2 = 0 THEN observed_at END AS t FROM observed', 'geom', 'features', 'label', '{"hidden_dim": 16, "embedding_dim": 16, "pretrain_epochs": 1, "epochs": 1, "observed_at": "t"}');
SELECT rows_read - rows_skipped * 2 BETWEEN -1 AND 1 AS half FROM csp.runs WHERE model = 'gaps';

-- errors before any work
CALL csp_train('bad', 'observed', 'geom', 'features', 'label', '{"observed_at": "nowhere"}');
\echo :SQLSTATE
CALL csp_train('bad', 'observed', 'geom', 'features', 'label', '{"observed_at": "not_a_date"}');
\echo :SQLSTATE
CALL csp_train('bad', 'observed', 'geom', 'features', 'label', '{"observer": "nobody"}');
\echo :SQLSTATE
CALL csp_train('bad', 'observed', 'geom', 'features', 'label', '{"loss": "full_loss_user", "pretrain_epochs": 1}');
\echo :SQLSTATE
CALL csp_train('bad', 'observed', 'geom', 'features', 'label', '{"position_encoding": "theorydiag", "embedding_dim": 100}');
\echo :SQLSTATE
CALL csp_train('bad', 'observed', 'geom', 'features', 'label', '{"position_encoding": "rff", "map_range": [10, 5, 0, 1]}');
\echo :SQLSTATE
CALL csp_train('bad', 'observed', 'geom', 'features', 'label', '{"position_encoding": "tile", "min_radius": 0.001}');
\echo :SQLSTATE
CALL csp_train('bad', 'observed', 'geom', 'features', 'label', '{"position_encoding": "rbf", "anchors": 60000}');
\echo :SQLSTATE
SELECT count(*) FROM csp.models WHERE name = 'bad';
DROP VIEW observed;
DELETE FROM csp.model_version WHERE model ~ '^(science|copy of|objective|dated|gaps)';
DELETE FROM csp.model WHERE name ~ '^(science|copy of|objective|dated|gaps)';

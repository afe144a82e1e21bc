-- csp_train on small data: both stages, one stage alone, all kinds of sources.
SET client_min_messages = warning;
\set small '{"pretrain_epochs": 2, "epochs": 2, "hidden_dim": 32, "embedding_dim": 16, "frequencies": 8, "batch_size": 64}'

CALL csp_train('both', 'places', location => 'geom', features => 'features', label => 'label', options => :'small');
SELECT name, version, deployed, position_encoding, embedding_dim, image_dim, class_count FROM csp.models;
SELECT model, version, state, phase, rows_read, rows_skipped, rows_unlabelled, device, sqlstate FROM csp.runs;
SELECT stage, epoch, loss > 0 AS loss, validation_top1 BETWEEN 0 AND 1 AS top1 FROM csp.metrics ORDER BY 1, 2;
SELECT * FROM csp.classes;
SELECT provenance ->> 'source' AS source, provenance ->> 'rows' AS rows, provenance ? 'libtorch' AS libtorch,
       options ->> 'hidden_dim' AS hidden_dim FROM csp.models;

-- The only geometry column need not be named; no features: supervised only; no label: pre-training only.
CALL csp_train('supervised', 'places', label => 'label', options => :'small');
CALL csp_train('pretrained', 'places', features => 'features', options => :'small');
SELECT name, image_dim, class_count FROM csp.models WHERE name <> 'both' ORDER BY 1;

-- A view, a SELECT (with a semicolon and a comment), geography, a projected SRID, other array types.
CREATE VIEW places_view AS SELECT geom::geography AS place, features::float8[] AS f, (id % 2)::int AS parity FROM places;
CALL csp_train('sources', 'places_view', 'place', 'f', 'parity', :'small');
CALL csp_train('sources', 'SELECT ST_Transform(geom, 3857) AS g, features AS f FROM places WHERE abs(ST_Y(geom)) < 70; -- all', 'g', 'f', options => :'small');
CALL csp_train('sources', ' ( VALUES (1) ) ', 'g', 'f');
SELECT version, deployed, image_dim, class_count FROM csp.models WHERE name = 'sources' ORDER BY 1;
SELECT label, rows FROM csp.classes WHERE model = 'sources';

-- Rows without a place or without features are skipped and counted; those without a label are pre-trained.
CREATE VIEW holes AS
SELECT CASE WHEN id % 10 = 0 THEN NULL WHEN id % 10 = 1 THEN 'SRID=4326;POINT EMPTY'::geometry ELSE geom END AS geom,
       CASE WHEN id % 10 <> 2 THEN features END AS features, CASE WHEN id % 2 = 0 THEN label END AS label
FROM places;
CALL csp_train('holes', 'holes', 'geom', 'features', 'label', :'small');
SELECT rows_read, rows_skipped, rows_unlabelled FROM csp.runs WHERE model = 'holes';

-- Same seed, same model, to the bit; another seed, another model.
CALL csp_train('seeds', 'places', 'geom', 'features', 'label', '{"seed": 7, "pretrain_epochs": 1, "epochs": 1}');
CALL csp_train('seeds', 'places', 'geom', 'features', 'label', '{"seed": 7, "pretrain_epochs": 1, "epochs": 1}');
CALL csp_train('seeds', 'places', 'geom', 'features', 'label', '{"seed": 8, "pretrain_epochs": 1, "epochs": 1}');
SELECT csp_embed(geom, 'seeds@1') = csp_embed(geom, 'seeds@2') AS same, csp_embed(geom, 'seeds@1') = csp_embed(geom, 'seeds@3') AS other
FROM places LIMIT 1;

-- Published names of options, the spherical encoding, the published loss.
CALL csp_train('published', 'places', 'geom', 'features', 'label',
    '{"spa_enc_type": "Sphere2Vec-sphereC+", "num_epochs_unsuper": 1, "num_epochs": 1, "num_filts": 16, "train_loss": "full_loss", "simcse_weight": 0}');
SELECT options ->> 'position_encoding' AS encoding, options ->> 'min_radius' AS min_radius, configuration ->> 'class_head' AS head,
       options ->> 'weight_dropout' AS weight_dropout
FROM csp.models WHERE name = 'published';

-- Learns what can be learned: latitude bands.
CALL csp_train('bands', 'places', 'geom', 'features', 'label', '{"pretrain_epochs": 10}');
SELECT avg((c.label = p.label)::int) > 0.9 AS learned FROM places p, csp_classify(p.geom, 1, 'bands') c;

-- The main job, end to end: from a table of observations to embeddings and a geographic prior in SQL.
--
-- Few labels, many images: there are satellite images of 6,000 places, but only a tenth of the places of some regions
-- have a label. How well can the climate of places in the other regions be told? `make demo` runs this in a private
-- cluster; in a database of your own with csp_ext installed: psql < tools/demo.sql, from the top of the source tree.

\set ON_ERROR_STOP on
\pset footer off
SET client_min_messages = warning;
SET extra_float_digits = -2; -- four digits do here

CREATE EXTENSION csp_ext CASCADE;
\i data/load.sql

\echo
\echo '== The observations: images everywhere, a label at one place in ten of the train blocks'
-- A seeded draw, of every class alike: the hash of id and seed puts the rows of a class into random order.
CREATE VIEW few_labels AS
SELECT id, geom, features,
       CASE WHEN split_block = 'train'
             AND row_number() OVER (PARTITION BY split_block, label ORDER BY md5(id || ' seed 1'))
                 <= ceil(0.1 * count(*) OVER (PARTITION BY split_block, label))
            THEN label END AS few_label
FROM observations;

SELECT o.split_block, count(*) AS places, count(f.features) AS images, count(f.few_label) AS labels
FROM observations o JOIN few_labels f USING (id)
GROUP BY o.split_block ORDER BY o.split_block;

\echo
\echo '== Trained on the labels alone'
CALL csp_train('places_without_images', 'SELECT geom, few_label FROM few_labels WHERE few_label IS NOT NULL',
               location => 'geom', label => 'few_label');

\echo
\echo '== Pre-trained on all images, then trained on the same labels'
SET client_min_messages = notice;
CALL csp_train('places', 'SELECT geom, features, few_label FROM few_labels',
               location => 'geom', features => 'features', label => 'few_label');
SET client_min_messages = warning;

\echo
\echo '== Top-1 on the places of the test blocks, from the place alone'
CREATE VIEW top1 AS
SELECT m.name AS model, count(*) AS places, round(avg((c.label = o.label)::int), 3) AS top1
FROM csp.models m, observations o, csp_classify(o.geom, 1, m.name) c
WHERE o.split_block = 'test'
GROUP BY m.name;

SELECT * FROM top1 ORDER BY top1;
SELECT round(max(n)::numeric / sum(n), 3) AS "for comparison: always the most frequent label"
FROM (SELECT count(*) AS n FROM observations WHERE split_block = 'test' GROUP BY label) AS labels;

\echo '== The same model by more figures, with the interval of a bootstrap over blocks of 10 degrees'
SELECT metric, round(value::numeric, 3) AS value, round(low::numeric, 3) AS low, round(high::numeric, 3) AS high
FROM csp_evaluate('places', 'SELECT geom, label FROM observations WHERE split_block = ''test''', label => 'label',
                  options => '{"block_size": 10}')
WHERE scope = 'location' AND part IS NULL AND metric IN ('top1', 'top3', 'mrr', 'log_loss', 'ece');

\echo '== What the runs took'
SELECT model, state, phase, rows_read, rows_unlabelled, device, date_trunc('milliseconds', finished - started) AS took
FROM csp.runs ORDER BY id;

\echo '== Queries'
\echo
\echo '-- SELECT id, csp_embed(geom, ''places'') FROM observations LIMIT 5;'
SELECT id, array_length(e, 1) AS numbers, e[1:4] AS "the first four"
FROM (SELECT id, csp_embed(geom, 'places') AS e FROM observations LIMIT 5) AS embeddings;

\echo '-- SELECT o.id, c.* FROM observations o, csp_classify(o.geom, 3, ''places'') c LIMIT 9;'
SELECT o.id, c.* FROM observations o, csp_classify(o.geom, 3, 'places') c LIMIT 9;

\echo '-- The climate of Rome: Cs is the Mediterranean one'
SELECT csp_probability(ST_SetSRID(ST_MakePoint(12.5, 41.9), 4326), 'Cs', 'places') AS "probability of Cs";

\echo '-- SELECT csp_similarity(geom, features, ''places'') FROM observations LIMIT 5;'
SELECT id, csp_similarity(geom, features, 'places') FROM observations LIMIT 5;

\echo '-- The most probable climate over the Alps, in hexagons: see doc/maps.md'
SELECT id, ST_AsText(ST_Centroid(geom), 2) AS centre, label, probability, entropy
FROM csp_class_grid(ST_MakeEnvelope(6, 44, 14, 48, 4326), 1.5, 'places', 'hexagon') LIMIT 5;

\echo '-- Its card begins so: SELECT csp_model_card_text(''places'')'
SELECT line FROM regexp_split_to_table(csp_model_card_text('places'), '\n') WITH ORDINALITY AS card (line, n) WHERE n <= 12;

\echo '== Sizes'
SELECT m.name AS model, m.position_encoding, m.embedding_dim, m.class_count, pg_size_pretty(sum(octet_length(w.data))) AS weights
FROM csp.models m JOIN csp.model_weights w ON w.version = m.id
GROUP BY m.id, m.name, m.position_encoding, m.embedding_dim, m.class_count ORDER BY m.name;

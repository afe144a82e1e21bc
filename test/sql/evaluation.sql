-- csp_evaluate, csp_spatial_block and csp_spatial_fold, on the models and places of test train.
\set SHOW_CONTEXT never
SET client_min_messages = warning;

-- What a model says of every place, and its figures in SQL.
CREATE FUNCTION figure(metric text, scope text, VARIADIC call text[]) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE result float8;
BEGIN
    EXECUTE format('SELECT value FROM csp_evaluate(%s) WHERE metric = %L AND scope = %L AND part IS NULL', array_to_string(call, ', '), metric, scope)
    INTO STRICT result;
    RETURN result;
END $$;
CREATE TABLE image AS SELECT id, ARRAY[1 + id % 5, 1 + id % 3, 1 + id % 7]::real[] AS probabilities FROM places;
CREATE VIEW places_and_images AS SELECT p.*, i.probabilities AS p FROM places p JOIN image i USING (id) ORDER BY id;
CREATE TABLE ranked AS
SELECT m, id, scope, label, own / total AS p, most / total AS confidence,
       (SELECT 1 + count(*) FROM unnest(a) WITH ORDINALITY AS o (q, class) WHERE q > own OR (q = own AND class < c.class)) AS rank
FROM (SELECT m, id, label, 'location' AS scope, csp_probabilities(geom, m) AS a FROM places, (VALUES ('bands'), ('published')) v (m)
      UNION ALL SELECT 'bands', id, label, 'image', p FROM places_and_images
      UNION ALL SELECT 'bands', id, label, 'fused', csp_fuse(p, geom, 'bands') FROM places_and_images) x
JOIN csp.classes c USING (label),
LATERAL (SELECT a[c.class] AS own, sum(q::float8) AS total, max(q) AS most FROM unnest(a) q) t
WHERE c.model = m AND c.version = (SELECT version FROM csp.models WHERE name = m AND deployed);
SELECT m, scope, count(*), abs(avg((rank <= 1)::int) - max(e.value) FILTER (WHERE metric = 'top1')) < 1e-9 AS top1,
       abs(avg((rank <= 3)::int) - max(e.value) FILTER (WHERE metric = 'top3')) < 1e-9 AS top3,
       abs(avg(1.0 / rank) - max(e.value) FILTER (WHERE metric = 'mrr')) < 1e-6 AS mrr,
       abs(avg(-ln(p)) - max(e.value) FILTER (WHERE metric = 'log_loss')) < 1e-5 AS log_loss
FROM ranked JOIN (
    SELECT 'bands' AS m, * FROM csp_evaluate('bands', 'places_and_images', label => 'label', image_probabilities => 'p')
    UNION ALL SELECT 'published', * FROM csp_evaluate('published', 'places', label => 'label')) e USING (m, scope)
WHERE metric IN ('top1', 'top3', 'mrr', 'log_loss')
GROUP BY m, scope ORDER BY 1, 2;
-- macro accuracy and calibration
SELECT abs(avg(accuracy) - figure('macro_accuracy', 'image', $$'bands', 'places_and_images', label => 'label', image_probabilities => 'p'$$)) < 1e-9 AS macro
FROM (SELECT avg((rank = 1)::int) AS accuracy FROM ranked WHERE scope = 'image' GROUP BY label) a;
SELECT abs(sum(n * abs(accuracy - confidence)) / sum(n) - figure('ece', 'fused', $$'bands', 'places_and_images', label => 'label', image_probabilities => 'p', options => '{"bins": 10}'$$)) < 1e-5 AS ece
FROM (SELECT count(*) AS n, avg((rank = 1)::int) AS accuracy, avg(confidence) AS confidence FROM ranked
      WHERE scope = 'fused' GROUP BY least(floor(confidence * 10), 9)) b;
SELECT part, rows = (SELECT count(*) FROM ranked WHERE scope = 'location' AND m = 'bands' AND confidence * 5 >= split_part(part, '-', 1)::float8 * 5
                     AND (confidence < split_part(part, '-', 2)::float8 OR part LIKE '%-1')) AS rows
FROM csp_evaluate('bands', 'places', label => 'label', options => '{"bins": 5}') WHERE metric = 'bin_accuracy' AND part = '0.8-1';

-- by class, with intervals, and the same twice
SELECT metric, part, value BETWEEN 0 AND 1 AS share, low, rows FROM csp_evaluate('bands', 'places', label => 'label', options => '{"per_class": true}')
WHERE metric IN ('class_top1', 'class_mrr') ORDER BY 1, 2;
SELECT metric, low <= value AND value <= high AS around, rows FROM csp_evaluate('both', 'SELECT * FROM places ORDER BY id', label => 'label')
WHERE scope = 'location' AND metric IN ('top1', 'mrr', 'log_loss', 'macro_accuracy') ORDER BY 1;
SELECT count(*) FROM (
    SELECT * FROM csp_evaluate('both', 'SELECT * FROM places ORDER BY id', label => 'label', features => 'features', options => '{"seed": 3}')
    EXCEPT SELECT * FROM csp_evaluate('both', 'SELECT * FROM places ORDER BY id', label => 'label', features => 'features', options => '{"seed": 3}')) d;
SELECT count(low), count(high) FROM csp_evaluate('both', 'places', label => 'label', options => '{"bootstrap": 0}');

-- what it can be told
SELECT name, type, default_value, range FROM csp_evaluation_options();

-- blocks and folds: of every row in one, and their mean
SELECT count(DISTINCT part), sum(rows) FROM csp_evaluate('both', 'places', label => 'label', options => '{"block_size": 20, "folds": 4}')
WHERE metric = 'fold_top1';
SELECT part::int AS fold, rows, abs(value - (SELECT avg((rank = 1)::int) FROM ranked JOIN places USING (id)
    WHERE m = 'bands' AND scope = 'location' AND csp_spatial_fold(geom, 1500, 3, 5, 'hexagon') = part::int)) < 1e-9 AS same
FROM csp_evaluate('bands', 'places', label => 'label', options => '{"block_size": 1500, "block_shape": "hexagon", "folds": 3, "seed": 5}')
WHERE metric = 'fold_top1' ORDER BY 1;
SELECT count(*) FILTER (WHERE metric = 'fold_mean_top1') AS mean, count(value) FILTER (WHERE metric = 'fold_sd_top1') AS sd
FROM csp_evaluate('bands', 'places', label => 'label', options => '{"block_size": 20, "folds": 2}');

-- images on the map: the gallery are the places themselves, or another
SELECT metric, rows, value BETWEEN 0 AND CASE metric WHEN 'median_km' THEN 20016 ELSE 1 END AS possible, low <= value AND value <= high AS around
FROM csp_evaluate('both', 'places', features => 'features') WHERE scope = 'retrieval' AND metric <> 'gallery_places' ORDER BY 1;
SELECT metric, value, rows FROM csp_evaluate('both', 'places', features => 'features',
    options => '{"gallery": "SELECT geom FROM places WHERE id <= 50", "gallery_rows": 40, "retrieval_rows": 100}') WHERE metric = 'gallery_places';
SELECT abs(figure('recall_at_1', 'retrieval', $$'both', 'places', features => 'features'$$) - avg((own >= best - 1e-6)::int)) < 0.01 AS recall
FROM (SELECT i.id, max(csp_similarity(p.geom, i.features, 'both')) AS best,
             max(csp_similarity(p.geom, i.features, 'both')) FILTER (WHERE p.id = i.id) AS own FROM places i, places p GROUP BY i.id) s;
-- a model without classes
SELECT DISTINCT scope FROM csp_evaluate('pretrained', 'places', features => 'features') ORDER BY 1;

-- rows that lack something are counted
CREATE VIEW lacking AS
SELECT id, CASE WHEN id % 10 = 0 THEN NULL WHEN id % 10 = 1 THEN 'SRID=4326;POINT EMPTY'::geometry ELSE geom END AS geom,
       CASE WHEN id % 10 <> 2 THEN p END AS p, CASE id % 10 WHEN 3 THEN NULL WHEN 4 THEN 'nowhere' ELSE label END AS label
FROM places_and_images;
SELECT metric, value FROM csp_evaluate('bands', 'lacking', label => 'label', image_probabilities => 'p') WHERE scope = 'source';
SELECT scope, metric, rows FROM csp_evaluate('bands', 'lacking', label => 'label', image_probabilities => 'p') WHERE metric IN ('top1', 'log_loss') ORDER BY 1, 2;
SELECT scope, rows FROM csp_evaluate('bands', 'lacking', label => 'label', image_probabilities => 'p',
    options => '{"unknown_labels": "skip", "missing_locations": "image"}') WHERE metric = 'top1' ORDER BY 1;
SELECT metric, scope, value, low, rows FROM csp_evaluate('bands', 'SELECT * FROM places WHERE false', label => 'label') WHERE metric IN ('top1', 'ece', 'rows_read');

-- spatial cross-validation: k models, each on the blocks that it has not seen
CREATE FUNCTION cross_validate(folds int) RETURNS TABLE (fold int, rows bigint, top1 float8) LANGUAGE plpgsql AS $$
BEGIN
    FOR fold IN 1..folds LOOP
        SELECT e.rows, value INTO cross_validate.rows, top1
        FROM csp_evaluate('fold_' || fold, format('SELECT * FROM places WHERE csp_spatial_fold(geom, 20, %s) = %s', folds, fold), label => 'label') e
        WHERE metric = 'top1';
        cross_validate.fold := fold;
        RETURN NEXT;
    END LOOP;
END $$;
\o /dev/null
SELECT format('CALL csp_train(%L, %L, label => %L, options => %L)', 'fold_' || fold, 'SELECT * FROM places WHERE csp_spatial_fold(geom, 20, 3) <> ' || fold,
              'label', '{"epochs": 3, "hidden_dim": 32, "embedding_dim": 16}') FROM generate_series(1, 3) fold \gexec
\o
SELECT fold, rows = (SELECT count(*) FROM places WHERE csp_spatial_fold(geom, 20, 3) = fold) AS rows, top1 BETWEEN 0 AND 1 AS top1 FROM cross_validate(3);

-- blocks
SELECT csp_spatial_block('SRID=4326;POINT(1 1)'::geometry, 10) = csp_spatial_block('SRID=4326;POINT(9 9)'::geography, 10) AS same,
       csp_spatial_block('SRID=4326;POINT(1 1)'::geometry, 10) = csp_spatial_block('SRID=4326;POINT(11 1)'::geometry, 10) AS other,
       csp_spatial_block('SRID=4326;POINT(180 1)'::geometry, 10) = csp_spatial_block('SRID=4326;POINT(-180 1)'::geometry, 10) AS antimeridian,
       csp_spatial_block('SRID=4326;POINT(50 90)'::geometry, 500, 'hexagon') = csp_spatial_block('SRID=4326;POINT(-9 90)'::geometry, 500, 'hexagon') AS pole,
       csp_spatial_block(ST_Transform('SRID=4326;POINT(1 1)'::geometry, 3857), 10) = csp_spatial_block('SRID=4326;POINT(1 1)'::geometry, 10) AS projected;
SELECT count(DISTINCT csp_spatial_block(ST_SetSRID(ST_MakePoint(lon, lat), 4326), 5000, 'hexagon')) AS hexagons,
       count(DISTINCT csp_spatial_block(ST_SetSRID(ST_MakePoint(lon, lat), 4326), 45)) AS squares
FROM generate_series(-179, 179) lon, generate_series(-89, 89) lat;
SELECT csp_spatial_block('SRID=4326;POINT EMPTY'::geometry, 10) IS NULL AS empty, csp_spatial_block(NULL::geometry, 10) IS NULL AS no_place,
       csp_spatial_fold('SRID=4326;POINT EMPTY'::geography, 10, 5) IS NULL AS empty_fold, csp_spatial_fold(geom, NULL, 5) IS NULL AS no_size FROM rome;
SELECT bool_and(fold BETWEEN 1 AND 4) AS folds, count(DISTINCT fold), (SELECT count(*) FROM (SELECT FROM places
       GROUP BY csp_spatial_block(geom, 20) HAVING count(DISTINCT csp_spatial_fold(geom::geography, 20, 4, 9)) > 1) s) AS torn
FROM (SELECT csp_spatial_fold(geom, 20, 4, 9) AS fold FROM places) f;

-- a model that knows dates
CREATE VIEW dated AS SELECT *, timestamptz '2024-01-01 UTC' + id * interval '1 day' AS seen FROM places;
CALL csp_train('fold_dated', 'dated', label => 'label', options => '{"epochs": 3, "hidden_dim": 32, "embedding_dim": 16, "observed_at": "seen"}') \g /dev/null
SELECT abs(figure('top1', 'location', $$'fold_dated', 'dated', label => 'label', options => '{"observed_at": "seen"}'$$) -
       avg(((SELECT label FROM csp_classify(geom, 1, seen, 'fold_dated')) = label)::int)) < 1e-9 AS top1 FROM dated;
SELECT metric, value FROM csp_evaluate('fold_dated', 'SELECT geom, label, CASE WHEN id > 60 THEN seen END AS seen FROM dated', label => 'label',
    options => '{"observed_at": "seen"}') WHERE metric ~ 'date|evaluated';
SELECT * FROM csp_evaluate('fold_dated', 'dated', label => 'label');
\echo :SQLSTATE

-- rights: the source is read as the caller, and others' models are not there
CREATE ROLE evaluator LOGIN;
GRANT SELECT (geom, label) ON places TO evaluator;
GRANT EXECUTE ON PROCEDURE csp_train TO evaluator;
SET ROLE evaluator;
CALL csp_train('fold_theirs', 'SELECT geom, label FROM places', label => 'label', options => '{"epochs": 1}') \g /dev/null
SELECT rows FROM csp_evaluate('fold_theirs', 'SELECT geom, label FROM places', label => 'label') WHERE metric = 'top1';
SELECT rows FROM csp_evaluate(NULL, 'places', label => 'label') WHERE metric = 'top1';
SELECT * FROM csp_evaluate('fold_theirs', 'SELECT geom, id FROM places', label => 'id');
\echo :SQLSTATE
SELECT * FROM csp_evaluate('bands', 'places', label => 'label');
\echo :SQLSTATE
RESET ROLE;
DELETE FROM csp.run WHERE model = 'fold_theirs';

-- errors
\set VERBOSITY terse
SELECT * FROM csp_evaluate('nobody', 'places', label => 'label');
\echo :SQLSTATE
\set VERBOSITY default
SELECT * FROM csp_evaluate('bands', NULL, label => 'label');
\echo :SQLSTATE
SELECT * FROM csp_evaluate('bands', 'no_such_table', label => 'label');
\echo :SQLSTATE
SELECT * FROM csp_evaluate('bands', 'places', label => 'species');
\echo :SQLSTATE
SELECT * FROM csp_evaluate('bands', 'places', label => 'label', image_probabilities => 'label');
\echo :SQLSTATE
SELECT * FROM csp_evaluate('bands', 'DELETE FROM places', label => 'label');
\echo :SQLSTATE
SELECT * FROM csp_evaluate('bands', 'places');
\echo :SQLSTATE
SELECT * FROM csp_evaluate('pretrained', 'places', label => 'label');
\echo :SQLSTATE
SELECT * FROM csp_evaluate('supervised', 'places', label => 'label', features => 'features');
\echo :SQLSTATE
SELECT * FROM csp_evaluate('bands', 'places_and_images', image_probabilities => 'p', features => 'features');
\echo :SQLSTATE
SELECT * FROM csp_evaluate('bands', 'places', label => 'label', options => '{"bin": 3}');
\echo :SQLSTATE
SELECT * FROM csp_evaluate('bands', 'places', label => 'label', options => '{"folds": 3}');
\echo :SQLSTATE
SELECT * FROM csp_evaluate('bands', 'places', label => 'label', options => '{"block_size": 500}');
\echo :SQLSTATE
SELECT * FROM csp_evaluate('bands', 'places', label => 'label', options => '{"confidence": "high"}');
\echo :SQLSTATE
SELECT * FROM csp_evaluate('bands', 'places', label => 'label', options => '3');
\echo :SQLSTATE
SELECT * FROM csp_evaluate('bands', 'places', label => 'label', options => '{"gallery": "places"}');
\echo :SQLSTATE
SELECT * FROM csp_evaluate('bands', 'places', label => 'label', options => '{"missing_locations": "image"}');
\echo :SQLSTATE
SELECT * FROM csp_evaluate('bands', 'places', label => 'label', options => '{"observed_at": "id"}');
\echo :SQLSTATE
SELECT * FROM csp_evaluate('bands', 'SELECT ST_SetSRID(geom, 0) AS geom, label FROM places', label => 'label');
\echo :SQLSTATE
SELECT * FROM csp_evaluate('both', $$SELECT geom, array_replace(features, features[1], 'NaN') AS features FROM places$$, features => 'features');
\echo :SQLSTATE
SELECT * FROM csp_evaluate('both', 'SELECT geom, features[1:7] AS features FROM places', features => 'features');
\echo :SQLSTATE
SELECT * FROM csp_evaluate('bands', $$SELECT geom, label, '{1,0}'::real[] AS p FROM places$$, label => 'label', image_probabilities => 'p');
\echo :SQLSTATE
SELECT * FROM csp_evaluate('bands', $$SELECT geom, label, '{0,0,0}'::real[] AS p FROM places$$, label => 'label', image_probabilities => 'p');
\echo :SQLSTATE
-- the row, which a batch reaches later
SELECT * FROM csp_evaluate('bands', $$SELECT p.geom, p.label, CASE WHEN n = 5 THEN '{0,0,0}' ELSE '{1,0,0}' END::real[] AS p
                           FROM places p, generate_series(1, 20) n WHERE p.id < 200 ORDER BY n = 5 DESC$$, label => 'label', image_probabilities => 'p');
SELECT * FROM csp_evaluate('both', $$SELECT geom, array_fill(3.4e38::real, ARRAY[8]) AS features FROM places$$, features => 'features');
SELECT * FROM csp_evaluate('both', 'places', features => 'features', options => '{"gallery": "SELECT 1 AS a"}');
\echo :SQLSTATE
SELECT * FROM csp_evaluate('both', 'places', features => 'features', options => '{"gallery": "SELECT geom, geom AS other FROM places"}');
\echo :SQLSTATE
SELECT csp_spatial_block(geom, 0) FROM rome;
\echo :SQLSTATE
SELECT csp_spatial_block(geom, 'NaN') FROM rome;
\echo :SQLSTATE
SELECT csp_spatial_block(geom, 10, 'round') FROM rome;
\echo :SQLSTATE
SELECT csp_spatial_block(ST_Buffer(geom, 1), 10) FROM rome;
\echo :SQLSTATE
SELECT csp_spatial_fold(geom, 10, 0) FROM rome;
\echo :SQLSTATE

-- a cancelled evaluation ends at once
SET statement_timeout = 300;
SELECT * FROM csp_evaluate('bands', 'SELECT a.geom, a.label FROM places a, places b, places c', label => 'label');
\echo :SQLSTATE
RESET statement_timeout;

DELETE FROM csp.model_version WHERE model LIKE 'fold%';
DELETE FROM csp.model WHERE name LIKE 'fold%';
DROP OWNED BY evaluator;
DROP ROLE evaluator;
DROP VIEW dated;
DROP FUNCTION figure, cross_validate;
DROP VIEW lacking, places_and_images;
DROP TABLE image, ranked;

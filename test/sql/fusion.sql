-- Image and place together: the image classifier, calibration, and what is answered where one of both is missing.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
\pset format unaligned
CREATE SCHEMA fusion;
SET search_path = fusion, public;

-- The place tells the first letter of a label, the image the second: only both tell all of it.
CREATE TABLE photo AS
SELECT i AS id, p AS geom, p::geography AS g, timestamptz '2024-01-01 00:00+00' + i % 366 * interval '1 day' AS observed_at,
       ARRAY(SELECT (CASE WHEN i % 2 = 0 THEN 5 ELSE 6 END + sin(i * (n + 0.7)) / 2)::real FROM generate_series(1, 6) n) AS features,
       CASE WHEN ST_Y(p) > 0 THEN 'n' ELSE 's' END || CASE WHEN i % 2 = 0 THEN 'a' ELSE 'b' END AS label
FROM generate_series(1, 600) i, ST_SetSRID(ST_MakePoint(i * 37.7::numeric % 360 - 180, i * 13.3::numeric % 160 - 80), 4326) p;
CREATE TABLE part AS SELECT * FROM photo WHERE id % 5 > 0;
\set small '{"pretrain_epochs": 2, "epochs": 10, "hidden_dim": 32, "embedding_dim": 16, "frequencies": 8, "batch_size": 64, "learning_rate": 0.01'

CALL csp_train('fusion plain', 'part', 'geom', 'features', 'label', (:'small' || '}')::jsonb) \gset
CALL csp_train('fusion', 'part', 'geom', 'features', 'label', (:'small' || ', "image_classifier": true, "image_learning_rate": 0.02, "calibration": true}')::jsonb) \gset
CALL csp_train('fusion images', 'part', 'geom', 'features', 'label', (:'small' || ', "image_classifier": true, "pretrain_epochs": 0, "place_temperature": 2, "image_temperature": 0.5, "prior_strength": 0.25, "fusion_temperature": 1.5}')::jsonb) \gset
CALL csp_train('fusion dated', 'part', 'geom', 'features', 'label', (:'small' || ', "image_classifier": true, "observed_at": "observed_at"}')::jsonb) \gset

-- the place is as it would be without an image classifier
SELECT bool_and(csp_embed(geom, 'fusion') = csp_embed(geom, 'fusion plain')) AS same_embeddings,
       bool_and(csp_probabilities(geom, 'fusion') = csp_probabilities(geom, 'fusion plain')) AS calibrated_too FROM photo;
SELECT stage, count(*) FROM csp.metrics WHERE model = 'fusion' GROUP BY 1 ORDER BY 1;
SELECT m -> 'calibrated' AS calibrated, (m -> 'rows')::int BETWEEN 20 AND 80 AS rows,
       (m -> 'place' ->> 'log_loss')::float8 <= (m -> 'place' ->> 'log_loss_uncalibrated')::float8
       AND (m -> 'image' ->> 'log_loss')::float8 <= (m -> 'image' ->> 'log_loss_uncalibrated')::float8 AS no_worse,
       (m -> 'fused' ->> 'log_loss')::float8 < least((m -> 'place' ->> 'log_loss')::float8, (m -> 'image' ->> 'log_loss')::float8) AS pooled,
       (m -> 'fused' ->> 'top1')::float8 > (m -> 'place' ->> 'top1')::float8 + 0.2 AND (m -> 'fused' ->> 'top1')::float8 > (m -> 'image' ->> 'top1')::float8 + 0.2 AS better
FROM csp.models, LATERAL (SELECT metrics -> 'fusion' AS m) f WHERE name = 'fusion';
SELECT name, metrics ->> 'stage' AS stage, metrics ? 'fusion' AS measured, metrics -> 'fusion' -> 'calibrated' AS calibrated, configuration -> 'image_classifier' AS classifies,
       configuration -> 'image_side' AS image_side, (configuration ->> 'place_temperature')::float8 <> 1 AS place,
       configuration -> 'prior_strength' AS strength, configuration -> 'fusion_temperature' AS temperature
FROM csp.models WHERE name LIKE 'fusion%' AND name <> 'fusion' ORDER BY name;

SELECT q AS card FROM jsonb_array_elements_text(csp_model_card('fusion dated') -> 'queries') q WHERE q ~ 'features';
-- rows that it has not seen: both are better than each alone
SELECT avg((place.label = p.label)::int) < 0.7 AS place, avg((image.label = p.label)::int) < 0.7 AS image, avg((fused.label = p.label)::int) > 0.9 AS fused
FROM photo p, csp_classify(geom, 1, 'fusion') place, csp_classify(NULL::geometry, features, 1, 'fusion') image,
     csp_classify(geom, features, 1, 'fusion') fused
WHERE id % 5 = 0;

-- the product, by SQL
CREATE FUNCTION product(image real[], place real[], strength float8, temperature float8 DEFAULT 1) RETURNS float8[] LANGUAGE sql IMMUTABLE AS $$
    SELECT array_agg(p / s ORDER BY n) FROM (SELECT n, p, sum(p) OVER () AS s
        FROM (SELECT n, (i * place[n]::float8 ^ strength) ^ (1 / temperature) AS p FROM unnest(image) WITH ORDINALITY u (i, n)) a) b
$$;
CREATE FUNCTION distance(a anyarray, b anyarray) RETURNS float8 LANGUAGE sql IMMUTABLE AS
$$ SELECT CASE WHEN cardinality(a) = cardinality(b) THEN max(abs(x - y)) END FROM unnest(a, b) u (x, y) $$;
SELECT name, max(distance(csp_fused_probabilities(geom, features, name)::float8[],
                          product(csp_image_probabilities(features, name), csp_probabilities(geom, name),
                                  coalesce((configuration ->> 'prior_strength')::float8, 1),
                                  coalesce((configuration ->> 'fusion_temperature')::float8, 1)))) < 1e-6 AS product,
       bool_and(csp_fused_probabilities(geom, features, name) = csp_fuse(csp_image_probabilities(features, name), geom, name)) AS as_csp_fuse,
       bool_and(csp_fused_probabilities(g, features, name) = csp_fused_probabilities(geom, features, name)) AS geography,
       max(abs(1 - (SELECT sum(x) FROM unnest(csp_image_probabilities(features, name)) x))) < 1e-5 AS images_add_up
FROM photo, csp.models WHERE name IN ('fusion', 'fusion images') AND photo.id % 7 = 0 GROUP BY name ORDER BY name;
SELECT bool_and(csp_fuse(i, p, 1) = csp_fuse(i, geom, 'fusion plain')) AS model_of_strength_1, max(distance(csp_fuse(i, p, 0.3)::float8[], product(i, p, 0.3))) < 1e-6 AS strength,
       max(distance(csp_fuse(i, p, 0), i)) < 1e-6 AS none
FROM photo, LATERAL (SELECT csp_image_probabilities(features, 'fusion') AS i, csp_probabilities(geom, 'fusion plain') AS p) x WHERE id < 50;
-- the temperature of the image classifier: the root of the probabilities at 2, their square at 0.5
SELECT csp_import('fusion half', csp_export('fusion images'), '{"image_temperature": 1, "place_temperature": 1}') > 0 AS imported;
SELECT max(distance(csp_image_probabilities(features, 'fusion images')::float8[], product('{1,1,1,1}', csp_image_probabilities(features, 'fusion half'), 2))) < 1e-5 AS images,
       max(distance(csp_probabilities(geom, 'fusion images')::float8[], product('{1,1,1,1}', csp_probabilities(geom, 'fusion half'), 0.5))) < 1e-5 AS places
FROM photo WHERE id < 50;

-- classes by rank
SELECT bool_and(same) FROM photo p, LATERAL (
    SELECT array_agg(c.label ORDER BY c.rank) = (SELECT array_agg(l.label ORDER BY (csp_fused_probabilities(geom, features, 'fusion'))[l.class] DESC, l.class) FROM csp.classes l WHERE model = 'fusion')
           AND array_agg(c.probability ORDER BY c.rank) = (SELECT array_agg(x ORDER BY x DESC) FROM unnest(csp_fused_probabilities(geom, features, 'fusion')) x) AS same
    FROM csp_classify(geom, features, 'fusion') c) s WHERE id < 30;
SELECT count(*) FROM photo, csp_classify(g, features, 3, 'fusion') WHERE id <= 2;
SELECT count(*) FROM photo, csp_classify(geom, features, 2, observed_at, 'fusion dated') WHERE id <= 2;

-- what is missing: NULL, an empty point, no date
CREATE VIEW one AS SELECT geom, features, csp_image_probabilities(features, 'fusion') AS image FROM photo WHERE id = 4;
SELECT csp_fuse(NULL, geom, 'fusion') = csp_fused_probabilities(geom, NULL::real[], 'fusion') AS place, distance(csp_fuse(NULL, geom, 'fusion'), csp_probabilities(geom, 'fusion')) < 1e-6 AS scaled,
       distance(csp_fuse(image, NULL::geometry, 'fusion'), image) < 1e-6 AS image, csp_fuse(image, 'SRID=4326;POINT EMPTY'::geometry, 'fusion') = csp_fused_probabilities(NULL::geometry, features, 'fusion') AS empty,
       csp_fuse('{2,1,1,0}', NULL::geography, 'fusion') AS scaled_image, csp_fuse(NULL, NULL::geometry, 'fusion') IS NULL AS neither,
       csp_fuse(image, geom, NULL::text) IS NULL AS no_model, csp_fused_probabilities(NULL::geometry, NULL::real[], 'fusion') IS NULL AS nor,
       csp_fused_probabilities(geom, features, NULL::text) IS NULL AS named_null, csp_image_probabilities(NULL, 'fusion') IS NULL AS strict FROM one;
SELECT (SELECT count(*) FROM csp_classify(geom, NULL, 4, 'fusion')) AS place, (SELECT count(*) FROM csp_classify('SRID=4326;POINT EMPTY'::geometry, features, 4, 'fusion')) AS image,
       (SELECT count(*) FROM csp_classify(NULL::geometry, NULL, 4, 'fusion')) AS neither, (SELECT count(*) FROM csp_classify(geom, features, NULL::int, 'fusion')) AS no_k,
       (SELECT count(*) FROM csp_classify(geom, features, 4, NULL::text)) AS no_model FROM one;
SELECT csp_fused_probabilities(geom, features, NULL::timestamptz, 'fusion dated') = csp_fused_probabilities(NULL::geometry, features, '2024-07-01', 'fusion dated') AS no_date,
       csp_fused_probabilities(geom, features, '2024-07-01', 'fusion dated') <> csp_fused_probabilities(geom, features, '2024-01-01', 'fusion dated') AS dates,
       csp_fuse('{1,1,1,1}', geom, NULL::timestamptz, 'fusion dated') AS image, csp_fuse(NULL, geom, NULL::timestamptz, 'fusion dated') IS NULL AS neither,
       csp_fuse('{1,1,1,1}', NULL::geometry, 'fusion dated') AS undated FROM one;

-- in batches as row by row
CREATE TABLE hole AS
SELECT id, CASE id % 4 WHEN 0 THEN NULL WHEN 1 THEN 'SRID=4326;POINT EMPTY'::geometry ELSE geom END AS geom,
       CASE WHEN id % 3 > 0 THEN features END AS features, CASE WHEN id % 3 > 0 THEN '{0.5,0.25,0.25,0}'::real[] END AS image,
       CASE id % 7 WHEN 0 THEN NULL WHEN 1 THEN 'fusion images' ELSE 'fusion' END AS model, CASE WHEN id % 5 > 0 THEN observed_at END AS observed_at,
       CASE WHEN id % 11 > 0 THEN id % 3 + 1 END AS k
FROM photo;
CREATE TABLE huge AS
SELECT n AS id, geom, CASE WHEN n = 21 THEN array_fill(3.4e38::real, ARRAY[6]) ELSE features END AS f
FROM (SELECT row_number() OVER (ORDER BY id) AS n, * FROM photo) p ORDER BY n;
CREATE FUNCTION answers(query text, batch boolean) RETURNS text LANGUAGE plpgsql AS $$
DECLARE answer text;
BEGIN
    PERFORM set_config('csp.enable_batch', batch::text, true);
    EXECUTE format('SELECT md5(string_agg(q::text, '';'')) || '' of '' || count(*) FROM (%s) q', query) INTO answer;
    RETURN answer;
EXCEPTION WHEN others THEN
    RETURN sqlstate || ' ' || sqlerrm;
END $$;
CREATE FUNCTION batches(query text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE line text; batches bigint := 0;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
        batches := batches + (line ~ 'CspBatch')::int;
    END LOOP;
    RETURN batches;
END $$;
SELECT batches(q), answers(q, true) = answers(q, false) AS same, substring(answers(q, true) FROM ' of .*| .*') AS rows, q AS query FROM unnest(ARRAY[
$$SELECT id, csp_image_probabilities(features, 'fusion') FROM hole$$,
$$SELECT id, csp_fused_probabilities(geom, features, 'fusion') FROM hole$$,
$$SELECT id, csp_fused_probabilities(geom, features, 'fusion images'), csp_probabilities(geom, 'fusion images'), csp_embed(geom, 'fusion images') FROM hole$$,
$$SELECT id, csp_fused_probabilities(geom, features, model) FROM hole$$,
$$SELECT id, csp_fused_probabilities(g, features, 'fusion') FROM photo$$,
$$SELECT id, csp_fused_probabilities(geom, features, observed_at, 'fusion dated') FROM hole$$,
$$SELECT id, csp_fuse(image, geom, 'fusion'), csp_fuse(image, geom, model) FROM hole$$,
$$SELECT id, csp_fuse(image, geom, observed_at, 'fusion dated') FROM hole$$,
$$SELECT id, csp_fuse(csp_image_probabilities(features, 'fusion'), geom, 'fusion') FROM hole$$,
$$SELECT id, csp_fuse(csp_image_probabilities(features, 'fusion'), csp_probabilities(geom, 'fusion'), 0.5) FROM hole$$,
$$SELECT id, c.* FROM hole, csp_classify(geom, features, 2, 'fusion') c$$,
$$SELECT id, c.* FROM hole, csp_classify(geom, features, k, model) c$$,
$$SELECT id, c.* FROM hole LEFT JOIN LATERAL csp_classify(geom, features, 'fusion images') c ON c.rank <= 2$$,
$$SELECT id, c.* FROM hole, csp_classify(geom, features, k, observed_at, 'fusion dated') c$$,
$$SELECT id, csp_classify(geom, features, k, 'fusion') FROM hole$$,
$$SELECT id, (SELECT label FROM csp_classify(h.geom, h.features, 1, 'fusion')) FROM hole h$$,
$$SELECT count(*) FROM hole WHERE (csp_fused_probabilities(geom, features, 'fusion'))[1] > 0.5$$,
-- features whose scores overflow, not asked for and asked for
$$SELECT id, csp_image_probabilities(f, 'fusion') FROM huge LIMIT 20$$,
$$SELECT id, csp_image_probabilities(f, 'fusion') FROM huge LIMIT 21$$,
$$SELECT id, csp_fused_probabilities(geom, f, 'fusion') FROM huge LIMIT 20$$,
$$SELECT id, csp_fused_probabilities(geom, f, 'fusion') FROM huge LIMIT 21$$,
$$SELECT id, csp_fused_probabilities(NULL::geometry, f, 'fusion') FROM huge LIMIT 21$$,
$$SELECT id, c.* FROM huge, csp_classify(geom, f, 1, 'fusion') c LIMIT 20$$,
$$SELECT id, c.* FROM huge, csp_classify(geom, f, 1, 'fusion') c LIMIT 21$$,
-- errors
$$SELECT id, csp_fused_probabilities(geom, features, 'fusion plain') FROM hole$$,
$$SELECT id, csp_image_probabilities(features, 'fusion plain') FROM hole$$,
$$SELECT id, csp_fused_probabilities(geom, features, observed_at, 'fusion') FROM hole WHERE id % 4 = 0$$,
$$SELECT id, csp_fused_probabilities(geom, features, 'fusion dated') FROM hole$$,
$$SELECT id, csp_fused_probabilities(geom, features[1:5], 'fusion') FROM hole$$,
$$SELECT id, c.* FROM hole, csp_classify(geom, features, k - 2, model) c$$,
$$SELECT id, c.* FROM hole, csp_classify(NULL::geometry, NULL::real[], 0, model) c$$]) q;

-- a file has all of it, and an earlier library is told
SELECT csp_import('fusion copy', csp_export('fusion')) > 0 AS imported;
SELECT bool_and(csp_fused_probabilities(geom, features, 'fusion copy') = csp_fused_probabilities(geom, features, 'fusion')) AS same FROM photo;
SELECT position('"csp_ext.format":"2"' IN encode(substr(csp_export('fusion'), 1, 100000), 'escape')) > 0 AS new,
       position('"csp_ext.format":"1"' IN encode(substr(csp_export('fusion plain'), 1, 100000), 'escape')) > 0 AS as_before;

-- errors
SELECT csp_image_probabilities('{1,2,3}', 'fusion');
SELECT csp_image_probabilities('{1,2,3,4,5,NaN}', 'fusion');
SELECT csp_image_probabilities(features, 'fusion plain') FROM one;
SELECT csp_similarity(geom, features, 'fusion images') FROM one;
SELECT csp_embed_image(features, 'fusion images') FROM one;
SELECT csp_image_probabilities(array_fill(3.4e38::real, ARRAY[6]), 'fusion');
SELECT csp_fuse('{0.5,0.5}', '{0.5,0.25,0.25}', 1);
SELECT csp_fuse('{0.5,0.5}', '{0.5,0.5}', -1);
SELECT csp_fuse('{0,0}', '{0.5,0.5}', 0.5);
SELECT csp_fuse(NULL, '{0.5,0.5}', 0.5) IS NULL AS strict;
CALL csp_train('fusion bad', 'part', 'geom', 'features', options => '{"image_classifier": true}');
CALL csp_train('fusion bad', 'part', 'geom', label => 'label', options => '{"image_classifier": true}');
CALL csp_train('fusion bad', 'part', 'geom', 'features', options => '{"calibration": true}');
CALL csp_train('fusion bad', 'part', 'geom', 'features', 'label', '{"calibration": true, "validation_fraction": 0}');
CALL csp_train('fusion bad', 'part', 'geom', 'features', 'label', '{"image_classifier": true, "epochs": 0}');
CALL csp_train('fusion bad', 'part', 'geom', 'features', 'label', '{"place_temperature": 0}');
CALL csp_train('fusion bad', 'part', 'geom', 'features', 'label', '{"prior_strength": 1000.5}');
CALL csp_train('fusion bad', 'part', 'geom', 'features', 'label', '{"fusion_temperature": 0.001}');
SELECT count(*) FROM csp.models WHERE name = 'fusion bad';

DROP SCHEMA fusion CASCADE;

-- Queries on the models of test train.
SET client_min_messages = warning;
CREATE VIEW rome AS SELECT ST_SetSRID(ST_MakePoint(12.5, 41.9), 4326) AS geom;

-- geometry, geography, other SRIDs, Z and M, a bounding box, longitudes that wrap: one place, one answer
SELECT array_length(csp_embed(geom, 'both'), 1) AS dim,
       csp_embed(geom, 'both') = csp_embed(geom::geography, 'both') AS geography,
       csp_embed(geom, 'both') = csp_embed(ST_Force4D(geom), 'both') AS zm,
       csp_embed(geom, 'both') = csp_embed(postgis_addbbox(geom), 'both') AS bbox,
       csp_embed(geom, 'both') = csp_embed(ST_Translate(geom, 360, 0), 'both') AS wrapped,
       csp_embed(geom, 'both') = csp_embed(ST_Translate(geom, -720, 0), 'both') AS wrapped_twice
FROM rome;
SELECT max(abs(a - b)) < 1e-3 AS projected
FROM rome, unnest(csp_embed(geom, 'bands'), csp_embed(ST_Transform(geom, 3857), 'bands')) AS e (a, b);

-- NULL and empty
SELECT csp_embed(NULL::geometry, 'both') IS NULL, csp_embed('SRID=4326;POINT EMPTY'::geometry, 'both') IS NULL,
       csp_embed('SRID=4326;POLYGON EMPTY'::geometry, 'both') IS NULL, csp_embed(geom, NULL) IS NULL,
       csp_similarity(geom, NULL, 'both') IS NULL, csp_probability(geom, NULL, 'both') IS NULL FROM rome;
SELECT count(*) FROM csp_classify('SRID=4326;POINT EMPTY'::geometry, 3, 'both');

-- probabilities, in the order of csp.classes
SELECT array_length(csp_probabilities(geom, 'both'), 1), abs((SELECT sum(p) FROM unnest(csp_probabilities(geom, 'both')) p) - 1) < 1e-5 AS sums_to_1 FROM rome;
SELECT count(*), bool_and(abs(csp_probability(geom, c.label, c.model) - (csp_probabilities(geom, c.model))[c.class]) < 1e-6) AS same
FROM rome, csp.classes c WHERE c.model IN ('both', 'published');
SELECT rank, label, probability = max(probability) OVER () AS most FROM rome, csp_classify(geom, 100, 'bands') ORDER BY rank LIMIT 1;
SELECT count(*) FROM rome, csp_classify(geom, 'both'), csp_classify(geom::geography, 2, 'both') AS two;

SELECT array_agg(f) = (SELECT array_agg(k) FROM csp_classify(geom, 5, 'both') k) AS five
FROM rome, csp_classify(geom, 'both') f GROUP BY geom;
SELECT count(*) FROM csp_classify('SRID=4326;POINT EMPTY'::geometry, 'both');

-- the k most probable of probabilities that are there already
SELECT (SELECT array_agg(c) FROM csp.classify_probabilities(csp_probabilities(geom, m), k, m) c) =
       (SELECT array_agg(c) FROM csp_classify(geom, k, m) c) AS same
FROM rome, (VALUES ('both', 2), ('published', 3), ('bands', 100)) v (m, k);
SELECT * FROM csp.classify_probabilities('{0.25,0.5,0.25}', 2, 'both');
SELECT rank, label FROM csp.classify_probabilities('{0,0,0}', 3, 'both');
SELECT (SELECT count(*) FROM csp.classify_probabilities(NULL, 2, 'both')) AS no_array,
       (SELECT count(*) FROM csp.classify_probabilities('{1,0,0}', NULL, 'both')) AS no_k;

-- fused with a classifier of images: the product, scaled to 1
SELECT m, max(abs(f - i * p / s)) < 1e-6 AS product, abs(sum(f) - 1) < 1e-6 AS sums_to_1
FROM rome, (VALUES ('both'), ('published')) v (m),
     LATERAL (SELECT sum(i * p) AS s FROM unnest('{0.6,0.3,0.1}'::real[], csp_probabilities(geom, m)) x (i, p)) t,
     unnest(csp_fuse('{0.6,0.3,0.1}', geom, m), '{0.6,0.3,0.1}'::real[], csp_probabilities(geom, m)) x (f, i, p)
GROUP BY m ORDER BY m;
SELECT max(abs(a - b)) < 1e-6 AS any_scale FROM rome, unnest(csp_fuse('{6,3,1}', geom, 'both'), csp_fuse('{0.6,0.3,0.1}', geom::geography, 'both')) x (a, b);
SELECT csp_fuse('{0,2,0}', geom, 'both') AS certain, csp_fuse('{1e-45,0,0}', geom, 'both') AS tiny FROM rome;
SELECT csp_fuse(NULL, geom, 'both') = csp_fused_probabilities(geom, NULL::real[], 'both') AS place_alone, csp_fuse('{1,1,2}', NULL::geometry, 'both') AS image_alone,
       csp_fuse('{1,1,2}', 'SRID=4326;POINT EMPTY'::geometry, 'both') AS nowhere, csp_fuse(NULL, 'SRID=4326;POINT EMPTY'::geometry, 'both') IS NULL AS neither,
       csp_fuse('{1,1,1}', geom, NULL::text) IS NULL AS no_model FROM rome;

-- cosine of place and image
SELECT abs(csp_similarity(geom, features, 'both') - s) < 1e-5 AS cosine
FROM (SELECT geom, features, (SELECT sum(a * b) / sqrt(sum(a * a) * sum(b * b))
      FROM unnest(csp_embed(geom, 'both'), csp_embed_image(features, 'both')) e (a, b)) AS s FROM places LIMIT 1) x;

-- versions and the setting csp.model
SELECT csp_embed(geom, 'seeds') = csp_embed(geom, 'seeds@3') AS deployed FROM rome;
SET csp.model = 'seeds@1';
SELECT csp_embed(geom) = csp_embed(geom, 'seeds@1') AS by_setting FROM rome;
SET csp.model = 'both';
SELECT array_length(csp_embed(geom), 1) AS dim FROM rome;
RESET csp.model;

-- prepared statements, PL/pgSQL, parallel workers, a cache that is too small
PREPARE embed(text) AS SELECT array_length(csp_embed(geom, $1), 1) FROM rome;
EXECUTE embed('both'); EXECUTE embed('bands');
SET csp.model_cache_size = 0;
SELECT sum((csp_embed(geom, m))[1]) IS NOT NULL AS alternating FROM places, (VALUES ('both'), ('bands')) v (m);
RESET csp.model_cache_size;
CREATE TABLE many AS SELECT p.* FROM places p, generate_series(1, 20);
ANALYZE many;
SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0;
EXPLAIN (COSTS off) SELECT count(csp_probability(geom, 'north', 'bands')) FROM many;
SELECT count(*) = sum((p > 0.5)::int) AS north FROM (SELECT csp_probability(geom, 'north', 'bands') AS p FROM many WHERE ST_Y(geom) > 50) x;
RESET ALL;
SET client_min_messages = warning;
DROP TABLE many;

-- errors
SELECT csp_embed(geom) FROM rome;
\echo :SQLSTATE
SELECT csp_embed(geom, 'nobody') FROM rome;
\echo :SQLSTATE
SELECT csp_embed(geom, 'both@9') FROM rome;
\echo :SQLSTATE
SELECT csp_embed(geom, '') FROM rome;
\echo :SQLSTATE
SELECT csp_embed(ST_SetSRID(geom, 0), 'both') FROM rome;
\echo :SQLSTATE
SELECT csp_embed(ST_SetSRID(geom, 990000), 'both') FROM rome;
\echo :SQLSTATE
SELECT csp_embed(ST_Buffer(geom, 1), 'both') FROM rome;
\echo :SQLSTATE
SELECT csp_embed('SRID=4326;POINT(1 91)'::geometry, 'both');
\echo :SQLSTATE
SELECT csp_embed(ST_SetSRID(ST_MakePoint('Infinity', 0), 4326), 'both');
\echo :SQLSTATE
SELECT csp_embed(ST_SetSRID(ST_MakePoint('Infinity', 0), 3857), 'both');
\echo :SQLSTATE
SELECT csp_embed_image('{1,2}', 'both');
\echo :SQLSTATE
SELECT csp_embed_image('{1,2,3,4,5,6,7,NaN}', 'both');
\echo :SQLSTATE
SELECT csp_embed_image('{1,2,3,4,5,6,7,NULL}', 'both');
\echo :SQLSTATE
SELECT csp_embed_image('{{1,2},{3,4}}', 'both');
\echo :SQLSTATE
SELECT csp_embed_image('{}', 'both');
\echo :SQLSTATE
SELECT csp_embed_image('{1}', 'supervised');
\echo :SQLSTATE
SELECT csp_similarity(geom, '{1}', 'supervised') FROM rome;
\echo :SQLSTATE
SELECT csp_probabilities(geom, 'pretrained') FROM rome;
\echo :SQLSTATE
SELECT csp_probability(geom, 'nowhere', 'both') FROM rome;
\echo :SQLSTATE
SELECT csp_classify(geom, 0, 'both') FROM rome;
\echo :SQLSTATE
SELECT csp_classify(geom, 'pretrained') FROM rome;
\echo :SQLSTATE
SELECT csp_classify(geom) FROM rome;
\echo :SQLSTATE
SELECT csp.classify_probabilities('{1,0,0}', 0, 'both');
\echo :SQLSTATE
SELECT csp.classify_probabilities('{1,0}', 1, 'both');
\echo :SQLSTATE
SELECT csp.classify_probabilities('{1,0,NaN}', 1, 'both');
\echo :SQLSTATE
SELECT csp.classify_probabilities('{1,0,NULL}', 1, 'both');
\echo :SQLSTATE
SELECT csp.classify_probabilities('{1,0,0}', 1, 'nobody');
\echo :SQLSTATE
SELECT csp.classify_probabilities('{1,0,0}', 1, 'pretrained');
\echo :SQLSTATE
SELECT csp_fuse('{1,0}', geom, 'both') FROM rome;
\echo :SQLSTATE
SELECT csp_fuse('{}', geom, 'both') FROM rome;
\echo :SQLSTATE
SELECT csp_fuse('{{1,0,0}}', geom, 'both') FROM rome;
\echo :SQLSTATE
SELECT csp_fuse('{1,0,NULL}', geom, 'both') FROM rome;
\echo :SQLSTATE
SELECT csp_fuse('{1,0,NaN}', geom, 'both') FROM rome;
\echo :SQLSTATE
SELECT csp_fuse('{Infinity,0,0}', geom, 'both') FROM rome;
\echo :SQLSTATE
SELECT csp_fuse('{1,-1e-9,0}', geom, 'both') FROM rome;
\echo :SQLSTATE
SELECT csp_fuse('{0,0,0}', geom, 'both') FROM rome;
\echo :SQLSTATE
SELECT csp_fuse('{1,0,0}', geom, 'pretrained') FROM rome;
\echo :SQLSTATE
SELECT csp_fuse('{1,0,0}', ST_SetSRID(geom, 0), 'both') FROM rome;
\echo :SQLSTATE
SELECT csp_fuse('{1,0,0}', geom, 'nobody') FROM rome;
\echo :SQLSTATE
SELECT csp.catalog_changed();

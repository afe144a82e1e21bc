-- Places for images and images for places: cosines of stored embeddings, beside what the model says itself.
SET client_min_messages = warning;
SET extra_float_digits = 0;

SELECT csp_cosine('{1,0}', '{1,0}'), csp_cosine('{1,0}', '{0,2}'), csp_cosine('{1,2}', '{-2,-4}'), csp_cosine('{3,4}', '{4,3}') AS "0.96";
SELECT csp_cosine('{0,0}', '{1,2}') AS zero, csp_cosine('{}', '{}') AS empty, csp_cosine(NULL, '{1}') AS nothing, csp_cosine('{1}', NULL);
SELECT csp_cosine(ARRAY[1, 2]::float8[]::real[], '[5:6]={1,2}') AS "other bounds";

SELECT csp_cosine('{1,2}', '{1e30,2e30}') AS large, csp_cosine('{3e38,0}', '{-3e38,0}') AS largest, csp_cosine('{3e-23,1e-23}', '{1,2}') AS small,
       csp_cosine('{1e-30,1e-30}', '{0,1e-30}') AS smaller, csp_cosine('{1e30,0}', '{0,1}') AS orthogonal;
-- What is no vector of the same kind.
SELECT csp_cosine('{1,2}', '{1,2,3}');
SELECT csp_cosine('{1,2}', '{1,NULL}');
SELECT csp_cosine('{{1,2},{3,4}}', '{1,2,3,4}');
SELECT csp_cosine('{1,NaN}', '{1,2}');
SELECT csp_cosine('{1,2}', '{Infinity,2}');
SELECT csp_cosine('{0,0}', '{0,Infinity}');
SELECT csp_cosine('{0,1}', '{0,NaN}');
SELECT csp_cosine('POINT(1 2)', '{1}');

-- Stored embeddings, of places and of images, give the cosines of csp_similarity.
CREATE TABLE gallery AS
SELECT id, geom, features, csp_embed(geom, 'both') AS place, csp_embed_image(features, 'both') AS image FROM places;
SELECT count(*) > 100 AS places, max(abs(csp_cosine(place, image) - csp_similarity(geom, features, 'both'))) < 1e-6 AS same FROM gallery;

-- The nearest places to an image: with stored embeddings, without any, and as many dot products by hand.
CREATE VIEW nearest_places AS
SELECT i.id AS image, n.rank, n.id FROM (SELECT * FROM gallery WHERE id % 50 = 0) i,
    LATERAL (SELECT row_number() OVER (ORDER BY csp_cosine(p.place, i.image) DESC, p.id) AS rank, p.id FROM gallery p
             ORDER BY 1 LIMIT 5) n;
CREATE VIEW nearest_places_by_hand AS
SELECT * FROM (
    SELECT i.id AS image, row_number() OVER (PARTITION BY i.id ORDER BY (
               SELECT sum(a::float8 * b) / sqrt(sum(a::float8 * a) * sum(b::float8 * b)) FROM unnest(p.place, i.image) u (a, b))::real DESC, p.id) AS rank, p.id
    FROM gallery i, gallery p WHERE i.id % 50 = 0) r
WHERE rank <= 5;
SELECT count(*) > 10 AS pairs, avg((a.id = b.id)::int) > 0.95 AS same FROM nearest_places a JOIN nearest_places_by_hand b USING (image, rank);
WITH image AS MATERIALIZED (SELECT features, image FROM gallery WHERE id = 100)
SELECT ARRAY(SELECT id FROM gallery ORDER BY csp_similarity(geom, (SELECT features FROM image), 'both') DESC, id LIMIT 5)
     = ARRAY(SELECT id FROM gallery ORDER BY csp_cosine(place, (SELECT image FROM image)) DESC, id LIMIT 5) AS same;

-- The nearest images to a place.
SELECT ARRAY(SELECT id FROM gallery ORDER BY csp_cosine(image, (SELECT csp_embed(geom, 'both') FROM gallery WHERE id = 7)) DESC, id LIMIT 5)
     = ARRAY(SELECT id FROM gallery ORDER BY csp_similarity((SELECT geom FROM gallery WHERE id = 7), features, 'both') DESC, id LIMIT 5) AS "images for a place";

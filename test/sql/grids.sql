-- Grids of a prior: cells as PostGIS has them, with what the model says of their centres.
SET client_min_messages = warning;
SET csp.model = 'both';

SELECT id, i, j, ST_AsEWKT(geom) AS geom, round(probability::numeric, 3) BETWEEN 0 AND 1 AS probability
FROM csp_prior_grid(ST_MakeEnvelope(0, 0, 2, 2, 4326), 1, 'north');

-- Squares and hexagons are those of PostGIS, without the ones that only touch the bounds.
CREATE FUNCTION differences(bounds geometry, size float8, shape text) RETURNS TABLE (missing bigint, extra bigint, cells bigint) LANGUAGE SQL AS $$
    WITH given AS (SELECT i, j, geom FROM csp_prior_grid(bounds, size, 'north', shape => shape)),
    expected AS (
        SELECT i, j, geom FROM ST_SquareGrid(size, bounds) WHERE shape = 'square'
            AND ST_Area(ST_Intersection(geom, ST_Envelope(bounds))) > 1e-9 * size * size
        UNION ALL SELECT i, j, geom FROM ST_HexagonGrid(size, bounds) WHERE shape = 'hexagon' AND ST_Intersects(geom, bounds))
    SELECT (SELECT count(*) FROM (SELECT i, j, ST_AsEWKB(geom) FROM expected EXCEPT SELECT i, j, ST_AsEWKB(geom) FROM given) m),
           (SELECT count(*) FROM (SELECT i, j, ST_AsEWKB(geom) FROM given EXCEPT SELECT i, j, ST_AsEWKB(geom) FROM expected) e),
           (SELECT count(*) FROM given) $$;
SELECT * FROM differences(ST_MakeEnvelope(-3.7, -41.2, 12.1, -30, 4326), 0.7, 'square');
SELECT * FROM differences(ST_MakeEnvelope(-10, -10, 10, 10, 4326), 1, 'square');
SELECT * FROM differences(ST_MakeEnvelope(-3.7, -41.2, 12.1, -30, 4326), 0.7, 'hexagon');
SELECT * FROM differences(ST_MakeEnvelope(500000, 5100000, 900000, 5400000, 32632), 30000, 'square');
SELECT * FROM differences(ST_MakeEnvelope(500000, 5100000, 900000, 5400000, 32632), 30000, 'hexagon');

-- The probability is that of the centre, whatever the shape and the SRID; id counts.
SELECT bool_and(probability = csp_probability(ST_Centroid(geom), 'north')) AS same, count(*) = max(id) AND min(id) = 1 AS keys
FROM csp_prior_grid(ST_MakeEnvelope(-20, -20, 20, 20, 4326), 2.5, 'north');
SELECT max(abs(probability - csp_probability(ST_Centroid(geom), 'north'))) < 1e-5 AS same, min(ST_SRID(geom)) AS srid
FROM csp_prior_grid(ST_MakeEnvelope(500000, 5100000, 900000, 5400000, 32632), 20000, 'north', shape => 'hexagon');
SELECT bool_and(a.probability = b.probability) AS same
FROM csp_prior_grid(ST_MakeEnvelope(-20, -20, 20, 20, 4326), 2.5, 'north', 'both') a
JOIN csp_prior_grid(ST_MakeEnvelope(-20, -20, 20, 20, 4326), 2.5, 'north') b USING (i, j);
SET csp.enable_batch = off;
SELECT bool_and(probability = csp_probability(ST_Centroid(geom), 'north')) AS "row by row" FROM csp_prior_grid(ST_MakeEnvelope(-20, -20, 20, 20, 4326), 2.5, 'north');
RESET csp.enable_batch;

-- Polygons cut the cells, into as many parts as they leave; the parts cover them, and only they.
CREATE TABLE area AS SELECT * FROM (VALUES
    ('disc', ST_Buffer('SRID=4326;POINT(3 4)'::geometry, 5)),
    ('ring', ST_Difference(ST_Buffer('SRID=4326;POINT(3 4)'::geometry, 5), ST_Buffer('SRID=4326;POINT(3 4)'::geometry, 3))),
    ('comb', ST_Union(ARRAY(SELECT ST_MakeEnvelope(k * 0.3, 0, k * 0.3 + 0.1, 3, 4326) FROM generate_series(0, 9) k))),
    ('multi', ST_Collect(ST_MakeEnvelope(170, -20, 180, -10, 4326), ST_MakeEnvelope(-180, -20, -170, -10, 4326)))) a (name, geom);
SELECT name, shape, count(*) > count(DISTINCT (i, j)) OR name <> 'comb' AS "several parts", bool_and(GeometryType(g.geom) = 'POLYGON') AS polygons,
       abs(sum(ST_Area(g.geom)) - ST_Area(a.geom)) < 1e-6 AS covered, count(*) = count(DISTINCT id) AS keys, bool_and(probability BETWEEN 0 AND 1) AS answers
FROM area a, (VALUES ('square'), ('hexagon')) s (shape), csp_prior_grid(a.geom, 1, 'north', shape => shape) g
GROUP BY name, shape, a.geom ORDER BY 1, 2;

-- Over the antimeridian, over a pole, around a pole in a projection, and where a projection has no places.
SELECT count(*), bool_and(probability = csp_probability(ST_SetSRID(ST_MakePoint(ST_X(ST_Centroid(geom)) - 360, ST_Y(ST_Centroid(geom))), 4326), 'north')) AS wraps
FROM csp_prior_grid(ST_MakeEnvelope(181, -20, 190, -10, 4326), 1, 'north');
SELECT count(*) AS cells, max(ST_YMax(geom)) AS "to the pole" FROM csp_prior_grid(ST_MakeEnvelope(0, 80, 10, 100, 4326), 1, 'north');
SELECT count(*) AS cells, bool_and(probability IS NOT NULL) AS answers FROM csp_prior_grid(ST_MakeEnvelope(-1e6, -1e6, 1e6, 1e6, 3995), 250000, 'north');
-- (World Robinson: the corners of its box are no places.)
SELECT count(*) BETWEEN 1000 AND 2300 AS "some are left out", bool_and(probability IS NOT NULL) AS answers
FROM csp_prior_grid(ST_MakeEnvelope(-17e6, -8.5e6, 17e6, 8.5e6, 54030), 5e5, 'north');

-- The most probable class, and the entropy of all.
SELECT bool_and(g.label = c.label AND g.probability = c.probability) AS same,
       bool_and(abs(entropy - (SELECT -sum(p * ln(p)) FROM unnest(csp_probabilities(ST_Centroid(geom))) p)) < 1e-4) AS entropy, count(*)
FROM csp_class_grid(ST_MakeEnvelope(-40, -40, 40, 40, 4326), 10) g, csp_classify(ST_Centroid(g.geom), 1) c;
SELECT count(*) FROM csp_class_grid(ST_MakeEnvelope(-40, -40, 40, 40, 4326), 20, 'both', 'hexagon') WHERE label IS NOT NULL;

-- The embedding's colours: uncorrelated over the area, the first one with the most variance, the same every time.
CREATE TABLE colours AS SELECT *, csp_embed(ST_Centroid(geom)) AS e FROM csp_embedding_grid(ST_MakeEnvelope(-60, -60, 60, 60, 4326), 3);
SELECT count(*), min(red) >= 0 AND max(red) <= 255 AS bytes, bool_and(colour ~ '^#[0-9a-f]{6}$') AS hex, count(DISTINCT colour) > 200 AS many,
       abs(corr(red, green)) < 0.2 AND abs(corr(red, blue)) < 0.2 AND abs(corr(green, blue)) < 0.2 AS uncorrelated
FROM colours;
SELECT bool_and(c.colour = g.colour) AS same FROM colours c JOIN csp_embedding_grid(ST_MakeEnvelope(-60, -60, 60, 60, 4326), 3, 'both') g USING (id);
WITH basis AS (SELECT csp.principal_components(e) AS b, count(*) AS n, max(cardinality(e)) AS d FROM colours),
     score AS (SELECT k.c, sum((u.x - b[u.i]) * b[k.c * d + u.i]) AS s, b[4 * d + k.c] AS deviation
               FROM colours, basis, generate_series(1, 3) k (c), unnest(e) WITH ORDINALITY u (x, i) GROUP BY id, k.c, b, d)
SELECT c, abs(avg(s)) < 1e-3 AS centred, abs(stddev_pop(s) / avg(deviation) - 1) < 0.01 AS deviation FROM score GROUP BY c ORDER BY c;
SELECT csp.principal_components(ARRAY[1, 2]::real[]) AS "one row", (SELECT csp.principal_components(e) FROM colours WHERE false) AS "no rows";
SELECT csp.principal_components(ARRAY[k, 2 * k]::real[])::float8[] AS "a line" FROM generate_series(1, 3) k;

-- Nothing in, nothing out.
SELECT count(*) FROM csp_prior_grid(NULL, 1, 'north');
SELECT count(*) FROM csp_prior_grid(ST_MakeEnvelope(0, 0, 2, 2, 4326), NULL, 'north');
SELECT count(*), count(probability) FROM csp_prior_grid(ST_MakeEnvelope(0, 0, 2, 2, 4326), 1, NULL);

-- What cannot be.
SELECT * FROM csp_prior_grid('SRID=4326;POLYGON EMPTY', 1, 'north');
SELECT * FROM csp_prior_grid(ST_MakeEnvelope(0, 0, 1, 1), 1, 'north');
SELECT * FROM csp_prior_grid('SRID=4326;LINESTRING(0 0, 1 1)', 1, 'north');
SELECT * FROM csp_prior_grid(ST_MakeEnvelope(0, 0, 1, 1, 4326), 0, 'north');
SELECT * FROM csp_prior_grid(ST_MakeEnvelope(0, 0, 1, 1, 4326), -1, 'north');
SELECT * FROM csp_prior_grid(ST_MakeEnvelope(0, 0, 1, 1, 4326), 'NaN', 'north');
SELECT * FROM csp_prior_grid(ST_MakeEnvelope(0, 0, 1, 1, 4326), 'Infinity', 'north');
SELECT * FROM csp_prior_grid(ST_MakeEnvelope(0, 0, 1, 1, 4326), 1, 'north', shape => 'triangle');
SELECT * FROM csp_prior_grid(ST_MakeEnvelope(0, 0, 1, 1, 4326), 1, 'nowhere');
SELECT * FROM csp_prior_grid(ST_MakeEnvelope(0, 0, 1, 1, 4326), 1, 'north', 'nothing');
SELECT * FROM csp_class_grid(ST_MakeEnvelope(0, 0, 1, 1, 4326), 1, 'pretrained');
SELECT * FROM csp_prior_grid(ST_MakeEnvelope(0, 0, 1, 1, 4326), 1e-5, 'north');
SELECT * FROM csp_prior_grid(ST_MakeEnvelope(0, 0, 1, 1, 4326), 1e-300, 'north');
SET csp.max_cells = 99;
SELECT count(*) FROM csp_prior_grid(ST_MakeEnvelope(0, 0, 1, 1, 4326), 0.1, 'north');
RESET csp.max_cells;
SELECT * FROM csp_prior_grid(ST_MakeEnvelope(1e15, 0, 1e15 + 1, 1, 3857), 0.5, 'north');
SELECT csp.principal_components(e) FROM (VALUES ('{1,2}'::real[]), ('{1}')) v (e);
SELECT csp.embedding_colour('{1,2}', '{1,2}');
DROP FUNCTION differences;

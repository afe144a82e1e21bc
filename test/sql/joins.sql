-- The joins of doc/maps.md, held to what they should give. Follows layers: its role and its models.
-- The model: 'north' above 30 degrees, 'south' below -30, 'middle' between.
SET client_min_messages = warning;
SET ROLE csp_test_mapper;
SET search_path = maps, public;
SET csp.model = 'places';
CALL csp_train('places', 'places', location => 'geom', label => 'label',
    options => '{"position_encoding": "xyz", "epochs": 40, "learning_rate": 0.005, "fine_tune_batch_size": 32, "embedding_dim": 32, "seed": 3}') \g /dev/null
CREATE TABLE parks AS SELECT * FROM (VALUES
    ('arctic', ST_Buffer('SRID=4326;POINT(20 62)'::geometry, 4.5)),
    ('tropic', ST_MakeEnvelope(15.3, -4.7, 22.8, 3.1, 4326)),
    ('tiny', ST_MakeEnvelope(20.01, -60.02, 20.02, -60.01, 4326))) p (name, geom);
CALL csp_create_prior_layer('prior_map', ST_MakeEnvelope(-40, -80, 60, 80, 4326), 1, '{north}', 'places');
CREATE TABLE observations AS SELECT id, geom, label FROM places;
-- Records that must be mistakes: of the north, in the south.
INSERT INTO observations SELECT 1000 + n, ST_SetSRID(ST_MakePoint(n * 10, -60), 4326), 'north' FROM generate_series(1, 5) n;

-- Mean prior per park: by cells cut at its edge, and by those of a layer that is there.
CREATE TABLE by_grid AS
    SELECT p.name, sum(g.probability * ST_Area(g.geom)) / sum(ST_Area(g.geom)) AS mean
    FROM parks p, csp_prior_grid(p.geom, 0.25, 'north', 'places') g
    GROUP BY p.name;
CREATE TABLE by_layer AS
    SELECT p.name, sum(l.probability * ST_Area(c.part)) / sum(ST_Area(c.part)) AS mean
    FROM parks p JOIN prior_map l ON ST_Intersects(p.geom, l.geom), ST_Intersection(p.geom, l.geom) AS c (part)
    GROUP BY p.name;
SELECT name, g.mean > 0.9 AS high, g.mean < 0.1 AS low, abs(g.mean - l.mean) < 0.05 AS agree FROM by_grid g JOIN by_layer l USING (name) ORDER BY 1;
SELECT abs(mean - csp_probability('SRID=4326;POINT(20.015 -60.015)'::geometry, 'north')) < 1e-4 AS "the tiny one is that place" FROM by_grid WHERE name = 'tiny';

-- Records that the prior finds implausible.
CREATE TABLE doubtful AS
    SELECT o.id, o.geom, o.label, csp_probability(o.geom, o.label, 'places') AS probability, c.label AS expected, c.probability AS expected_probability
    FROM observations o, csp_classify(o.geom, 1, 'places') c
    WHERE csp_probability(o.geom, o.label, 'places') < 0.05
    ORDER BY probability;
SELECT count(*) FILTER (WHERE id > 1000) AS planted, count(*) FILTER (WHERE id <= 1000) AS others, bool_and(expected = 'south') FILTER (WHERE id > 1000) AS expected FROM doubtful;
SELECT bool_and(id > 1000) AS "planted ones come first" FROM (SELECT id FROM doubtful ORDER BY probability LIMIT 5) f;

-- The nearest plausible place.
CREATE TABLE nearest AS
    SELECT d.id, n.id AS cell, ST_Distance(d.geom, n.geom) AS degrees
    FROM doubtful d CROSS JOIN LATERAL
        (SELECT l.id, l.geom FROM prior_map l WHERE l.probability >= 0.5 ORDER BY l.geom <-> d.geom LIMIT 1) n
    WHERE d.label = 'north';
SELECT count(*) >= 5 AS found, bool_and(abs(n.degrees - (SELECT min(ST_Distance(d.geom, l.geom)) FROM prior_map l WHERE l.probability >= 0.5)) < 1e-9) AS nearest
FROM nearest n JOIN doubtful d USING (id);
SET enable_seqscan = off;
EXPLAIN (COSTS OFF) SELECT id FROM prior_map WHERE probability >= 0.5 ORDER BY geom <-> 'SRID=4326;POINT(20 -60)'::geometry LIMIT 1;
RESET enable_seqscan;

-- The prior along a route.
CREATE TABLE routes AS SELECT 'northward' AS name, 'SRID=4326;LINESTRING(20 -70, 20 70)'::geometry AS geom;
CREATE TABLE profile AS
    SELECT n AS stop, n / 50.0 AS fraction, csp_probability(ST_LineInterpolatePoint(r.geom, n / 50.0), 'north', 'places') AS probability
    FROM routes r, generate_series(0, 50) n
    WHERE r.name = 'northward';
SELECT count(*), max(probability) FILTER (WHERE fraction < 0.2) < 0.1 AS "starts low", min(probability) FILTER (WHERE fraction > 0.9) > 0.9 AS "ends high",
       bool_and(probability = csp_probability(ST_SetSRID(ST_MakePoint(20, -70 + 140 * fraction::float8), 4326), 'north')) AS same
FROM profile;

-- A list of classes for a polygon.
CREATE TABLE lists AS
    SELECT p.name, c.label, avg(c.probability) AS mean, max(c.probability) AS highest
    FROM parks p, ST_Dump(ST_GeneratePoints(p.geom, 200, 1)) d, csp_classify(d.geom, 1000, 'places') c
    GROUP BY p.name, c.label
    HAVING max(c.probability) >= 0.1;
SELECT name, array_agg(label ORDER BY mean DESC) AS labels FROM lists GROUP BY name ORDER BY name;
SELECT bool_and(l.mean > 0.9) AS certain FROM lists l WHERE (name, label) IN (('arctic', 'north'), ('tiny', 'south'));

RESET ROLE;
DROP MATERIALIZED VIEW prior_map;
DROP TABLE parks, observations, by_grid, by_layer, doubtful, nearest, routes, profile, lists;

-- Batched execution and errors: a bad row raises its error when it is asked for, and not before: row 700 of 2,000, in the
-- middle of a batch.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
\pset format unaligned
SET search_path = batch, public;
SELECT coalesce(max(n), 0) + 1 AS first FROM query \gset

CREATE TABLE bad AS
SELECT n AS id, CASE WHEN n <> 700 THEN 1 ELSE 0 END AS one, geom AS good,
       CASE WHEN n <> 700 THEN geom ELSE ST_Buffer(geom, 1, 1) END AS geom, ST_SetSRID(geom, CASE WHEN n <> 700 THEN 4326 ELSE 0 END) AS no_srid,
       ST_SetSRID(ST_MakePoint(0, CASE WHEN n <> 700 THEN 45 ELSE 91 END), 4326) AS far,
       CASE WHEN n <> 700 THEN geom ELSE ST_SetSRID(geom, 990000) END AS unknown_srid,
       -- a projection that knows no such place
       ST_SetSRID(ST_MakePoint(0, CASE WHEN n <> 700 THEN 0 ELSE float8 'Infinity' END), 3857) AS infinite,
       CASE WHEN n <> 700 THEN ST_AsText(geom) ELSE 'POINT(1' END AS wkt,
       features AS good_features, CASE WHEN n <> 700 THEN features ELSE features[1:7] END AS short_features,
       CASE WHEN n <> 700 THEN features ELSE features[1:7] || 'NaN'::real END AS nan_features,
       CASE WHEN n <> 700 THEN features ELSE array_fill(3.4e38::real, ARRAY[8]) END AS huge_features, CASE WHEN n <> 700 THEN label ELSE 'nowhere' END AS label,
       CASE WHEN n <> 700 THEN 'both' ELSE 'nobody' END AS model, CASE WHEN n <> 700 THEN 'both' ELSE 'supervised' END AS no_images,
       CASE WHEN n <> 700 THEN 'both' ELSE 'pretrained' END AS no_classes, CASE WHEN n <> 700 THEN observed_at ELSE 'infinity' END AS observed_at
FROM generate_series(1, 2000) n, place WHERE place.id = 1 + n % 1200 ORDER BY n;
ALTER TABLE bad ADD PRIMARY KEY (id);
ANALYZE bad;

-- What fails in row 700, and how.
CREATE TABLE failure (call text, state text);
INSERT INTO failure VALUES
    ('csp_embed(geom)', '42809'), ('csp_embed(no_srid)', '22023'), ('csp_embed(far)', '22003'), ('csp_embed(unknown_srid)', '22023'),
    ('csp_embed(infinite)', '22003'), ('csp_embed(ST_GeomFromText(wkt, 4326))', 'XX000'), ('csp_embed(ST_Translate(good, 1 / one, 0))', '22012'),
    ('csp_embed(geom::spot)', '23514'), ('csp_embed(good, model)', '42704'), ('csp_embed_image(short_features)', '22000'), ('csp_similarity(good, nan_features)', '22000'),
    ('csp_embed_image(huge_features)', '22000'), ('csp_similarity(good, huge_features)', '22000'),
    ('csp_similarity(good, good_features, no_images)', '55000'), ('csp_probabilities(good, no_classes)', '55000'),
    ('csp_probability(good, label)', '42704'), ('csp_embed(good, observed_at, ''batch dated'')', '22008'),
    ('(csp_embed(good))[1 / one:2]', '22012');

-- Queries that meet row 700, and queries that do not.
CREATE TABLE pattern (n int GENERATED ALWAYS AS IDENTITY, pattern text, fails boolean);
INSERT INTO pattern (fails, pattern) VALUES
    (true, 'SELECT id, %s AS v FROM bad'),
    (false, 'SELECT id, %s AS v FROM bad LIMIT 699'),
    (true, 'SELECT id, %s AS v FROM bad LIMIT 700'),
    (true, 'SELECT id, %s AS v FROM bad OFFSET 1000 LIMIT 1'),
    (false, 'SELECT id FROM bad WHERE %s IS NOT NULL LIMIT 699'),
    (true, 'SELECT id FROM bad WHERE %s IS NOT NULL LIMIT 700'),
    (false, 'SELECT id, %s AS v FROM bad WHERE id <> 700'),
    (false, 'SELECT id FROM bad WHERE id <> 700 AND %s IS NOT NULL'),
    (false, 'SELECT id FROM bad WHERE id = 700 OR %s IS NOT NULL'),
    (false, 'SELECT id, CASE WHEN id <> 700 THEN %s END AS v FROM bad'),
    (true, 'SELECT id, CASE WHEN id >= 700 THEN %s END AS v FROM bad'),
    (false, 'SELECT id, coalesce(id::text, %s::text) AS v FROM bad'),
    (true, 'SELECT id, coalesce(nullif(id, 700)::text, %s::text) AS v FROM bad'),
    (true, 'SELECT count(%s) FROM bad'),
    (false, 'SELECT count(%s) FILTER (WHERE id <> 700) FROM bad'),
    (false, 'SELECT EXISTS (SELECT FROM bad WHERE %s IS NOT NULL) AS e'),
    (false, 'SELECT bad.id, %s AS v FROM bad JOIN (VALUES (1), (699), (701), (2000)) v (id) ON v.id = bad.id'),
    (false, 'SELECT v.n, x.v FROM (VALUES (1), (500), (701)) v (n), LATERAL (SELECT %s AS v FROM bad WHERE id >= v.n ORDER BY id LIMIT 199) x'),
    (false, 'SELECT n, (SELECT %s FROM bad WHERE id = n) IS NULL AS v FROM generate_series(690, 699) n'),
    (true, 'SELECT id FROM bad WHERE id IN (SELECT id FROM bad WHERE %s IS NULL)'),
    (true, 'SELECT id FROM bad ORDER BY %s, id LIMIT 3'),
    (true, 'WITH x AS MATERIALIZED (SELECT id, %s AS v FROM bad) SELECT id FROM x WHERE id < 0'),
    (false, 'WITH x AS MATERIALIZED (SELECT id, %s AS v FROM bad) SELECT * FROM x LIMIT 699'),
    (false, 'SELECT first_rows($q$SELECT id, %s FROM bad$q$, 699) AS v'),
    (true, 'SELECT first_rows($q$SELECT id, %s FROM bad$q$, 700) AS v'),
    (false, 'SELECT walk($q$SELECT id, %s FROM bad WHERE id < 700 ORDER BY id$q$, ''scroll'', ''{300,399,-600,1}'') AS v'),
    (true, 'UPDATE bad SET one = 1 WHERE id > 690 AND %s IS NOT NULL'),
    (false, 'SELECT id, %s AS v, 1 / (id - 700) AS w FROM bad LIMIT 699'),
    (true, 'SELECT id, 1 / (id - 700) AS w, %s AS v FROM bad');
INSERT INTO query (serial, state, query)
SELECT NOT p.pattern ~ 'count|UPDATE' OR NOT fails, CASE WHEN NOT fails THEN '00000' WHEN p.pattern ~ '1 / .*%s' THEN '22012' ELSE f.state END, format(p.pattern, f.call)
FROM failure f, pattern p ORDER BY f.ctid, p.n;

-- Two kinds of bad rows, in one expression and in two: the first one met counts.
INSERT INTO query (serial, state, query) VALUES
    (true, '42809', $$SELECT csp_embed(geom) AS a, csp_embed(good, model) AS b FROM bad$$),
    (true, '42704', $$SELECT csp_embed(good, model) AS b, csp_embed(geom) AS a FROM bad$$),
    (true, '42704', $$SELECT csp_embed(good) AS a, csp_embed(good, CASE WHEN id = 600 THEN 'nobody' ELSE 'both' END) AS c, csp_embed(geom) AS b FROM bad$$),
    (true, '22012', $$SELECT csp_embed(good) AS a, 1 / one AS c, csp_embed(geom) AS b FROM bad$$),
    (true, '42809', $$SELECT csp_embed(good) AS a, csp_embed(geom) AS b, 1 / one AS c FROM bad$$),
    (true, '42809', $$SELECT csp_embed(good) AS a, csp_embed(geom) AS b, csp_probability(far, 'north') AS c FROM bad$$),
    (true, '22012', $$SELECT csp_embed(geom) AS a FROM bad WHERE 1 / one > 0$$),
    (true, '42809', $$SELECT 1 / one AS a FROM bad WHERE csp_embed(geom) IS NOT NULL$$),
    (true, '42809', $$SELECT id FROM bad WHERE csp_embed(geom) IS NOT NULL AND csp_embed(good, model) IS NOT NULL$$),
    (true, '42704', $$SELECT id FROM bad WHERE csp_embed(good, model) IS NOT NULL AND csp_embed(geom) IS NOT NULL$$),
    (true, '42704', $$SELECT csp_embed(geom) AS a FROM bad WHERE csp_probability(good, label) < 2$$),
    (true, '22012', $$SELECT csp_embed(good) AS a FROM (SELECT good, 1 / one AS c FROM bad OFFSET 0) x WHERE c > 0$$),
    (true, '00000', $$SELECT csp_embed(good) AS a FROM (SELECT good, 1 / one AS c FROM bad OFFSET 0) x WHERE c > 0 LIMIT 699$$),
    (true, '00000', $$SELECT csp_embed(good) AS a, csp_embed(geom) AS b FROM bad WHERE 1 / one > 0 LIMIT 699$$),
    (true, '00000', $$SELECT id, c.* FROM bad, csp_classify(geom, 1) c LIMIT 699$$),
    (true, '42809', $$SELECT id, c.* FROM bad, csp_classify(geom, 1) c LIMIT 700$$),
    (true, '42704', $$SELECT id, c.* FROM bad, csp_classify(good, 1, model) c$$),
    (true, '22023', $$SELECT id, c.* FROM bad, csp_classify(good, one) c$$),
    (true, '00000', $$SELECT id, c.* FROM bad, csp_classify(good, one) c LIMIT 699$$),
    (true, '42809', $$SELECT csp_embed(geom) AS a FROM (SELECT * FROM bad ORDER BY id DESC) x$$),
    (true, '00000', $$SELECT csp_embed(geom) AS a FROM (SELECT * FROM bad ORDER BY id DESC LIMIT 1300) x$$);

SELECT count(*) > 400 AS many FROM query WHERE n >= :first;
SELECT * FROM complaints(:first, '^(default|row by row|parallel)$');
SELECT * FROM complaints(:first, '^(batches of three|largest batches|little work_mem|indexes)$', 'csp_embed\(geom\)|csp_classify');

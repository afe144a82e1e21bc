-- Batched execution where the plan around the calls, or what happens between two rows, decides what may be known ahead.
-- Every query gives the same answer or the same error with csp.enable_batch on and off; only differences are printed.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
\pset format unaligned
CREATE SCHEMA batch_more;
SET search_path = batch_more, public;
SET max_parallel_workers_per_gather = 0;

CREATE TABLE place AS
SELECT i AS id, i / 7 AS k, p AS geom, CASE WHEN i <> 150 THEN 1 ELSE 0 END AS one,
       CASE WHEN i <> 150 THEN p ELSE ST_Buffer(p, 1, 1) END AS bad,             -- row 150 fails: no point,
       CASE WHEN i <> 150 THEN ST_AsText(p) ELSE 'POINT(1' END AS wkt,           -- nor a geometry,
       CASE WHEN i <> 150 THEN p ELSE ST_SetSRID(p, 990000) END AS unknown_srid, -- in no known projection
       CASE WHEN i % 7 > 1 THEN p WHEN i % 7 = 1 THEN 'SRID=4326;POINT EMPTY' END AS hole,
       ARRAY(SELECT sin(i + n)::real FROM generate_series(1, 8) n) AS features, csp_embed(p, 'both') AS stored, 'both' AS model,
       CASE WHEN ST_Y(p) > 0 THEN 'north' ELSE 'south' END AS label
FROM generate_series(1, 300) i, ST_SetSRID(ST_MakePoint(i * 37.7::numeric % 360 - 180, i * 13.3::numeric % 160 - 80), 4326) p;
ALTER TABLE place ADD PRIMARY KEY (id);
CREATE INDEX ON place (k);
CREATE TABLE part (id int, geom geometry) PARTITION BY RANGE (id);
CREATE TABLE part1 PARTITION OF part FOR VALUES FROM (0) TO (100);
CREATE TABLE part2 (geom geometry, id int);
ALTER TABLE part ATTACH PARTITION part2 FOR VALUES FROM (100) TO (1000);
INSERT INTO part SELECT id, geom FROM place;
CREATE SEQUENCE number;
ANALYZE;

CREATE TABLE query (n int GENERATED ALWAYS AS IDENTITY, batched boolean, query text, settings jsonb DEFAULT '{}');
-- Rows as they come, row by row; whatever the query does is rolled back.
CREATE FUNCTION answer(q query, enable_batch boolean) RETURNS text LANGUAGE plpgsql AS $$
DECLARE r record; lines text[]; message text; detail text; code text;
BEGIN
    PERFORM set_config(key, value, true) FROM jsonb_each_text('{"csp.model": "both"}' || q.settings);
    PERFORM set_config('csp.enable_batch', enable_batch::text, true), setval('batch_more.number', 5, false);
    FOR r IN EXECUTE q.query LOOP
        lines := lines || r::text;
    END LOOP;
    lines := lines || (SELECT 'number ' || nextval('batch_more.number'));
    RAISE SQLSTATE 'DONE0';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
    RETURN concat_ws(E'\n', code, array_to_string(lines, E'\n'), message, detail);
END $$;
CREATE FUNCTION is_batched(q query) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE plan text;
BEGIN
    PERFORM set_config(key, value, true) FROM jsonb_each_text('{"csp.model": "both"}' || q.settings);
    EXECUTE 'EXPLAIN (FORMAT JSON) ' || q.query INTO plan;
    RAISE SQLSTATE 'DONE0';
EXCEPTION WHEN SQLSTATE 'DONE0' THEN
    RETURN plan ~ '"CspBatch"';
END $$;
-- Steps of a cursor, and the rows that they find.
CREATE FUNCTION walk(query text, steps text[]) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE c refcursor; r record; step text;
BEGIN
    OPEN c SCROLL FOR EXECUTE query;
    FOREACH step IN ARRAY steps LOOP
        CASE step WHEN 'last' THEN FETCH LAST FROM c INTO r; WHEN 'first' THEN FETCH FIRST FROM c INTO r;
            ELSE FETCH RELATIVE step::int FROM c INTO r; END CASE;
        RETURN NEXT coalesce(r::text, 'none');
    END LOOP;
    CLOSE c;
END $$;
CREATE FUNCTION walked(query text) RETURNS text LANGUAGE sql IMMUTABLE AS
$$ SELECT format('SELECT * FROM batch_more.walk(%L, ''{1,1,5,-3,-1,0,30,-20,last,-1,-2,first,200,-1,last}'')', query) $$;

-- Columns of the input beside values of the same type.
INSERT INTO query (batched, query) SELECT true, * FROM unnest(ARRAY[
$$SELECT features FROM place WHERE csp_embed(geom) IS NOT NULL$$,
$$SELECT features, stored FROM place WHERE csp_embed(geom) = stored AND csp_probabilities(geom) IS NOT NULL$$,
$$SELECT csp_embed(geom) AS a, features FROM place WHERE csp_probability(geom, 'north') > 0.3$$,
$$SELECT id FROM place WHERE csp_probability(geom, 'north') > 0.3$$]) q;

-- A call behind a condition, and again where it is not known whether it is evaluated.
INSERT INTO query (query) SELECT * FROM unnest(ARRAY[
$$SELECT id, CASE WHEN id = 1 THEN csp_embed(geom) WHEN random() >= 0 THEN csp_embed(geom) END FROM place$$,
$$SELECT id, CASE WHEN id = 1 THEN csp_embed(geom) END, (ARRAY[1, 2, 3])[CASE WHEN csp_embed(geom) IS NULL THEN 1 ELSE 2 END] FROM place$$,
$$SELECT id, CASE WHEN id = 1 THEN csp_embed(geom) END, ROW(1, csp_embed(geom)) < ROW(id - 1, csp_embed(geom)) FROM place$$,
$$SELECT k, count(*) FILTER (WHERE id = 1 AND csp_embed(geom) IS NOT NULL), count(*) FILTER (WHERE random() >= 0 AND csp_embed(geom) IS NOT NULL) FROM place GROUP BY k ORDER BY k$$,
$$SELECT id FROM place WHERE CASE WHEN id < 5 THEN csp_embed(geom) IS NOT NULL WHEN random() >= 0 THEN csp_embed(geom) IS NOT NULL END$$,
$$SELECT id, CASE WHEN random() >= 0 THEN csp_embed(geom) END FROM place WHERE CASE WHEN id < 3 THEN csp_embed(geom) IS NOT NULL ELSE true END$$,
$$SELECT id, sum(csp_probability(geom, 'north')) FILTER (WHERE id < 3) OVER (), first_value(csp_probability(geom, 'north')) OVER (ORDER BY id) FROM place$$,
$$UPDATE place SET features = NULL RETURNING id, CASE WHEN id < 5 THEN csp_embed(geom) WHEN random() >= 0 THEN csp_embed(geom) END$$,
$$SELECT x.* FROM place, ROWS FROM (unnest(CASE WHEN id < 5 THEN csp_embed(geom) END), unnest(CASE WHEN id > 5 THEN csp_embed(geom) END)) x (a, b) WHERE id < 40$$,
$$SELECT id, csp_embed(bad) FROM place WHERE CASE WHEN id < 3 THEN csp_embed(bad) IS NOT NULL ELSE true END AND csp_probability(geom, 'north') > 2$$,
$$SELECT id, (SELECT max(x) FROM unnest(CASE WHEN 1 / one > 0 THEN csp_embed(bad) END) x) FROM place LIMIT 149$$]) q;

-- Rows that are read and never evaluated: they enter no frame of the window, or begin a group that nobody asks for.
INSERT INTO query (batched, query, settings) SELECT true, q, '{"enable_hashagg": "off"}' FROM unnest(ARRAY[
$$SELECT id, count(csp_embed(bad)) OVER (ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) FROM place WHERE id <= 150$$,
$$SELECT id, sum(csp_probability(bad, 'north')) OVER (ORDER BY id) FROM place LIMIT 149$$,
$$SELECT * FROM (SELECT id, row_number() OVER (ORDER BY id) AS n, sum(csp_probability(bad, 'north')) OVER (ORDER BY id) FROM place) x WHERE n < 149$$,
$$SELECT id, max(csp_probability(bad, 'north')) FROM place GROUP BY id ORDER BY id LIMIT 149$$,
$$SELECT id, max(csp_probability(bad, 'north')) FILTER (WHERE 1 / one > 0) FROM place GROUP BY id ORDER BY id LIMIT 149$$,
$$SELECT id, max((csp_fuse(csp_probabilities(bad), geom))[1]), max(csp_probability(bad, 'north')) FROM place WHERE id >= 149 GROUP BY id ORDER BY id LIMIT 1$$,
$$SELECT id, min((csp_fuse(csp_probabilities(bad), geom))[1]) OVER (PARTITION BY k ORDER BY id ROWS BETWEEN 3 PRECEDING AND 1 PRECEDING) FROM place WHERE id <= 150 ORDER BY id$$]) q;

-- The first row, and what fails in it first.
INSERT INTO query (query, settings) SELECT q, s FROM unnest(ARRAY[
$$SELECT 1 / one, csp_embed(ST_GeomFromText(wkt, 4326)) FROM place WHERE id = 150$$,
$$SELECT 1 / one, csp_embed(unknown_srid) FROM place WHERE id >= 150 ORDER BY id$$,
$$SELECT id, 1 / one, csp_embed(ST_GeomFromText(wkt, 4326)) FROM place ORDER BY id$$,
$$SELECT id, csp_embed(ST_GeomFromText(wkt, 4326)), 1 / one FROM place ORDER BY id$$]) q, (VALUES ('{}'::jsonb), ('{"csp.batch_size": "1"}')) v (s);

-- Subqueries that run once: when they are first asked for, if at all.
INSERT INTO query (batched, query) SELECT true, * FROM unnest(ARRAY[
$$SELECT id, csp_embed(ST_Translate(geom, 0, 0), (SELECT model FROM place WHERE one = 1 LIMIT 1)) FROM place ORDER BY id LIMIT 100$$,
$$SELECT id, CASE WHEN id > 5 THEN csp_embed(ST_Translate(geom, 0, 0), (SELECT model FROM place WHERE one = 1 LIMIT 1)) END FROM place$$,
$$SELECT id, CASE WHEN id < 0 THEN csp_embed(ST_Translate(geom, (SELECT 1.0 / one FROM place WHERE id = 150), 0)) END FROM place$$,
$$SELECT id, CASE WHEN id >= 100 THEN csp_embed(ST_Translate(geom, (SELECT 1.0 / one FROM place WHERE id = 150), 0)) END FROM place LIMIT 99$$,
$$SELECT p.id, x.e FROM place p, LATERAL (SELECT csp_embed(ST_Translate(q.geom, (SELECT p.id::float8 / 1000), 0)) AS e FROM place q WHERE q.k = p.k OFFSET 0) x WHERE p.id < 60$$]) q;

-- LIMIT is evaluated once.
INSERT INTO query (batched, query) VALUES (true, $$SELECT id, csp_embed(geom) FROM place LIMIT nextval('batch_more.number')$$);

-- Cursors go back below nodes that CspBatch is not at the top of.
INSERT INTO query (query) SELECT walked(q) FROM unnest(ARRAY[
$$SELECT id, csp_embed(geom) FROM batch_more.place LIMIT 100$$,
$$SELECT id, csp_embed(geom) FROM batch_more.part$$,
$$SELECT id, csp_embed(geom) FROM batch_more.place UNION ALL SELECT id, csp_embed(geom) FROM batch_more.place$$,
$$SELECT id, csp_embed(geom) FROM batch_more.place WHERE current_setting('work_mem') <> ''$$]) q;

-- csp_classify: a wrong k is the first error, at an empty place too.
INSERT INTO query (query) SELECT * FROM unnest(ARRAY[
$$SELECT id, c.* FROM place, csp_classify(hole, 0) c WHERE id % 7 = 1$$,
$$SELECT id, c.* FROM place, csp_classify(hole, id % 7 - 1) c WHERE id % 7 <> 1$$,
$$SELECT id, c.* FROM place, csp_classify(hole, id % 7 - 1) c WHERE id % 7 = 1$$,
$$SELECT id, c.* FROM place, csp_classify(bad, one - 1) c WHERE id = 150$$,
$$SELECT id, (SELECT max(probability) FROM csp_classify(hole, id % 7 - 1)) FROM place WHERE id % 7 = 1$$,
$$SELECT id, (SELECT max(probability) FROM csp_classify(geom, id % 3 + 1)) FROM place$$,
$$SELECT csp_classify(hole, id % 7 - 1) FROM place WHERE id % 7 = 1$$,
$$SELECT id, csp_classify(geom, (random() * 0)::int + 2) FROM place WHERE id < 20$$]) q;
INSERT INTO query (batched, query) VALUES
    (true, $$SELECT id, c.* FROM place, csp_classify(geom, one + 1) c WHERE id <> 150$$),
    (true, $$SELECT id, (SELECT max(probability) FROM csp_classify(geom, 2)) FROM part$$);

-- What the next row sees of the one before.
INSERT INTO query (query) VALUES ($$SELECT id, e, set_config('csp.model', 'bands', true) FROM (SELECT id, csp_embed(geom) AS e FROM place OFFSET 0) x$$);

-- A merge join goes back in an input below a Result.
INSERT INTO query (query, settings) VALUES
    ($$SELECT a.id, b.id FROM place a JOIN (SELECT * FROM place WHERE current_setting('work_mem') <> '') b ON a.k = b.k WHERE csp_probability(b.geom, 'north') > 0.3$$,
     '{"enable_hashjoin": "off", "enable_nestloop": "off", "enable_sort": "off", "enable_material": "off"}');

CREATE FUNCTION complaints() RETURNS TABLE (complaint text, query text) LANGUAGE sql AS $$
    SELECT CASE WHEN answer(q, true) <> answer(q, false) THEN 'another answer' WHEN NOT is_batched(q) AND q.batched THEN 'not batched' END, q.query FROM query q
    WHERE answer(q, true) <> answer(q, false) OR (NOT is_batched(q) AND q.batched) ORDER BY n
$$;
SELECT count(*) > 50 AS many, count(*) FILTER (WHERE answer(q, false) ~ '^(42601|42703|42883|42P01)') AS senseless FROM query q;
SELECT * FROM complaints();

-- A query that only reads gets no transaction id.
BEGIN;
SELECT count(csp_embed(ST_Translate(geom, 0, 0), 'both')) AS n FROM place;
SELECT pg_current_xact_id_if_assigned() IS NULL AS no_transaction_id;
COMMIT;

-- Between two fetches of a cursor the setting changes, or the role.
SET csp.model = 'both';
BEGIN;
DECLARE c CURSOR FOR SELECT csp_embed(geom) = csp_embed(geom, 'both') AS both, csp_embed(geom) = csp_embed(geom, 'bands') AS bands FROM place;
FETCH 7 FROM c;
SET LOCAL csp.model = 'bands';
FETCH 2 FROM c;
SET LOCAL csp.model = 'both';
FETCH 2 FROM c;
COMMIT;
CREATE ROLE csp_test_batch_more;
GRANT USAGE ON SCHEMA batch_more TO csp_test_batch_more;
GRANT SELECT ON place TO csp_test_batch_more;
CREATE FUNCTION opened() RETURNS refcursor LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE c refcursor := 'opened'; r record;
BEGIN
    OPEN c FOR SELECT id, csp_embed(geom, 'both') FROM batch_more.place;
    MOVE FORWARD 7 FROM c;
    RETURN c;
END $$;
\set VERBOSITY terse
BEGIN;
SET LOCAL ROLE csp_test_batch_more;
SELECT opened();
FETCH 1 FROM opened;
ROLLBACK;

-- csp_classify is executed as other functions: by whoever may execute it, and as it was altered.
BEGIN;
PREPARE classified AS SELECT count(*) FROM place, csp_classify(geom, 1, 'both') c;
EXECUTE classified;
REVOKE EXECUTE ON FUNCTION csp_classify(geometry, int, text) FROM PUBLIC;
SET LOCAL ROLE csp_test_batch_more;
EXECUTE classified;
ROLLBACK;
BEGIN;
SET LOCAL plan_cache_mode = force_generic_plan;
EXECUTE classified;
SET LOCAL ROLE csp_test_batch_more;
EXECUTE classified;
ROLLBACK;
BEGIN;
SET LOCAL plan_cache_mode = force_generic_plan;
EXECUTE classified;
REVOKE EXECUTE ON FUNCTION csp_probabilities(geometry, text) FROM PUBLIC;
SELECT csp_import('batch more', csp_export('both')) > 0 AS imported;
SET LOCAL ROLE csp_test_batch_more;
SELECT count(*) FROM place, csp_classify(geom, 1, 'both') c;
ROLLBACK;
BEGIN;
ALTER FUNCTION csp_classify(geometry, int) SET csp.model = 'bands';
SELECT count(*) AS others FROM place, csp_classify(geom, 1) a, csp_classify(geom, 1, 'bands') b WHERE a <> b;
ROLLBACK;

-- Planning does not take longer and longer with conditions within conditions.
SELECT string_agg('(', '') || 'id > 0' || string_agg(format(' %s k = %s)', CASE n % 2 WHEN 0 THEN 'AND' ELSE 'OR' END, n), '' ORDER BY n) AS nest FROM generate_series(1, 60) n \gset
SELECT string_agg('CASE WHEN ', '') || 'csp_probability(geom, ''north'') > 0' || string_agg(format(' THEN k > %s ELSE k = 1 END', n), '' ORDER BY n) AS cases FROM generate_series(1, 60) n \gset
SELECT count(csp_embed(geom)) AS n, count(*) FILTER (WHERE :nest) > 0 AS nested FROM place WHERE (:nest) IS NOT NULL AND (:cases) IS NOT NULL;

\set VERBOSITY default
SET client_min_messages = error;
DROP SCHEMA batch_more CASCADE;
DROP OWNED BY csp_test_batch_more;
DROP ROLE csp_test_batch_more;

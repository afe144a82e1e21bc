-- Batched execution gives the same answers as row by row: every query of a corpus, with csp.enable_batch on and off, under
-- many settings of the planner. Only differences are printed. The tests batch_modify, batch_errors and batch_explain go on
-- with what is made here. Models: those of test train.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
\pset format unaligned
CREATE SCHEMA batch;
SET search_path = batch, public;

-- ---- tables -----------------------------------------------------------------------------------------------------

-- Enough rows for batches of 1, 4, 16, 64, 256 and most of a full one.
CREATE TABLE place (
    id int PRIMARY KEY, k int, geom geometry(Point, 4326), g geography(Point, 4326), mercator geometry(Point, 3857),
    features real[], label text, observed_at timestamptz, model text
);
INSERT INTO place
SELECT i, i / 8, p, p::geography, ST_Transform(p, 3857),
       ARRAY(SELECT (sin(i / 40.0 + n) + cos(i / 20.0 + n / 2.0))::real FROM generate_series(1, 8) n),
       CASE WHEN ST_Y(p) > 30 THEN 'north' WHEN ST_Y(p) < -30 THEN 'south' ELSE 'middle' END,
       timestamptz '2024-01-01 00:00+00' + i % 366 * interval '1 day', (ARRAY['both', 'bands', 'seeds@1', 'supervised'])[1 + i % 4]
FROM generate_series(1, 1200) i, ST_SetSRID(ST_MakePoint(i * 37.7::numeric % 360 - 180, i * 13.3::numeric % 160 - 80), 4326) p;
CREATE INDEX ON place (k);
CREATE INDEX ON place USING gist (geom);
-- What is no error, and no ordinary point either.
CREATE TABLE hole AS
SELECT id, CASE id % 7 WHEN 0 THEN NULL WHEN 1 THEN 'SRID=4326;POINT EMPTY'::geometry WHEN 2 THEN 'SRID=4326;POLYGON EMPTY'::geometry
                       WHEN 3 THEN ST_Force4D(geom) WHEN 4 THEN mercator WHEN 5 THEN ST_Translate(geom, 720, 0) ELSE geom END AS geom,
       CASE WHEN id % 5 > 0 THEN features END AS features, CASE WHEN id % 6 > 0 THEN label END AS label,
       CASE WHEN id % 4 > 0 THEN 'both' END AS model, CASE WHEN id % 3 > 0 THEN observed_at END AS observed_at
FROM place WHERE id <= 420;
-- Points among other geometries.
CREATE TABLE mixed AS SELECT id, CASE WHEN id % 3 > 0 THEN geom ELSE ST_Buffer(geom, 1, 1) END AS geom FROM place WHERE id <= 450;
CREATE TABLE twice AS SELECT id % 50 AS k, geom, features FROM place WHERE id <= 200;
CREATE INDEX ON twice (k);
CREATE TABLE part (id int, kind text, geom geometry, features real[]) PARTITION BY RANGE (id);
CREATE TABLE part1 PARTITION OF part FOR VALUES FROM (1) TO (200);
CREATE TABLE part2 PARTITION OF part FOR VALUES FROM (200) TO (500) PARTITION BY LIST (kind);
CREATE TABLE part2_north PARTITION OF part2 FOR VALUES IN ('north');
CREATE TABLE part2_rest PARTITION OF part2 DEFAULT;
-- Another order of columns: rows are converted on their way.
CREATE TABLE part3 (features real[], geom geometry, dropped int, kind text, id int NOT NULL);
ALTER TABLE part3 DROP dropped;
ALTER TABLE part ATTACH PARTITION part3 FOR VALUES FROM (500) TO (10000);
INSERT INTO part SELECT id, label, geom, features FROM place WHERE id <= 700;
CREATE INDEX ON part (id);
CREATE TABLE parent (id int, geom geometry);
CREATE TABLE child (note text) INHERITS (parent);
INSERT INTO parent SELECT id, geom FROM place WHERE id <= 40;
INSERT INTO child SELECT id, geom, label FROM place WHERE id BETWEEN 41 AND 90;
-- Columns of many kinds on their way through a batch: by value, by reference, toasted, dropped, younger than their rows.
CREATE DOMAIN spot AS geometry CHECK (GeometryType(VALUE) = 'POINT');
CREATE TYPE pair AS (a int, b text);
CREATE TABLE typed AS
SELECT id, id % 2 = 0 AS b, id::int2 AS i2, id::int8 AS i8, 'c'::"char" AS c, 'name ' || id AS gone, ('name ' || id)::name AS n, md5(id::text)::uuid AS u,
       id * interval '1 hour' AS iv, id::numeric / 7 AS num, CASE WHEN id % 3 > 0 THEN repeat(md5(id::text), 200) END AS long, ROW(id, label)::pair AS p,
       ARRAY[ROW(id, NULL)::pair] AS ps, int4range(id, id + 5) AS r, B'101' AS bits, '192.168.0.0/24'::inet AS ip, jsonb_build_object('id', id) AS j,
       geom, geom::spot AS d, repeat(md5(id::text), 300) AS longer, point(id, id) AS pt, '{}'::int[] AS none
FROM place WHERE id <= 400;
ALTER TABLE typed ALTER longer SET STORAGE EXTERNAL, DROP gone, ADD young text DEFAULT 'young', ADD younger int;
UPDATE typed SET longer = longer || '.', younger = id WHERE id % 5 = 0;
CREATE TABLE seen (n bigserial, what text);
CREATE SEQUENCE number;
ANALYZE;

-- A model that knows dates, and one that another role owns.
CALL csp_train('batch dated', 'place', 'geom', 'features', 'label',
    '{"hidden_dim": 16, "embedding_dim": 16, "pretrain_epochs": 1, "epochs": 1, "observed_at": "observed_at"}') \gset
CREATE ROLE csp_test_batch;
GRANT USAGE ON SCHEMA batch TO csp_test_batch;
GRANT SELECT ON ALL TABLES IN SCHEMA batch TO csp_test_batch;
GRANT EXECUTE ON FUNCTION csp_import TO csp_test_batch;
SELECT csp_export('both') AS file \gset
SET ROLE csp_test_batch;
SELECT csp_import('batch reader', :'file') > 0 AS imported;
RESET ROLE;

-- ---- functions and views that the queries use -------------------------------------------------------------------

-- Tells what it sees: cheap, so that the planner puts it in front where it may.
CREATE FUNCTION see(anything anyelement) RETURNS boolean LANGUAGE plpgsql VOLATILE COST 0.0001 AS
$$ BEGIN INSERT INTO batch.seen (what) VALUES (anything::text); RETURN true; END $$;
-- The same behind expensive calls.
CREATE FUNCTION see_late(anything anyelement) RETURNS boolean LANGUAGE plpgsql VOLATILE COST 100000 AS
$$ BEGIN INSERT INTO batch.seen (what) VALUES (anything::text); RETURN true; END $$;
CREATE FUNCTION seen_so_far() RETURNS bigint LANGUAGE sql VOLATILE AS 'SELECT count(*) FROM batch.seen';
CREATE FUNCTION inlined(geometry) RETURNS real LANGUAGE sql STABLE AS $$ SELECT csp_probability($1, 'north', 'both') $$;
CREATE FUNCTION not_inlined(geometry) RETURNS real LANGUAGE sql STABLE SET enable_sort = on AS $$ SELECT csp_probability($1, 'north', 'both') $$;
CREATE FUNCTION rows_of(int) RETURNS TABLE (id int, e real[]) LANGUAGE sql STABLE AS
$$ SELECT id, csp_embed(geom, 'both') FROM batch.place WHERE k = $1 $$;
CREATE FUNCTION rows_by_plpgsql(int) RETURNS TABLE (id int, e real[]) LANGUAGE plpgsql STABLE AS
$$ BEGIN RETURN QUERY SELECT p.id, csp_embed(p.geom, 'both') FROM batch.place p WHERE p.k = $1; END $$;
CREATE FUNCTION with_setting(geometry) RETURNS real[] LANGUAGE sql STABLE SET csp.model = 'bands' AS 'SELECT csp_embed($1)';
CREATE FUNCTION as_owner(int) RETURNS TABLE (id int, e real[]) LANGUAGE sql STABLE SECURITY DEFINER AS
$$ SELECT id, csp_embed(geom, 'both') FROM batch.place WHERE k < $1 $$;
-- Steps of a cursor: RELATIVE moves of it, and the rows that they find.
CREATE FUNCTION walk(query text, scroll text, steps int[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE c refcursor; r record; step int; answer text[];
BEGIN
    IF scroll = 'scroll' THEN OPEN c SCROLL FOR EXECUTE query;
    ELSIF scroll = 'no scroll' THEN OPEN c NO SCROLL FOR EXECUTE query;
    ELSE OPEN c FOR EXECUTE query; END IF;
    FOREACH step IN ARRAY steps LOOP
        FETCH RELATIVE step FROM c INTO r;
        answer := answer || coalesce(r::text, 'none');
    END LOOP;
    IF 0 > ANY (steps) THEN
        FETCH LAST FROM c INTO r;
        answer := answer || coalesce(r::text, 'none');
        FETCH FIRST FROM c INTO r;
        answer := answer || coalesce(r::text, 'none');
        FETCH ABSOLUTE 23 FROM c INTO r;
        answer := answer || coalesce(r::text, 'none');
    END IF;
    CLOSE c;
    RETURN array_to_string(answer, E'\n');
END $$;
CREATE FUNCTION first_rows(query text, n int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE c refcursor; r record; answer text[];
BEGIN
    OPEN c FOR EXECUTE query;
    FOR i IN 1..n LOOP
        FETCH c INTO r;
        EXIT WHEN NOT FOUND;
        answer := answer || r::text;
    END LOOP;
    CLOSE c;
    RETURN array_to_string(answer, E'\n');
END $$;

CREATE VIEW easy AS SELECT id, csp_embed(geom, 'both') AS e, csp_probability(geom, 'north', 'both') AS p, label FROM place;
CREATE VIEW barrier WITH (security_barrier) AS
SELECT id, geom, label, csp_probability(geom, 'north', 'both') AS p FROM place WHERE csp_probability(geom, 'north', 'both') > 0.35;
CREATE MATERIALIZED VIEW stored AS SELECT id, csp_embed(geom, 'both') AS e, csp_probabilities(geom, 'both') AS p FROM place;
CREATE TABLE guarded AS SELECT id, geom, label FROM place WHERE id <= 500;
ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
CREATE POLICY likely ON guarded USING (csp_probability(geom, 'north', 'batch reader') > 0.35);
GRANT SELECT ON easy, barrier, stored, guarded TO csp_test_batch;
GRANT INSERT, SELECT ON seen TO csp_test_batch;
GRANT USAGE ON SEQUENCE seen_n_seq TO csp_test_batch;

-- ---- the harness --------------------------------------------------------------------------------------------------

-- batched: whether the plan must have a batch node (true), must not (false), or may (NULL).
-- state: the SQLSTATE that the query ends with. serial: rows or errors depend on the order in which rows are read.
-- afterwards: a query whose answer is compared, too.
CREATE TABLE query (
    n int GENERATED ALWAYS AS IDENTITY, query text UNIQUE, batched boolean, state text DEFAULT '00000', serial boolean DEFAULT false,
    afterwards text, runs_as text
);
-- how: 'table' asks for all rows at once, as a client does; 'cursor' row by row. applies: to queries that match.
CREATE TABLE setting (
    n int GENERATED ALWAYS AS IDENTITY, name text, how text DEFAULT 'table', parallel boolean DEFAULT false, settings jsonb, applies text DEFAULT '.'
);
INSERT INTO setting (name, settings) VALUES
    ('default', '{}'),
    ('batches of one', '{"csp.batch_size": "1"}'),
    ('batches of three', '{"csp.batch_size": "3"}'),
    ('largest batches', '{"csp.batch_size": "65536"}'),
    ('little work_mem', '{"work_mem": "64kB"}'),
    ('indexes', '{"enable_seqscan": "off", "enable_sort": "off"}');
INSERT INTO setting (name, settings, applies) VALUES
    ('no hash joins, no hashed aggregates', '{"enable_hashjoin": "off", "enable_hashagg": "off"}', 'JOIN|EXISTS|IN \(|UNION|INTERSECT|EXCEPT|GROUP|DISTINCT'),
    ('merge joins', '{"enable_hashjoin": "off", "enable_nestloop": "off", "enable_material": "off"}', 'JOIN|EXISTS|IN \('),
    ('nested loops', '{"enable_hashjoin": "off", "enable_mergejoin": "off"}', 'JOIN|EXISTS|IN \(|LATERAL|classify'),
    ('partitionwise', '{"enable_partitionwise_join": "on", "enable_partitionwise_aggregate": "on"}', 'part'),
    ('generic plans', '{"plan_cache_mode": "force_generic_plan"}', 'EXECUTE|rows_|inlined|walk'),
    ('no room for models', '{"csp.model_cache_size": "0"}', 'bands|seeds|model|published');
INSERT INTO setting (name, how, settings) VALUES ('row by row', 'cursor', '{}');
INSERT INTO setting (name, parallel, settings) VALUES
    ('parallel', true, '{"parallel_setup_cost": "0", "parallel_tuple_cost": "0", "min_parallel_table_scan_size": "0", "min_parallel_index_scan_size": "0"}'),
    ('all in a worker', true, jsonb_build_object(CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'debug_parallel_query' ELSE 'force_parallel_mode' END, 'on'));

-- What a query gives, as text, or its error. Whatever it does is rolled back, the settings too.
CREATE FUNCTION answer(q query, s setting, enable_batch boolean, OUT answer text, OUT state text) LANGUAGE plpgsql AS $$
DECLARE lines text[]; more text; error_message text; error_detail text; error_hint text; c refcursor; r record;
BEGIN
    state := '00000';
    BEGIN
        DISCARD PLANS;
        PERFORM set_config(key, value, true) FROM jsonb_each_text('{"jit": "off", "csp.model": "both", "timezone": "UTC", "synchronize_seqscans": "off"}' || s.settings);
        PERFORM set_config('csp.enable_batch', enable_batch::text, true), setval('batch.number', 1, false);
        IF q.runs_as IS NOT NULL THEN
            PERFORM set_config('role', q.runs_as, true);
        END IF;
        IF q.query ~ '^(CREATE|REFRESH|COPY|DO)\M' OR q.query ~ '^(INSERT|UPDATE|DELETE|MERGE)\M' AND q.query !~ 'RETURNING' THEN
            EXECUTE q.query;
        ELSIF s.how = 'cursor' OR q.query ~ 'RETURNING|^EXPLAIN' THEN
            OPEN c NO SCROLL FOR EXECUTE q.query;
            LOOP
                FETCH c INTO r;
                EXIT WHEN NOT FOUND;
                lines := lines || r::text;
            END LOOP;
            CLOSE c;
        ELSE
            EXECUTE 'CREATE TEMP TABLE batch_answer AS ' || q.query;
            EXECUTE 'SELECT array_agg(a::text ORDER BY ctid) FROM batch_answer a' INTO lines;
        END IF;
        IF q.afterwards IS NOT NULL THEN
            EXECUTE format('SELECT string_agg(a::text, E''\n'') FROM (%s) a', q.afterwards) INTO more;
        END IF;
        RAISE SQLSTATE 'DONE0';
    EXCEPTION
        WHEN SQLSTATE 'DONE0' THEN NULL;
        WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, error_message = MESSAGE_TEXT, error_detail = PG_EXCEPTION_DETAIL,
                error_hint = PG_EXCEPTION_HINT;
    END;
    -- Parallel workers return rows in any order.
    IF s.parallel AND q.query !~ 'ORDER BY [^()]+$' THEN
        SELECT array_agg(l ORDER BY l COLLATE "C") INTO lines FROM unnest(lines) l;
    END IF;
    answer := concat_ws(E'\n', array_to_string(lines, E'\n'), '-- ' || more, nullif(error_message, ''), nullif(error_detail, ''), nullif(error_hint, ''));
END $$;

-- Whether the plan has a batch node.
CREATE FUNCTION is_batched(q query, s setting) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE plan jsonb; error_message text;
BEGIN
    BEGIN
        DISCARD PLANS;
        PERFORM set_config(key, value, true) FROM jsonb_each_text('{"jit": "off", "csp.model": "both"}' || s.settings);
        IF q.runs_as IS NOT NULL THEN
            PERFORM set_config('role', q.runs_as, true);
        END IF;
        EXECUTE 'EXPLAIN (FORMAT JSON) ' || q.query INTO plan;
        RAISE SQLSTATE 'DONE0';
    EXCEPTION
        WHEN SQLSTATE 'DONE0' THEN NULL;
        -- A query that fails while it is planned, or that EXPLAIN does not know: its answer is compared all the same.
        WHEN OTHERS THEN RETURN NULL;
    END;
    RETURN jsonb_path_exists(plan, '$.**."Custom Plan Provider" ? (@ == "CspBatch")');
END $$;

CREATE FUNCTION shortened(text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT left(regexp_replace($1, '\s+', ' ', 'g'), 160) $$;
-- The first line in which two answers differ.
CREATE FUNCTION first_difference(a text, b text) RETURNS text LANGUAGE sql AS $$
    SELECT format('line %s: %s / %s', n, shortened(x), shortened(y))
    FROM ROWS FROM (unnest(string_to_array(a, E'\n')), unnest(string_to_array(b, E'\n'))) WITH ORDINALITY t (x, y, n)
    WHERE x IS DISTINCT FROM y ORDER BY n LIMIT 1
$$;

-- What is not as it should be.
CREATE FUNCTION complaints(q query, s setting) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE plain record; batched record; has_node boolean := batch.is_batched(q, s);
BEGIN
    IF has_node IS DISTINCT FROM q.batched AND q.batched IS NOT NULL THEN
        RETURN NEXT CASE WHEN has_node THEN 'batched' ELSE 'not batched' END;
    END IF;
    IF s.n = 1 AND q.query ~* '^(EXPLAIN|WITH|SELECT)' AND q.query !~ 'RETURNING' THEN
        RETURN QUERY SELECT 'EXPLAIN ANALYZE: ' || batch.shortened(a.answer) FROM batch.answer(ROW(0, 'EXPLAIN (ANALYZE, VERBOSE) ' || q.query, NULL, NULL, NULL, NULL, q.runs_as), s, true) a
            WHERE a.state <> q.state;
    END IF;
    plain := batch.answer(q, s, false);
    batched := batch.answer(q, s, true);
    IF plain.state <> q.state THEN
        RETURN NEXT format('%s without batches: %s', plain.state, batch.shortened(plain.answer));
    END IF;
    -- Which of several errors is met first is chance where rows are read in parallel. What fails below a batch may fail
    -- while rows before it wait there: whoever fetches them one by one sees fewer of them.
    IF plain.state <> batched.state OR (plain.answer <> batched.answer AND NOT (s.parallel AND plain.state <> '00000')
                                        AND NOT (s.how = 'cursor' AND plain.state = '22012' AND q.query ~ 'WHERE 1 / |x WHERE c > 0')) THEN
        RETURN NEXT batch.first_difference(plain.answer, batched.answer);
    END IF;
END $$;

-- All complaints about the queries from number n on.
CREATE FUNCTION complaints(first_query int, settings_like text DEFAULT '.', queries_like text DEFAULT '.') RETURNS TABLE (complaint text, query text, settings text) LANGUAGE sql AS $$
    SELECT c, q.query, string_agg(s.name, '; ' ORDER BY s.n)
    FROM batch.query q, batch.setting s, batch.complaints(q, s) c
    WHERE q.n >= first_query AND s.name ~ settings_like AND q.query ~ queries_like AND q.query ~ s.applies AND NOT (s.parallel AND q.serial)
    GROUP BY q.n, q.query, c ORDER BY q.n, c
$$;

-- It sees differences in rows, errors and side effects.
SELECT c FROM setting s, (VALUES ($$SELECT n, n > 1 AND current_setting('csp.enable_batch')::boolean AS x FROM generate_series(1, 3) n$$, NULL),
                                 ($$SELECT 1 / (1 - current_setting('csp.enable_batch')::boolean::int) AS x$$, NULL),
                                 ($$SELECT current_setting('csp.enable_batch')::boolean AND see(text 'x') AS x$$, 'SELECT what FROM batch.seen')) v (query, afterwards),
     complaints(ROW(0, v.query, NULL, '00000', false, v.afterwards, NULL), s) c
WHERE s.name = 'default';

-- ---- queries ------------------------------------------------------------------------------------------------------

-- Target lists: every function, every kind of argument, several calls and models.
INSERT INTO query (batched, query) SELECT true, * FROM unnest(ARRAY[
$$SELECT csp_embed(geom) FROM place$$,
$$SELECT id, csp_embed(geom, 'both') AS e FROM place$$,
$$SELECT csp_embed(g, 'both') AS e, id FROM place$$,
$$SELECT id, (csp_embed(mercator, 'bands'))[1:5] AS e FROM place$$,
$$SELECT id, csp_embed_image(features) AS e FROM place$$,
$$SELECT id, csp_embed_image(features, 'pretrained') AS e FROM place$$,
$$SELECT id, csp_similarity(geom, features) AS s FROM place$$,
$$SELECT id, csp_similarity(g, features, 'pretrained') AS s FROM place$$,
$$SELECT id, csp_probabilities(geom) AS p FROM place$$,
$$SELECT id, csp_probabilities(g, 'published') AS p FROM place$$,
$$SELECT id, csp_probability(geom, 'north') AS p FROM place$$,
$$SELECT id, csp_probability(g, label, 'published') AS p FROM place$$,
$$SELECT id, csp_fuse('{0.5,0.25,0.25}'::real[], geom) AS p FROM place$$,
$$SELECT id, csp_fuse(csp_probabilities(geom, 'both'), g, 'bands') AS p FROM place$$,
$$SELECT id, csp_embed(geom, observed_at, 'batch dated') AS e FROM place$$,
$$SELECT id, csp_embed(g, observed_at, 'batch dated') AS e, csp_probabilities(geom, '2024-07-01', 'batch dated') AS p FROM place$$,
$$SELECT id, csp_probability(geom, label, observed_at, 'batch dated') AS p, csp_similarity(g, features, observed_at, 'batch dated') AS s FROM place$$,
$$SELECT id, csp_fuse('{0.5,0.25,0.25}'::real[], geom, observed_at, 'batch dated') AS p FROM place$$,
$$SELECT id, csp_embed(geom, 'both@1') AS e FROM place$$,
$$SELECT id, csp_embed(geom, 'seeds@1') AS e1, csp_embed(geom, 'seeds@2') AS e2, csp_embed(geom, 'seeds@3') AS e3, csp_embed(geom, 'seeds') AS e FROM place WHERE id < 100$$,
$$SELECT csp_embed(geom) AS a, csp_embed(g) AS b, csp_embed(mercator) AS c, csp_embed(geom, 'bands') AS d, csp_probabilities(geom, 'published') AS p FROM place$$,
$$SELECT csp_embed(geom) AS a, csp_embed(geom) AS b, csp_embed(geom, 'both') AS c, csp_probability(geom, 'north') AS n, csp_probability(geom, 'south') AS s FROM place$$,
$$SELECT csp_embed(geom) AS e, csp_embed_image(features) AS i, csp_similarity(geom, features) AS s, csp_probabilities(geom) AS p, csp_probability(geom, label) AS q FROM place$$,
$$SELECT id, model, (csp_embed(geom, model))[1:9] AS e FROM place$$,
$$SELECT id, csp_embed(geom, CASE WHEN id % 2 = 0 THEN 'both' ELSE 'bands' END) AS e, csp_embed(geom, 'seeds@' || 1 + id % 3) AS f FROM place WHERE id < 400$$,
$$SELECT *, csp_embed(geom) AS e FROM place$$,
$$SELECT p, csp_embed(geom) AS e FROM place p$$,
$$SELECT ctid AS c, tableoid::regclass AS t, xmin IS NULL AS x, csp_embed(geom) AS e FROM place$$,
-- nothing is asked of the table but the calls
$$SELECT csp_probability(geom, 'north') > 0.5 AS b FROM place$$,
-- NULL, empty, other dimensions, other longitudes
$$SELECT id, csp_embed(geom) AS e FROM hole$$,
$$SELECT id, csp_embed(geom::geography) AS e FROM hole WHERE id % 7 <> 4$$,
$$SELECT id, csp_embed(geom, model) AS e FROM hole$$,
$$SELECT id, csp_embed_image(features) AS i, csp_similarity(geom, features) AS s, csp_probability(geom, label) AS p, csp_probabilities(geom) AS q FROM hole$$,
$$SELECT id, csp_embed(geom, observed_at, 'batch dated') AS e, csp_probability(geom, label, observed_at, 'batch dated') AS p FROM hole$$,
$$SELECT id, csp_similarity(geom, features, model) AS s, csp_probabilities(geom, model) AS q FROM hole$$,
$$SELECT id, csp_embed(NULL::geometry) AS n, csp_embed(geom, NULL) AS m, csp_embed(geom) AS e FROM place$$,
-- nested in expressions
$$SELECT id, (csp_embed(geom))[3] AS x, (csp_embed(geom))[2:4] AS s, (csp_embed(geom))[id % 20] AS y, csp_embed(geom) || 1::real AS l FROM place$$,
$$SELECT id, csp_embed(geom)::float8[] AS d, csp_embed(geom)::text AS t, csp_probability(geom, 'north')::numeric AS n, csp_embed(geom)::varchar(20) AS v FROM place$$,
$$SELECT id, round(csp_probability(geom, 'north')::numeric, 3) + csp_probability(geom, 'south')::numeric * 2 AS n FROM place$$,
$$SELECT id, ARRAY[csp_probability(geom, 'north'), csp_probability(geom, 'south')] AS a, ROW(id, csp_embed(geom)) = ROW(1, '{}'::real[]) AS r FROM place$$,
$$SELECT id, csp_embed(geom) = csp_embed(g) AS same, csp_embed(geom) < csp_embed_image(features) AS less, csp_embed(geom) IS DISTINCT FROM csp_embed(geom, 'bands') AS other FROM place$$,
$$SELECT id, greatest(csp_probability(geom, 'north'), csp_probability(geom, 'south')) AS g, nullif(csp_probability(geom, 'north'), 0) AS n FROM place$$,
$$SELECT id, coalesce(csp_embed(geom), '{}') AS e, csp_embed(geom) IS NULL AS n FROM hole$$,
$$SELECT id, csp_probability(geom, 'north') BETWEEN 0.2 AND 0.8 AS b, csp_probability(geom, 'north') = ANY (csp_probabilities(geom)) AS a FROM place$$,
$$SELECT id, array_length(csp_embed(geom), 1) AS n, cardinality(csp_embed_image(features)) AS m, csp_embed(geom) @> ARRAY[0::real] AS c FROM place$$,
$$SELECT id, to_jsonb(csp_embed(geom)) AS j, jsonb_build_object('p', csp_probability(geom, 'north')) AS k, format('%s %s', id, csp_embed(geom)) AS f FROM place$$,
-- calls as arguments of calls
$$SELECT id, csp_embed(ST_SetSRID(ST_MakePoint((csp_embed(geom))[1] * 10, (csp_embed(geom))[2] * 10), 4326)) AS e FROM place$$,
$$SELECT id, csp_embed_image((csp_embed(geom))[1:8]) AS e FROM place$$,
$$SELECT id, csp_similarity(geom, (csp_embed_image(features, 'pretrained'))[1:8], 'both') AS s FROM place$$,
$$SELECT id, csp_probability(geom, CASE WHEN csp_probability(geom, 'north') > 0.4 THEN 'north' ELSE 'south' END) AS p FROM place$$,
$$SELECT id, csp_embed(geom, CASE WHEN csp_probability(geom, 'north') > 0.4 THEN 'both' ELSE 'bands' END) AS p FROM hole$$,
-- guards that a call stands behind, with nothing there to fail
$$SELECT id, CASE WHEN id % 3 = 0 THEN csp_embed(geom) WHEN id % 3 = 1 THEN csp_embed(geom, 'bands') END AS e FROM place$$,
$$SELECT id, CASE WHEN csp_probability(geom, 'north') > 0.5 THEN 'north' WHEN csp_probability(geom, 'south') > 0.5 THEN 'south' ELSE label END AS l FROM place$$,
$$SELECT id, CASE label WHEN 'north' THEN csp_probability(geom, 'north') ELSE 0 END AS p FROM place$$,
-- arguments that are computed
$$SELECT id, csp_embed(ST_Translate(geom, id / 1000.0, 0)) AS e, csp_embed(ST_Centroid(ST_Buffer(geom, 1, 1))) AS f FROM place$$,
$$SELECT id, csp_probability(geom, lower(upper(label))) AS p, csp_embed(geom, 'bo' || repeat('th', 1 + id % 1)) AS e FROM place$$,
$$SELECT id, csp_embed(geom, observed_at + id * interval '1 hour', 'batch dated') AS e FROM place$$]) q;

-- Columns beside calls, whole rows.
INSERT INTO query (batched, query) SELECT true, * FROM unnest(ARRAY[
$$SELECT *, csp_embed(geom) AS e FROM typed$$,
$$SELECT t::text AS t, csp_embed(d) AS e FROM typed t WHERE csp_probability(geom, 'north') > 0.3$$,
$$SELECT id, md5(longer) AS m, long, csp_embed(geom) AS e, young, younger FROM typed ORDER BY longer$$,
$$SELECT a.id, a.p, b.ps, a.j || b.j AS j, csp_embed(b.geom) AS e FROM typed a JOIN typed b ON a.id = b.younger$$,
$$SELECT u, max(longer) AS l, max(csp_embed(geom)) AS e FROM typed GROUP BY u$$,
$$SELECT x::text AS t FROM (SELECT id, csp_embed(geom) AS e FROM place) x$$,
$$SELECT easy::text AS t FROM easy$$,
$$SELECT id, (x.p).a, e FROM (SELECT id, ROW(csp_probability(geom, 'north') * 100, 'x')::pair AS p, csp_embed(geom) AS e FROM place) x$$,
$$SELECT id, csp_embed(geom::spot) AS e, csp_embed(d::geometry) AS f FROM typed$$,
$$SELECT with_setting(geom) AS b, csp_embed(geom) AS e, with_setting(geom) = csp_embed(geom, 'bands') AS same FROM hole WHERE id < 100$$]) q;

-- Filters.
INSERT INTO query (batched, query) SELECT true, * FROM unnest(ARRAY[
$$SELECT id FROM place WHERE csp_probability(geom, 'north') > 0.4$$,
$$SELECT id FROM place WHERE csp_probability(geom, 'north') > 0.3 AND csp_similarity(geom, features) > 0 AND label <> 'middle'$$,
$$SELECT id, csp_embed(geom) AS e FROM place WHERE csp_probability(geom, 'north') > 0.4$$,
$$SELECT id, csp_probability(geom, 'north') AS p FROM place WHERE csp_probability(geom, 'north') > 0.4$$,
$$SELECT id FROM place WHERE csp_probability(geom, 'north') > 0.5 OR csp_probability(geom, 'south', 'bands') > 0.5 OR id < 3$$,
$$SELECT id FROM place WHERE NOT csp_probability(geom, 'north') > 0.4 AND (csp_embed(geom))[1] < (csp_embed(geom, 'bands'))[1]$$,
$$SELECT id FROM place WHERE csp_probability(geom, label) IN (SELECT max(csp_probability(geom, label)) FROM place)$$,
$$SELECT id FROM place WHERE csp_embed(geom) = (SELECT csp_embed(geom) FROM place WHERE id = 77)$$,
$$SELECT id FROM place WHERE csp_probability(geom, 'north') > ALL (SELECT csp_probability(geom, 'south') FROM place WHERE id < 9)$$,
$$SELECT id FROM hole WHERE csp_embed(geom) IS NULL$$,
$$SELECT id FROM hole WHERE csp_probability(geom, label, model) < 0.4$$,
$$SELECT count(*) FROM place WHERE csp_probability(geom, 'north') > 0.4$$,
$$SELECT count(*) FROM place WHERE csp_embed(geom, model) IS NOT NULL$$,
$$SELECT id FROM place WHERE k BETWEEN 3 AND 30 AND csp_probability(geom, 'north') > 0.4$$,
$$SELECT id FROM place WHERE geom && ST_MakeEnvelope(-50, -50, 50, 50, 4326) AND csp_probability(geom, 'north') > 0.2$$,
$$SELECT id FROM place WHERE csp_probability(geom, 'north') > 2$$,
$$SELECT id FROM mixed WHERE GeometryType(geom) = 'POINT' AND csp_embed(geom) IS NOT NULL$$,
$$SELECT id FROM mixed WHERE CASE WHEN GeometryType(geom) = 'POINT' THEN csp_probability(geom, 'north') > 0.3 END$$,
$$SELECT id, csp_embed(geom) AS e FROM mixed WHERE GeometryType(geom) = 'POINT'$$,
$$SELECT id, CASE WHEN GeometryType(geom) = 'POINT' THEN csp_embed(geom) END AS e FROM mixed$$,
$$SELECT id, CASE WHEN GeometryType(geom) <> 'POINT' THEN '{}' ELSE csp_embed(geom) END AS e FROM mixed$$,
$$SELECT id, CASE GeometryType(geom) WHEN 'POINT' THEN (csp_embed(geom))[1] WHEN 'POLYGON' THEN (csp_embed(ST_Centroid(geom)))[1] END AS e FROM mixed$$,
$$SELECT id, csp_embed(CASE WHEN GeometryType(geom) = 'POINT' THEN geom END) AS e FROM mixed$$,
$$SELECT id, csp_embed(CASE WHEN GeometryType(geom) = 'POINT' THEN geom ELSE ST_Centroid(geom) END) AS e FROM mixed$$]) q;
INSERT INTO query (query) SELECT * FROM unnest(ARRAY[
$$SELECT id, coalesce(CASE WHEN id % 3 = 0 THEN 0 END, (csp_embed(geom))[1]) AS e FROM mixed$$,
$$SELECT id FROM mixed WHERE id % 3 = 0 OR csp_embed(geom) IS NOT NULL$$,
$$SELECT id, id % 3 > 0 AND csp_embed(geom) IS NOT NULL AS b FROM mixed$$,
$$SELECT count(csp_embed(geom)) FILTER (WHERE id % 3 > 0) FROM mixed$$,
$$SELECT id, (SELECT csp_embed(m.geom) WHERE id % 3 > 0) AS e FROM mixed m$$,
$$SELECT id, e FROM mixed m LEFT JOIN LATERAL (SELECT csp_embed(m.geom) AS e) x ON id % 3 > 0 WHERE id % 3 > 0$$,
$$SELECT m.id, csp_embed(m.geom) AS e FROM mixed m JOIN (VALUES (1), (2), (4)) v (id) USING (id)$$]) q;

-- A subquery about the row as an argument; the filter of an outer join, which cannot leave it.
INSERT INTO query (query) SELECT * FROM unnest(ARRAY[
$$SELECT id, csp_embed_image(ARRAY(SELECT f * 2 FROM unnest(features) f)::real[]) AS e FROM place$$,
$$SELECT id FROM place a WHERE NOT EXISTS (SELECT FROM twice b WHERE a.k = b.k AND csp_similarity(a.geom, b.features) > 0)$$,
$$SELECT id, csp_probability(geom, (SELECT t.label FROM place t WHERE t.id = p.id)) AS p FROM place p$$]) q;

-- Calls that fail, on their way to rows that ask for them.
INSERT INTO query (state, query) VALUES
('42809', $$SELECT id, csp_embed(geom) AS e FROM mixed$$),
('42809', $$SELECT id, CASE WHEN id > 5 THEN csp_embed(geom) END AS e FROM mixed$$),
('42809', $$SELECT id FROM mixed WHERE csp_embed(geom) IS NOT NULL$$),
('42809', $$SELECT count(csp_embed(geom)) FROM mixed$$),
('42704', $$SELECT csp_embed(geom, 'nobody') AS e FROM place$$),
('42704', $$SELECT csp_embed(geom, 'both@77') AS e FROM place$$),
('42704', $$SELECT csp_embed(geom, CASE WHEN id > 100 THEN 'nobody' ELSE 'both' END) AS e FROM place$$),
('55000', $$SELECT csp_probabilities(geom, CASE WHEN id > 100 THEN 'pretrained' ELSE 'both' END) AS e FROM place$$),
('55000', $$SELECT csp_similarity(geom, features, model) AS s FROM place$$),
('42704', $$SELECT csp_probability(geom, CASE WHEN id > 100 THEN 'nowhere' ELSE 'north' END) AS p FROM place$$),
('22000', $$SELECT csp_embed_image(CASE WHEN id > 100 THEN '{1}' ELSE features END) AS e FROM place$$),
('42704', $$SELECT csp_embed(geom, 'batch reader') AS e, csp_embed(geom, 'nobody') AS f FROM place$$),
('00000', $$SELECT csp_embed(geom, 'nobody') AS e FROM place WHERE false$$),
('00000', $$SELECT csp_embed(geom, 'nobody') AS e FROM place WHERE id < 0$$),
('00000', $$SELECT csp_embed(geom, 'nobody') AS e FROM place LIMIT 0$$),
('00000', $$SELECT csp_embed(geom, 'nobody') AS e FROM hole WHERE geom IS NULL$$),
('00000', $$SELECT csp_embed(geom, 'nobody') AS e FROM hole WHERE ST_IsEmpty(geom)$$);

-- Joins.
INSERT INTO query (batched, query) SELECT true, * FROM unnest(ARRAY[
$$SELECT a.id, csp_embed(a.geom) AS e, csp_probability(b.geom, 'north') AS p FROM place a JOIN twice b USING (k)$$,
$$SELECT a.id, b.id AS other, csp_similarity(a.geom, b.features) AS s FROM place a JOIN place b ON a.k = b.k WHERE a.id < 200$$,
$$SELECT a.id, b.id AS other FROM place a JOIN place b ON a.k = b.k AND csp_similarity(a.geom, b.features) > 0.3 WHERE a.id < 200$$,
$$SELECT a.id, b.k FROM place a LEFT JOIN twice b ON a.k = b.k AND csp_probability(b.geom, 'north') > 0.4$$,
$$SELECT a.id, b.k, csp_embed(b.geom) AS e FROM place a LEFT JOIN twice b ON a.id = b.k$$,
$$SELECT a.id, b.k, csp_embed(coalesce(a.geom, b.geom)) AS e FROM (SELECT * FROM place WHERE id < 20) a FULL JOIN twice b ON a.id = b.k$$,
$$SELECT a.k, b.k AS l FROM twice a JOIN twice b USING (k) WHERE csp_probability(a.geom, 'north') > 0.3 AND csp_probability(b.geom, 'north') > 0.3$$,
$$SELECT id FROM place a WHERE EXISTS (SELECT FROM twice b WHERE a.k = b.k AND csp_probability(b.geom, 'north') > 0.4)$$,
$$SELECT id FROM place WHERE k IN (SELECT k FROM twice WHERE csp_probability(geom, 'north') > 0.4)$$,
$$SELECT id FROM place WHERE k NOT IN (SELECT k FROM twice WHERE csp_probability(geom, 'north') > 0.4)$$,
$$SELECT a.id, e FROM place a JOIN (SELECT id, csp_embed(geom) AS e FROM place OFFSET 0) b USING (id)$$,
$$SELECT a.id, n FROM place a, LATERAL (SELECT count(*) AS n FROM twice b WHERE b.k = a.k AND csp_similarity(b.geom, a.features) > 0) x WHERE a.id < 300$$,
$$SELECT a.id, x.e FROM place a, LATERAL (SELECT csp_embed(b.geom) AS e FROM twice b WHERE b.k = a.k ORDER BY ST_X(b.geom) LIMIT 2) x WHERE a.id < 300$$,
$$SELECT a.id, x.s FROM place a CROSS JOIN LATERAL (SELECT csp_similarity(a.geom, b.features) AS s FROM twice b ORDER BY 1 LIMIT 3) x WHERE a.id < 20$$,
$$SELECT a.id, b.id AS nearest, csp_similarity(b.geom, a.features) AS s FROM place a, LATERAL (SELECT id, geom FROM place p ORDER BY p.geom <-> a.geom LIMIT 2 OFFSET 1) b WHERE a.id < 100$$,
$$SELECT v.m, id, csp_embed(geom, v.m) AS e FROM hole, (VALUES ('both'), ('bands'), ('seeds@2')) v (m)$$,
$$SELECT n, csp_embed(ST_SetSRID(ST_MakePoint(n, n / 3.0), 4326)) AS e FROM generate_series(-170, 170) n$$,
$$SELECT a.id, csp_probability(b.geom, 'north') AS p FROM place a JOIN twice b ON a.k = b.k WHERE csp_probability(b.geom, 'north') > 0.35$$]) q;
INSERT INTO query (query) SELECT * FROM unnest(ARRAY[
$$SELECT a.id, b.id AS other FROM place a JOIN place b ON csp_embed(a.geom) = csp_embed(b.geom) WHERE a.id < 50$$,
$$SELECT a.id, b.id AS other FROM place a JOIN easy b ON csp_embed(a.geom) = b.e WHERE a.id < 50$$,
$$SELECT a.id, b.k FROM place a JOIN twice b ON a.k = b.k + (csp_probability(b.geom, 'north') > 0.4)::int$$,
$$SELECT a.id, b.k FROM place a JOIN place b ON a.id = b.id AND csp_probability(a.geom, 'north') = csp_probability(b.geom, 'north')$$,
$$SELECT a.id, x.p FROM place a, LATERAL (SELECT csp_probability(a.geom, 'north') AS p) x$$,
$$SELECT a.id, x.p FROM place a, LATERAL (SELECT csp_probability(a.geom, 'north') AS p OFFSET 0) x$$,
$$SELECT a.id, x.e FROM place a, LATERAL unnest(csp_embed(a.geom)) x (e) WHERE id < 50$$,
$$SELECT a.id, x.* FROM place a, ROWS FROM (unnest(csp_embed(a.geom)), csp_classify(a.geom, 2)) x (e, r, l, p) WHERE id < 50$$,
$$SELECT a.id, x.* FROM place a, XMLTABLE('/e' PASSING xmlelement(name e, csp_embed(a.geom)) COLUMNS v text PATH '.') x WHERE id < 50$$,
$$SELECT a.id, x.value FROM place a, jsonb_each(jsonb_build_object('e', csp_embed(a.geom))) x$$,
$$SELECT a.id, x.e, x.o FROM place a, LATERAL unnest(csp_embed(a.geom), csp_embed_image(a.features)) WITH ORDINALITY x (e, f, o) WHERE id < 50$$,
$$SELECT csp_embed(p) AS e FROM (VALUES ('SRID=4326;POINT(1 2)'::geometry), ('SRID=4326;POINT(3 4)'), (NULL)) v (p)$$,
$$VALUES (1, csp_embed('SRID=4326;POINT(1 2)'::geometry)), (2, csp_embed('SRID=4326;POINT(3 4)'::geometry))$$]) q;

-- Order, groups, windows, sets.
INSERT INTO query (batched, query) SELECT true, * FROM unnest(ARRAY[
$$SELECT id FROM place ORDER BY csp_similarity(geom, '{1,2,3,4,5,6,7,8}'), id$$,
$$SELECT id, csp_similarity(geom, features) AS s FROM place ORDER BY 2 DESC, id LIMIT 20$$,
$$SELECT id FROM place ORDER BY (SELECT sum((a - b) ^ 2) FROM unnest(csp_embed(geom), (SELECT csp_embed(geom) FROM place WHERE id = 7)) e (a, b)), id LIMIT 20$$,
$$SELECT id, csp_embed(geom) AS e FROM place ORDER BY e, id$$,
$$SELECT id, csp_embed(geom) AS e FROM place ORDER BY id DESC$$,
$$SELECT id, csp_embed(geom) AS e FROM place ORDER BY k, csp_probability(geom, 'north'), id$$,
$$SELECT DISTINCT csp_embed(geom, 'bands') AS e FROM twice$$,
$$SELECT DISTINCT round(csp_probability(geom, 'north')::numeric, 1) AS p FROM place$$,
$$SELECT DISTINCT ON (label) label, id, csp_probability(geom, label) AS p FROM place ORDER BY label, csp_probability(geom, label), id$$,
$$SELECT count(csp_embed(geom)) FROM place$$,
$$SELECT label, count(csp_embed(geom)) AS n, max(csp_probability(geom, label)) AS most, min(csp_probability(geom, 'north', 'bands')) AS least FROM place GROUP BY label$$,
$$SELECT k, max(csp_embed(geom)) AS e FROM place GROUP BY k$$,
$$SELECT round(csp_probability(geom, 'north')::numeric, 1) AS p, count(*) AS n FROM place GROUP BY 1$$,
$$SELECT csp_embed(geom) AS e, count(*) AS n FROM twice GROUP BY 1 HAVING count(*) > 0$$,
$$SELECT label, max(id) AS id FROM place GROUP BY label HAVING max(csp_probability(geom, 'north')) > 0.5$$,
$$SELECT count(DISTINCT csp_embed(geom)) AS a, count(DISTINCT csp_probability(geom, 'north')) AS b FROM place$$,
$$SELECT k, csp_embed(ST_Centroid(ST_Collect(geom))) AS e FROM place GROUP BY k$$,
$$SELECT k FROM place GROUP BY k HAVING csp_probability(ST_Centroid(ST_Collect(geom)), 'north') > 0.3$$,
$$SELECT id, p, rank() OVER (ORDER BY p, id) AS r FROM (SELECT id, csp_probability(geom, 'north') AS p FROM place) x$$,
$$SELECT id, row_number() OVER (PARTITION BY csp_probability(geom, 'north') > 0.4 ORDER BY id) AS r FROM place$$,
$$SELECT csp_probability(geom, 'north') AS p FROM place UNION ALL SELECT csp_probability(geom, 'south') FROM place$$,
$$SELECT csp_embed(geom) AS e FROM place WHERE id < 100 UNION SELECT csp_embed(geom) FROM place WHERE id > 50 AND id < 150$$,
$$SELECT csp_embed(geom) AS e FROM place WHERE id < 100 EXCEPT SELECT csp_embed(geom) FROM place WHERE id > 50 AND id < 150$$,
$$SELECT csp_embed(geom) AS e FROM place WHERE id < 100 INTERSECT ALL SELECT csp_embed(geom) FROM place WHERE id > 50 AND id < 150$$]) q;
INSERT INTO query (query) SELECT * FROM unnest(ARRAY[
$$SELECT label, grouping(label) AS g, max(csp_probability(geom, 'north')) AS p FROM place GROUP BY ROLLUP (label)$$,
$$SELECT label, k % 3 AS k, count(csp_embed(geom)) AS n FROM place GROUP BY CUBE (label, k % 3)$$,
$$SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY csp_probability(geom, 'north')) AS m FROM place$$,
$$SELECT array_agg(id ORDER BY csp_probability(geom, 'north'), id) AS ids FROM place$$,
$$SELECT string_agg(csp_embed(geom)::text, ' ' ORDER BY id) AS s FROM place$$,
$$SELECT count(*) FILTER (WHERE csp_probability(geom, 'north') > 0.4) AS n FROM place$$,
$$SELECT max(csp_probability(geom, 'north')) AS most, min(csp_probability(geom, 'north')) AS least FROM place$$,
$$SELECT id, max(csp_probability(geom, 'north')) OVER (PARTITION BY k) AS m, lag(csp_embed(geom)) OVER (ORDER BY id) AS l FROM place$$,
$$SELECT id, count(*) FILTER (WHERE csp_probability(geom, 'north') > 0.4) OVER (ORDER BY id ROWS 3 PRECEDING) AS n FROM place$$,
$$SELECT id FROM (SELECT id, row_number() OVER (ORDER BY id) AS r, csp_embed(geom) AS e FROM place) x WHERE r < 10$$,
$$SELECT unnest(csp_embed(geom)) AS e, id FROM place WHERE id < 60$$,
$$SELECT id, (csp_classify(geom, 2)).* FROM place WHERE id < 60$$,
$$SELECT id, generate_series(1, 3) AS n, csp_embed(geom) AS e FROM place$$,
$$SELECT generate_series(1, (csp_probability(geom, 'north') * 5)::int) AS n, id FROM place$$,
$$SELECT id, json_array_elements(to_json(csp_embed(geom))) AS j FROM place WHERE id < 60$$,
$$SELECT array_agg(csp_embed(geom) ORDER BY id) AS a, array_agg(DISTINCT csp_probability(geom, 'north')) AS b FROM place WHERE id < 500$$,
$$SELECT id, first_value(csp_embed(geom)) OVER w AS f, nth_value(csp_embed(geom), 5) OVER w AS n FROM place WINDOW w AS (PARTITION BY k % 5 ORDER BY id)$$,
$$SELECT k, sum(csp_probability(geom, 'north')::numeric) AS s, count(*) AS n, csp_embed(min(geom)) AS e FROM place GROUP BY k HAVING sum(csp_probability(geom, 'south')::numeric) > 1 ORDER BY k$$,
$$SELECT DISTINCT ON (csp_probability(geom, 'north') > 0.4) id FROM place ORDER BY csp_probability(geom, 'north') > 0.4, id$$]) q;

-- Subqueries.
INSERT INTO query (batched, query) SELECT true, * FROM unnest(ARRAY[
$$SELECT * FROM (SELECT id, csp_embed(geom) AS e FROM place) x WHERE e[1] > 0$$,
$$SELECT id, e[1] AS a, e[2] AS b FROM (SELECT id, csp_embed(geom) AS e FROM place OFFSET 0) x$$,
$$WITH x AS (SELECT id, csp_embed(geom) AS e FROM place) SELECT id, e[1] + e[2] AS s FROM x$$,
$$WITH x AS MATERIALIZED (SELECT id, csp_embed(geom) AS e FROM place) SELECT a.id, b.e FROM x a JOIN x b ON a.id = b.id + 1$$,
$$WITH x AS MATERIALIZED (SELECT * FROM place WHERE k < 50) SELECT id, csp_embed(geom) AS e FROM x WHERE csp_probability(geom, 'north') > 0.3$$,
$$WITH RECURSIVE x AS (SELECT 1 AS n, geom::geometry FROM place WHERE id = 1 UNION ALL SELECT n + 1, ST_Translate(geom, 1, 0) FROM x WHERE n < 40 AND csp_probability(geom, 'north') < 2) SELECT n, csp_embed(geom) AS e FROM x$$,
$$WITH RECURSIVE x AS (SELECT id, csp_probability(geom, 'north') AS p FROM place WHERE id < 4 UNION SELECT q.id, csp_probability(q.geom, 'north') FROM x JOIN place q ON q.id = 2 * x.id) SELECT * FROM x$$,
$$SELECT id, (SELECT max(csp_similarity(p.geom, t.features)) FROM twice t WHERE t.k = p.k) AS s FROM place p WHERE id < 300$$,
$$SELECT id, ARRAY(SELECT csp_probability(t.geom, 'north') FROM twice t WHERE t.k = p.k) AS a FROM place p$$,
$$SELECT id, (SELECT csp_embed(geom) FROM place WHERE id = 5) = csp_embed(geom) AS same FROM place$$,
$$SELECT (SELECT max(csp_probability(geom, 'north')) FROM place) AS most$$,
$$SELECT id FROM place WHERE csp_probability(geom, 'north') > (SELECT avg(p)::numeric(6, 5) FROM (SELECT csp_probability(geom, 'north')::numeric AS p FROM place) x)$$,
$$SELECT id FROM place WHERE (SELECT count(*) FROM twice WHERE csp_probability(geom, 'north') > 0.4) > 5$$,
$$SELECT EXISTS (SELECT FROM place WHERE csp_probability(geom, 'north') > 0.4) AS e$$,
$$SELECT id, csp_probability(geom, (SELECT label FROM place WHERE id = 3)) AS p FROM place$$]) q;
INSERT INTO query (serial, query) VALUES (true, $$SELECT id FROM place LIMIT (SELECT count(*) FROM twice WHERE csp_probability(geom, 'north') > 0.4)$$);
INSERT INTO query (query) SELECT * FROM unnest(ARRAY[
$$SELECT id, (SELECT csp_embed(p.geom)) AS e FROM place p$$,
$$SELECT id, (SELECT csp_embed(t.geom) FROM place t WHERE t.id = p.id) AS e FROM place p WHERE id < 200$$,
$$SELECT id FROM place p WHERE id < 300 AND EXISTS (SELECT FROM twice t WHERE csp_similarity(p.geom, t.features) > 0.5)$$,
$$SELECT id, CASE WHEN id < 3 THEN (SELECT max(csp_probability(geom, 'north')) FROM twice) END AS p FROM place$$,
$$SELECT id FROM place WHERE csp_probability(geom, 'north') IN (SELECT csp_probability(geom, 'north') FROM twice)$$]) q;
-- Rows that are never asked for.
INSERT INTO query (batched, serial, query) SELECT true, true, * FROM unnest(ARRAY[
$$SELECT id, csp_embed(geom) AS e FROM place LIMIT 1$$,
$$SELECT id, csp_embed(geom) AS e FROM place LIMIT 2 OFFSET 345$$,
$$SELECT id, csp_embed(geom) AS e FROM place OFFSET 1190$$,
$$SELECT id FROM place WHERE csp_probability(geom, 'north') > 0.4 LIMIT 22$$,
$$SELECT id, csp_embed(geom) AS e FROM place FETCH FIRST 5 ROWS ONLY$$,
$$SELECT id, csp_probability(geom, 'north') > 0.4 AS b FROM place ORDER BY b FETCH FIRST 5 ROWS WITH TIES$$,
$$(SELECT id, csp_embed(geom) AS e FROM place LIMIT 3) UNION ALL (SELECT id, csp_embed(geom) FROM hole LIMIT 7)$$,
$$SELECT x.* FROM (VALUES (1), (2), (30)) v (n), LATERAL (SELECT id, csp_embed(geom) AS e FROM place WHERE k >= v.n LIMIT 3) x$$]) q;
-- The table's first polygon is row 3.
INSERT INTO query (serial, state, query) VALUES
(true, '00000', $$SELECT csp_embed(geom) AS e FROM mixed LIMIT 2$$),
(true, '42809', $$SELECT csp_embed(geom) AS e FROM mixed LIMIT 3$$),
(true, '00000', $$SELECT id FROM mixed WHERE csp_embed(geom) IS NOT NULL LIMIT 2$$),
(true, '00000', $$SELECT EXISTS (SELECT FROM mixed WHERE csp_probability(geom, 'north') < 2) AS e$$),
(true, '00000', $$SELECT v.n, (SELECT csp_embed(geom) FROM mixed WHERE id >= v.n LIMIT 1) AS e FROM (VALUES (1), (2), (4)) v (n)$$),
(true, '00000', $$SELECT first_rows('SELECT id, csp_embed(geom) FROM batch.mixed', 2)$$),
(true, '42809', $$SELECT first_rows('SELECT id, csp_embed(geom) FROM batch.mixed', 3)$$),
(true, '00000', $$SELECT first_rows('SELECT id FROM batch.mixed WHERE csp_embed(geom) IS NOT NULL', 2)$$),
-- what fails stands below the calls
(true, '00000', $$SELECT id, csp_embed(geom) AS e FROM (SELECT id, geom FROM place WHERE 1 / (id - 30) < 2) x LIMIT 29$$),
(true, '22012', $$SELECT id, csp_embed(geom) AS e FROM (SELECT id, geom FROM place WHERE 1 / (id - 30) < 2) x LIMIT 30$$),
(true, '00000', $$SELECT csp_embed(geom) AS e, 1 / (id - 30) AS d FROM place LIMIT 29$$),
(true, '22012', $$SELECT 1 / (id - 30) AS d, csp_embed(geom) AS e FROM place LIMIT 30$$),
(true, '00000', $$SELECT csp_embed(geom) AS e, d FROM (SELECT geom, 1 / (id - 30) AS d FROM place OFFSET 0) x LIMIT 29$$),
(true, '00000', $$SELECT a.id, csp_embed(b.geom) AS e FROM place a LEFT JOIN LATERAL (SELECT geom FROM place WHERE id = 100 / (30 - a.id) OFFSET 0) b ON true LIMIT 5$$),
(true, '00000', $$SELECT id, csp_embed(ST_GeomFromText(CASE WHEN id = 30 THEN 'broken' ELSE 'POINT(1 2)' END, 4326)) AS e FROM place LIMIT 29$$),
(true, 'XX000', $$SELECT id, csp_embed(ST_GeomFromText(CASE WHEN id = 30 THEN 'broken' ELSE 'POINT(1 2)' END, 4326)) AS e FROM place LIMIT 30$$);

-- Partitions, inheritance, ways to scan.
PREPARE by_part(int) AS SELECT id, csp_embed(geom) AS e FROM part WHERE id > $1 AND id < $1 + 100;
INSERT INTO query (batched, query) SELECT true, * FROM unnest(ARRAY[
$$SELECT id, csp_embed(geom) AS e FROM part$$,
$$SELECT tableoid::regclass AS t, id, csp_probability(geom, 'north') AS p FROM part WHERE csp_probability(geom, 'north') > 0.4$$,
$$SELECT id, csp_embed(geom) AS e FROM part ORDER BY id$$,
$$SELECT id, csp_embed(geom) AS e FROM part ORDER BY id DESC LIMIT 30$$,
$$SELECT id FROM part ORDER BY csp_similarity(geom, features), id$$,
$$SELECT id, csp_embed(geom) AS e FROM part WHERE id BETWEEN 190 AND 210$$,
$$SELECT id, csp_embed(geom) AS e FROM part WHERE id = (SELECT 250)$$,
$$EXECUTE by_part(150)$$,
$$SELECT kind, count(csp_embed(geom)) AS n, max(csp_probability(geom, kind)) AS p FROM part GROUP BY kind$$,
$$SELECT a.id, csp_similarity(a.geom, b.features) AS s FROM part a JOIN part b USING (id)$$,
$$SELECT a.id FROM part a JOIN part b USING (id) WHERE csp_probability(a.geom, 'north') > 0.3 AND csp_probability(b.geom, 'south') > 0.1$$,
$$SELECT *, csp_embed(geom) AS e FROM parent$$,
$$SELECT p, csp_embed(geom) AS e FROM parent p WHERE csp_probability(geom, 'north') > 0.2$$,
$$SELECT csp_embed(geom) AS e FROM ONLY parent$$,
$$SELECT id, csp_embed(geom) AS e FROM place TABLESAMPLE BERNOULLI (30) REPEATABLE (7)$$,
$$SELECT id, csp_embed(geom) AS e FROM place WHERE ctid < '(3,0)'$$,
$$SELECT id, csp_embed(geom) AS e FROM place WHERE ctid = ANY (ARRAY['(0,1)', '(1,2)']::tid[])$$,
$$SELECT id, csp_embed(geom) AS e FROM place WHERE k = 7 OR k = 90$$,
$$SELECT e, id FROM (SELECT id, csp_embed(geom) AS e FROM part UNION ALL SELECT id, csp_embed(geom) FROM parent) x WHERE id < 300$$]) q;

-- csp_classify.
INSERT INTO query (batched, query) SELECT true, * FROM unnest(ARRAY[
$$SELECT id, c.* FROM place, csp_classify(geom, 2, 'both') c$$,
$$SELECT id, c.label, c.probability FROM place, csp_classify(g, 1) c$$,
$$SELECT id, c.* FROM place, csp_classify(geom, 'bands') c$$,
$$SELECT id, c.* FROM place, csp_classify(geom) c$$,
$$SELECT id, c.* FROM place, csp_classify(geom, 1 + id % 5, model) c$$,
$$SELECT id, c.* FROM place, csp_classify(geom, 2, observed_at, 'batch dated') c$$,
$$SELECT id, c.* FROM hole, csp_classify(geom, 2) c$$,
$$SELECT id, c.* FROM hole LEFT JOIN LATERAL csp_classify(geom, 2) c ON true$$,
$$SELECT count(*) FROM place p, csp_classify(p.geom, 1, 'bands') c WHERE c.label = p.label$$,
$$SELECT c.label, count(*) AS n FROM place, csp_classify(geom, 1) c GROUP BY 1$$]) q;
INSERT INTO query (query) SELECT * FROM unnest(ARRAY[
$$SELECT id, c.* FROM place LEFT JOIN LATERAL csp_classify(geom, 3) c ON c.probability > 0.4$$,
$$SELECT id, c.* FROM place, csp_classify(geom, 3) WITH ORDINALITY c$$,
$$SELECT id, a.*, b.label AS other FROM place, csp_classify(geom, 1) a, csp_classify(g, 2, 'published') b$$,
$$SELECT id, c.*, csp_embed(geom) AS e FROM place, csp_classify(geom, 2) c WHERE csp_probability(geom, c.label) > 0.3$$,
$$SELECT id, c.* FROM place, ROWS FROM (csp_classify(geom, 2), csp_classify(geom, 3, 'bands')) c (r, l, p, s, m, q)$$,
$$SELECT id, c.* FROM place, csp_classify(geom, CASE WHEN id % 2 = 0 THEN 2 END) c$$,
$$SELECT id, (SELECT string_agg(label, ',' ORDER BY rank) FROM csp_classify(geom, 3)) AS l FROM place$$,
$$SELECT id, (SELECT label FROM csp_classify(p.geom, 3) OFFSET 1 LIMIT 1) AS l FROM place p$$,
$$SELECT id FROM place p WHERE EXISTS (SELECT FROM csp_classify(p.geom, 1) c WHERE c.label = p.label)$$,
$$SELECT * FROM csp_classify('SRID=4326;POINT(1 2)'::geometry, 2)$$,
$$SELECT id, c.* FROM place, csp_classify((SELECT geom FROM place WHERE id = 3), 1) c$$,
$$SELECT id, c.* FROM mixed, csp_classify(ST_Centroid(geom), 1) c$$,
$$SELECT id, c.* FROM mixed, csp_classify(geom, 1) c WHERE GeometryType(geom) = 'POINT'$$]) q;
INSERT INTO query (serial, state, query) VALUES
(true, '00000', $$SELECT id, c.* FROM mixed, csp_classify(geom, 2) c LIMIT 4$$),
(true, '42809', $$SELECT id, c.* FROM mixed, csp_classify(geom, 2) c LIMIT 5$$),
(true, '22023', $$SELECT id, c.* FROM place, csp_classify(geom, 20 - id) c$$),
(true, '00000', $$SELECT id, c.* FROM place, csp_classify(geom, 20 - id) c LIMIT 19$$),
(true, '55000', $$SELECT id, c.* FROM place, csp_classify(geom, 1, CASE WHEN id < 50 THEN 'both' ELSE 'pretrained' END) c$$);

-- Prepared statements, functions, cursors.
PREPARE by_model(text) AS SELECT id, csp_embed(geom, $1) AS e FROM place;
PREPARE by_place(geometry, int) AS SELECT id, csp_embed($1) AS mine, csp_embed(geom) AS e FROM place WHERE k = $2;
PREPARE by_limit(real, int) AS SELECT id FROM place WHERE csp_probability(geom, 'north') > $1 ORDER BY id LIMIT $2;
PREPARE by_image(real[]) AS SELECT id, csp_similarity(geom, $1) AS s FROM place ORDER BY s, id;
INSERT INTO query (batched, query) SELECT true, * FROM unnest(ARRAY[
$$EXECUTE by_model('both')$$, $$EXECUTE by_model('bands')$$, $$EXECUTE by_place('SRID=4326;POINT(1 2)', 4)$$, $$EXECUTE by_limit(0.4, 30)$$,
$$EXECUTE by_image('{1,2,3,4,5,6,7,8}')$$]) q;
INSERT INTO query (state, query) VALUES ('42704', $$EXECUTE by_model('nobody')$$);
INSERT INTO query (batched, query) SELECT true, * FROM unnest(ARRAY[
$$SELECT id, inlined(geom) AS p FROM place WHERE inlined(geom) > 0.4$$,
$$SELECT a.id, b.e FROM place a, rows_of(a.k) b WHERE a.id < 200$$,
$$SELECT * FROM easy$$,
$$SELECT id FROM easy WHERE p > 0.4 AND e[1] > 0$$,
$$SELECT id, e FROM easy WHERE id = 5$$,
$$SELECT s.id, s.e = csp_embed(p.geom, 'both') AND s.p = csp_probabilities(p.geom, 'both') AS as_stored FROM stored s JOIN place p USING (id)$$]) q;
INSERT INTO query (query) SELECT * FROM unnest(ARRAY[
$$SELECT id, not_inlined(geom) AS p FROM place WHERE id < 200$$,
$$SELECT * FROM rows_by_plpgsql(7)$$,
$$SELECT a.id, b.e FROM place a, rows_by_plpgsql(a.k) b WHERE a.id < 50$$]) q;
INSERT INTO query (query)
SELECT format('SELECT walk(%L, %L, %L)', q, s, steps)
FROM unnest(ARRAY['SELECT id, csp_embed(geom) FROM batch.place', 'SELECT id FROM batch.place WHERE csp_probability(geom, ''north'') > 0.4',
                  'SELECT id, csp_embed(geom) FROM batch.part ORDER BY id', 'SELECT id, c.* FROM batch.place, csp_classify(geom, 2) c',
                  'SELECT label, count(csp_embed(geom)) FROM batch.place GROUP BY 1 ORDER BY 1',
                  'SELECT a.id, csp_probability(b.geom, ''north'') FROM batch.place a JOIN batch.twice b USING (k)']) q,
     (VALUES ('scroll', '{1,1,5,-3,-1,0,30,-20,400,-1,-1,2000,-1,-2}'), ('any', '{1,1,5,30,400}'), ('no scroll', '{1,1,5,30,400,2000}')) v (s, steps);
-- Rights: nobody is told of rows before the checks that guard them.
INSERT INTO query (batched, runs_as, serial, afterwards, query) VALUES
(true, 'csp_test_batch', true, 'SELECT what FROM batch.seen ORDER BY n', $$SELECT id FROM guarded WHERE see(id)$$),
(true, 'csp_test_batch', true, 'SELECT what FROM batch.seen ORDER BY n', $$SELECT id FROM guarded WHERE see(id) LIMIT 5$$),
(true, 'csp_test_batch', false, NULL, $$SELECT id, csp_embed(geom, 'batch reader') AS e FROM guarded$$),
(true, 'csp_test_batch', false, NULL, $$SELECT label, count(*) AS n FROM guarded WHERE csp_probability(geom, 'south', 'batch reader') < 0.9 GROUP BY 1$$);
INSERT INTO query (batched, serial, afterwards, query) VALUES
(true, true, 'SELECT what FROM batch.seen ORDER BY n', $$SELECT id FROM barrier WHERE see(id)$$),
(true, true, 'SELECT what FROM batch.seen ORDER BY n', $$SELECT id, csp_embed(geom) AS e FROM barrier WHERE see(id) LIMIT 7$$),
(true, true, 'SELECT what FROM batch.seen ORDER BY n', $$SELECT id, p FROM barrier WHERE see(p) AND csp_probability(geom, 'south') > 0.1$$),
(true, false, NULL, $$SELECT b.id, b.p, e.e FROM barrier b JOIN easy e USING (id)$$);
REVOKE EXECUTE ON FUNCTION csp_probabilities(geometry, text) FROM PUBLIC;
INSERT INTO query (runs_as, state, query) VALUES
('csp_test_batch', '42501', $$SELECT csp_probabilities(geom, 'batch reader') AS p FROM place$$),
('csp_test_batch', '42501', $$SELECT csp_probabilities(geom, 'batch reader') AS p FROM place WHERE id < 0$$),
('csp_test_batch', '42501', $$SELECT id, CASE WHEN id < 0 THEN csp_probabilities(geom, 'batch reader') END AS p FROM place$$),
('csp_test_batch', '42501', $$SELECT csp_probabilities(geom, 'both') AS p FROM place$$),
('csp_test_batch', '42704', $$SELECT id, e FROM easy ORDER BY id$$),
('csp_test_batch', '00000', $$SELECT * FROM as_owner(20)$$),
('csp_test_batch', '42704', $$SELECT csp_embed(geom, 'both') AS e FROM place$$),
('csp_test_batch', '42704', $$SELECT csp_embed(geom) AS e FROM place$$);

-- Neighbours with side effects: who runs when, and how often, is part of the answer.
INSERT INTO query (serial, afterwards, query) SELECT true, 'SELECT what FROM batch.seen ORDER BY n', * FROM unnest(ARRAY[
$$SELECT see(id), csp_embed(geom) AS e FROM place$$,
$$SELECT see(id), csp_embed(geom) AS e FROM place LIMIT 10$$,
$$SELECT csp_embed(geom) AS e, seen_so_far() AS n, see(id) FROM place WHERE id < 50$$,
$$SELECT id FROM place WHERE see(id) AND csp_probability(geom, 'north') > 0.4$$,
$$SELECT id FROM place WHERE see(id) AND csp_probability(geom, 'north') > 0.4 LIMIT 10$$,
$$SELECT id FROM place WHERE csp_probability(geom, 'north') > 0.4 AND see_late(id)$$,
$$SELECT id FROM place WHERE csp_probability(geom, 'north') > 0.4 AND see_late(id) LIMIT 10$$,
$$SELECT csp_embed(geom) AS e FROM (SELECT geom, see(id) FROM place OFFSET 0) x LIMIT 10$$,
$$SELECT id, see(csp_probability(geom, 'north')) AS s FROM place LIMIT 20$$,
$$SELECT id, CASE WHEN csp_probability(geom, 'north') > 0.4 THEN see(id) END AS s FROM place LIMIT 20$$,
$$SELECT id, csp_embed(geom) AS e FROM place WHERE see(id) ORDER BY id DESC LIMIT 4$$,
$$SELECT first_rows('SELECT id, csp_embed(geom), batch.see(id) FROM batch.place', 9)$$,
$$SELECT first_rows('SELECT id, csp_embed(geom) FROM batch.place WHERE batch.see(id)', 9)$$,
$$SELECT id, csp_embed(geom) AS e, nextval('batch.number') AS n FROM place LIMIT 10$$,
$$SELECT count(csp_embed(geom)) AS n, sum(nextval('batch.number')) AS s FROM place$$,
$$SELECT nextval('batch.number') AS n, csp_embed(geom) AS e FROM place WHERE csp_probability(geom, 'north') > 0.4 AND nextval('batch.number') % 3 > 0$$,
$$SELECT csp_embed(geom) AS e FROM (SELECT geom, nextval('batch.number') AS n FROM place OFFSET 0) x LIMIT 10$$,
$$SELECT id, c.label, see(id) FROM place, csp_classify(geom, 2) c LIMIT 7$$]) q;
UPDATE query SET afterwards = $$SELECT last_value, is_called FROM batch.number$$ WHERE query ~ 'nextval';
INSERT INTO query (batched, serial, query) VALUES
(false, true, $$SELECT csp_embed(ST_SetSRID(ST_MakePoint(nextval('batch.number') % 180, 0), 4326)) AS e FROM place$$),
(false, true, $$SELECT csp_embed(ST_SetSRID(ST_MakePoint(nextval('batch.number') % 180, 0), 4326)) AS e FROM place LIMIT 5$$),
(NULL, true, $$SELECT setseed(0.5) IS NULL AS s, csp_embed(ST_SetSRID(ST_MakePoint(random() * 180, 0), 4326)) AS e FROM generate_series(1, 50)$$),
(NULL, true, $$SELECT id, set_config('csp.model', model, true), csp_embed(geom) AS e FROM place WHERE id < 100$$);

-- No batches.
INSERT INTO query (batched, query) SELECT false, * FROM unnest(ARRAY[
$$SELECT csp_embed('SRID=4326;POINT(1 2)'::geometry) AS e$$,
$$SELECT csp_probability('SRID=4326;POINT(1 2)'::geometry, 'north') > 0.4 AS b WHERE csp_probability('SRID=4326;POINT(1 2)'::geometry, 'south') < 2$$,
$$SELECT id FROM place$$,
$$SELECT count(*) FROM place a JOIN twice b USING (k)$$,
$$SELECT name FROM csp_info()$$]) q;
INSERT INTO query (query) SELECT * FROM unnest(ARRAY[
$$SELECT id FROM place WHERE csp_embed('SRID=4326;POINT(1 2)'::geometry) IS NULL$$,
$$SELECT id, csp_embed('SRID=4326;POINT(1 2)'::geometry) AS e FROM place$$,
$$SELECT id FROM place WHERE k = (csp_probability('SRID=4326;POINT(1 2)'::geometry, 'north') * 10)::int$$]) q;
-- Row locks.
INSERT INTO query (serial, query) SELECT true, * FROM unnest(ARRAY[
$$SELECT * FROM (SELECT id, csp_embed(geom) AS e FROM place FOR UPDATE) x$$,
$$SELECT * FROM (SELECT id, csp_embed(geom) AS e FROM place WHERE csp_probability(geom, 'north') > 0.4 LIMIT 5 FOR SHARE SKIP LOCKED) x$$,
$$SELECT * FROM (SELECT a.id, csp_embed(a.geom) AS e FROM place a JOIN twice b USING (k) ORDER BY a.id LIMIT 20 FOR UPDATE OF a) x$$]) q;

-- pgvector and file_fdw, where they are installed.
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_available_extensions WHERE name = 'vector') THEN
        CREATE EXTENSION vector;
        INSERT INTO batch.query (batched, query) SELECT true, * FROM unnest(ARRAY[
            'SELECT id, csp_embed(geom)::vector AS v FROM place',
            'SELECT id FROM place ORDER BY csp_embed(geom)::vector <-> (SELECT csp_embed(geom)::vector FROM place WHERE id = 7), id LIMIT 20',
            'SELECT id, csp_embed_image(features::vector(8)::real[])::vector <=> csp_embed(geom)::vector AS d FROM place']) q;
    END IF;
    IF EXISTS (SELECT FROM pg_available_extensions WHERE name = 'file_fdw') THEN
        CREATE EXTENSION file_fdw;
        CREATE SERVER batch_files FOREIGN DATA WRAPPER file_fdw;
        CREATE FOREIGN TABLE batch.numbers (n int) SERVER batch_files OPTIONS (program 'seq 1 150');
        INSERT INTO batch.query (batched, query) SELECT true, * FROM unnest(ARRAY[
            'SELECT n, csp_embed(ST_SetSRID(ST_MakePoint(n, n / 3.0), 4326)) AS e FROM numbers',
            'SELECT n FROM numbers WHERE csp_probability(ST_SetSRID(ST_MakePoint(n, n / 3.0), 4326), ''north'') > 0.4',
            'SELECT n, csp_embed(geom) AS e FROM numbers JOIN place ON id = n']) q;
    END IF;
END $$;

ANALYZE query;
SELECT count(*) > 300 AS many FROM query;
SELECT * FROM complaints(1);
GRANT EXECUTE ON FUNCTION csp_probabilities(geometry, text) TO PUBLIC;
-- switched off, no plan has a batch node
SELECT shortened(q.query) FROM query q WHERE is_batched(q, ROW(0, '', '', false, '{"csp.enable_batch": "off"}', ''));

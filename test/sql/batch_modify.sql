-- Batched execution of statements that write: the same rows, the same RETURNING, the same work of triggers.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
\pset format unaligned
SET search_path = batch, public;
SELECT coalesce(max(n), 0) + 1 AS first FROM query \gset

CREATE TABLE target (id int PRIMARY KEY, geom geometry, e real[], p real, label text, note text);
INSERT INTO target SELECT id, geom, NULL, NULL, label, NULL FROM place WHERE id <= 300;
CREATE TABLE part_target (id int, kind text, geom geometry, e real[]) PARTITION BY LIST (kind);
CREATE TABLE part_target_north PARTITION OF part_target FOR VALUES IN ('north');
CREATE TABLE part_target_rest PARTITION OF part_target DEFAULT;
INSERT INTO part_target SELECT id, label, geom FROM place WHERE id <= 200;
CREATE TABLE parent_target (id int, geom geometry, e real[]);
CREATE TABLE child_target (note text) INHERITS (parent_target);
INSERT INTO parent_target SELECT id, geom FROM place WHERE id <= 30;
INSERT INTO child_target SELECT id, geom FROM place WHERE id BETWEEN 31 AND 80;

-- Triggers: one fills a column, one tells of every row, one reads what a statement wrote.
CREATE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.e := csp_embed(NEW.geom, 'both'); RETURN NEW; END $$;
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN INSERT INTO batch.seen (what) VALUES (format('%s %s %s', TG_WHEN, TG_OP, coalesce(NEW.id, OLD.id))); RETURN coalesce(NEW, OLD); END $$;
CREATE FUNCTION tell_all() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN INSERT INTO batch.seen (what) SELECT csp_probability(geom, 'north', 'both')::text FROM written ORDER BY id; RETURN NULL; END $$;
CREATE TABLE triggered (LIKE target INCLUDING INDEXES);
INSERT INTO triggered SELECT * FROM target WHERE id <= 60;
CREATE TRIGGER a_fill BEFORE INSERT ON triggered FOR EACH ROW EXECUTE FUNCTION fill();
CREATE TRIGGER b_tell BEFORE INSERT OR UPDATE OR DELETE ON triggered FOR EACH ROW EXECUTE FUNCTION tell();
CREATE TRIGGER c_tell AFTER INSERT OR UPDATE OR DELETE ON triggered FOR EACH ROW EXECUTE FUNCTION tell();
CREATE TRIGGER d_insert AFTER INSERT ON triggered REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION tell_all();
CREATE TRIGGER d_update AFTER UPDATE ON triggered REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION tell_all();
CREATE VIEW writable AS SELECT * FROM target WHERE csp_probability(geom, 'north', 'both') > 0.3 WITH CHECK OPTION;
CREATE VIEW replaced AS SELECT id, csp_embed(geom, 'both') AS e FROM target;
CREATE FUNCTION replace_row() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN INSERT INTO batch.seen (what) VALUES (format('%s %s', TG_OP, OLD.e)); RETURN NEW; END $$;
CREATE TRIGGER instead INSTEAD OF UPDATE OR DELETE ON replaced FOR EACH ROW EXECUTE FUNCTION replace_row();
CREATE RULE tell_too AS ON DELETE TO child_target DO ALSO INSERT INTO seen (what) VALUES (csp_embed(OLD.geom, 'both')::text);
-- What a row finds while the statement that writes it runs.
CREATE FUNCTION tells_of(int) RETURNS bigint LANGUAGE sql VOLATILE AS
$$ SELECT count(*) FROM batch.seen WHERE what LIKE '%' || $1 - 1 $$;
CREATE FUNCTION move_current(query text, steps int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE c refcursor; r record; answer text[];
BEGIN
    OPEN c FOR EXECUTE query;
    FOR i IN 1..steps LOOP
        FETCH c INTO r;
        answer := answer || r::text;
        IF i % 3 = 0 THEN
            UPDATE batch.target SET note = 'current' WHERE CURRENT OF c;
        ELSIF i % 7 = 0 THEN
            DELETE FROM batch.target WHERE CURRENT OF c;
        END IF;
    END LOOP;
    CLOSE c;
    RETURN array_to_string(answer, E'\n');
END $$;

INSERT INTO query (batched, query, afterwards) SELECT true, q, 'SELECT * FROM target ORDER BY id' FROM unnest(ARRAY[
$$INSERT INTO target (id, geom, e, p) SELECT id + 1000, geom, csp_embed(geom), csp_probability(geom, 'north') FROM place$$,
$$INSERT INTO target (id, e) SELECT id, csp_embed(geom) FROM place WHERE csp_probability(geom, 'north') > 0.4 AND id > 300 RETURNING *$$,
$$INSERT INTO target (id, e) SELECT id, csp_embed(geom) FROM place ON CONFLICT DO NOTHING$$,
$$INSERT INTO target (id, e, p) SELECT id, csp_embed(geom), id FROM place ON CONFLICT (id) DO UPDATE SET e = EXCLUDED.e, note = 'again' WHERE EXCLUDED.p > 150$$,
$$INSERT INTO target (id, geom, e) SELECT 1000 + n, p, csp_embed(p) FROM generate_series(1, 50) n, ST_SetSRID(ST_MakePoint(n, n), 4326) p$$,
$$UPDATE target SET e = csp_embed(geom)$$,
$$UPDATE target SET e = csp_embed(geom), p = csp_probability(geom, label) RETURNING id, e, p$$,
$$UPDATE target SET e = csp_embed(geom) WHERE csp_probability(geom, 'north') > 0.4$$,
$$UPDATE target SET note = 'north' WHERE csp_probability(geom, 'north') > 0.4 RETURNING *$$,
$$UPDATE target SET geom = ST_Translate(geom, 1, 0), e = csp_embed(geom), note = csp_embed(ST_Translate(geom, 1, 0))::text$$,
$$UPDATE target SET id = id + 10000, e = csp_embed(geom)$$,
$$UPDATE target t SET e = csp_embed(p.geom), p = csp_similarity(t.geom, p.features) FROM place p WHERE p.id = t.id + 1$$,
$$UPDATE target t SET p = csp_similarity(t.geom, p.features) FROM place p WHERE p.id = t.id AND csp_probability(p.geom, 'north') > 0.4 RETURNING t.id, p.id AS other, t.p$$,
$$UPDATE target SET (e, p) = (SELECT csp_embed(geom), csp_probability(geom, 'south') FROM place WHERE place.id = target.id)$$,
$$UPDATE target SET p = c.probability, note = c.label FROM place, csp_classify(place.geom, 1) c WHERE place.id = target.id$$,
$$DELETE FROM target WHERE csp_probability(geom, 'north') > 0.4$$,
$$DELETE FROM target WHERE csp_probability(geom, 'north') > 0.4 RETURNING id, label$$,
$$DELETE FROM target t USING place p WHERE p.id = t.id AND csp_similarity(t.geom, p.features) > 0 RETURNING t.id, p.k$$,
$$MERGE INTO target t USING (SELECT id, csp_embed(geom) AS e, csp_probability(geom, 'north') AS p FROM place WHERE id > 250 AND id < 400) s ON s.id = t.id WHEN MATCHED AND s.p > 0.4 THEN UPDATE SET e = s.e WHEN MATCHED AND s.p < 0.3 THEN DELETE WHEN NOT MATCHED THEN INSERT (id, e) VALUES (s.id, s.e)$$,
$$WITH x AS (UPDATE target SET e = csp_embed(geom) WHERE id < 100 RETURNING id, e) INSERT INTO target (id, e) SELECT 5000 + id, e FROM x RETURNING id$$]) q;
INSERT INTO query (query, afterwards) SELECT q, 'SELECT * FROM target ORDER BY id' FROM unnest(ARRAY[
$$INSERT INTO target (id, geom) SELECT id, geom FROM place WHERE id > 300 RETURNING id, csp_embed(geom) AS e, csp_probability(geom, 'north') AS p$$,
$$INSERT INTO target (id, e) VALUES (1001, csp_embed('SRID=4326;POINT(1 2)'::geometry)), (1002, csp_embed('SRID=4326;POINT(3 4)'::geometry))$$,
$$INSERT INTO target (id, geom) SELECT id, geom FROM place ON CONFLICT (id) DO UPDATE SET e = csp_embed(EXCLUDED.geom) WHERE csp_probability(EXCLUDED.geom, 'north') > 0.4$$,
$$UPDATE target SET note = 'moved', geom = ST_Translate(geom, 1, 0) RETURNING id, csp_embed(geom) AS e$$,
$$UPDATE target SET e[1] = csp_probability(geom, 'north'), e[2:3] = (csp_embed(geom))[2:3]$$,
$$DELETE FROM target WHERE id % 2 = 0 RETURNING id, csp_embed(geom) AS e$$,
$$MERGE INTO target t USING place s ON s.id = t.id WHEN MATCHED AND csp_probability(s.geom, 'north') > 0.4 THEN UPDATE SET e = csp_embed(t.geom) WHEN MATCHED AND csp_similarity(t.geom, s.features) > 0 THEN DELETE WHEN NOT MATCHED THEN INSERT (id, e) VALUES (s.id, csp_embed(s.geom))$$,
$$WITH d AS (DELETE FROM target WHERE csp_probability(geom, 'north') > 0.4 RETURNING *) SELECT id, csp_embed(geom) AS e FROM d WHERE 'RETURNING' <> ''$$,
$$UPDATE writable SET note = 'seen' WHERE id < 100$$,
$$UPDATE writable SET note = csp_embed(geom)::text RETURNING id, note$$,
$$DELETE FROM writable$$]) q;
INSERT INTO query (state, query, afterwards) SELECT s, q, 'SELECT * FROM target ORDER BY id' FROM (VALUES
('44000', $$UPDATE writable SET geom = ST_SetSRID(ST_MakePoint(0, -80), 4326) WHERE id < 100$$),
('23505', $$INSERT INTO target (id, e) SELECT id, csp_embed(geom) FROM place WHERE id > 290$$),
('42809', $$INSERT INTO target (id, e) SELECT id + 1000, csp_embed(geom) FROM mixed$$),
('42809', $$UPDATE target SET e = csp_embed(CASE WHEN id = 200 THEN ST_Buffer(geom, 1) ELSE geom END)$$),
('42809', $$DELETE FROM target WHERE csp_embed(CASE WHEN id = 200 THEN ST_Buffer(geom, 1) ELSE geom END) IS NOT NULL$$)) v (s, q);

INSERT INTO query (batched, query, afterwards) SELECT true, q, 'SELECT tableoid::regclass, * FROM part_target ORDER BY id' FROM unnest(ARRAY[
$$UPDATE part_target SET e = csp_embed(geom)$$,
$$UPDATE part_target SET kind = 'north', e = csp_embed(geom) WHERE csp_probability(geom, 'north') > 0.4 RETURNING tableoid::regclass AS t, *$$,
$$DELETE FROM part_target WHERE csp_probability(geom, 'north') > 0.4 RETURNING *$$,
$$INSERT INTO part_target (id, kind, geom, e) SELECT id + 1000, label, geom, csp_embed(geom) FROM place$$]) q;
INSERT INTO query (query, afterwards) SELECT q, 'SELECT tableoid::regclass, * FROM part_target ORDER BY id' FROM unnest(ARRAY[
$$UPDATE part_target SET kind = CASE WHEN csp_probability(geom, 'north') > 0.4 THEN 'north' ELSE 'other' END RETURNING id, kind, csp_embed(geom) AS e$$]) q;
INSERT INTO query (batched, query, afterwards) SELECT true, q, 'SELECT tableoid::regclass, * FROM parent_target ORDER BY id' FROM unnest(ARRAY[
$$UPDATE parent_target SET e = csp_embed(geom)$$,
$$UPDATE parent_target SET e = csp_embed(geom) WHERE csp_probability(geom, 'north') > 0.4 RETURNING *$$,
$$DELETE FROM parent_target WHERE csp_probability(geom, 'north') > 0.4$$]) q;

INSERT INTO query (query, afterwards) SELECT q, 'SELECT what FROM (SELECT n, what FROM seen UNION ALL SELECT 1000000 + id, t::text FROM triggered t) x ORDER BY n' FROM unnest(ARRAY[
$$INSERT INTO triggered (id, geom) SELECT id, geom FROM place WHERE id > 60$$,
$$INSERT INTO triggered (id, geom, e) SELECT id, geom, csp_embed(geom, 'bands') FROM place WHERE id > 60 AND csp_probability(geom, 'north') > 0.4$$,
$$INSERT INTO triggered (id, geom, p) SELECT id, geom, tells_of(id) + csp_probability(geom, 'north') FROM place WHERE id > 60 AND id < 150$$,
$$UPDATE triggered SET e = csp_embed(geom)$$,
$$UPDATE triggered SET e = csp_embed(geom), note = tells_of(id)::text$$,
$$UPDATE triggered SET e = csp_embed(geom) WHERE csp_probability(geom, 'north') > 0.4 AND tells_of(id) < 2 RETURNING id, e$$,
$$DELETE FROM triggered WHERE csp_probability(geom, 'north') > 0.4$$,
$$DELETE FROM triggered WHERE csp_probability(geom, 'north') > 0.4 AND tells_of(id) = 0$$,
$$UPDATE replaced SET e = csp_embed_image('{1,2,3,4,5,6,7,8}') WHERE e[1] > 0$$,
$$DELETE FROM replaced WHERE id < 20$$,
$$DELETE FROM child_target WHERE csp_probability(geom, 'north') > 0.4$$]) q;

PREPARE by_bands AS SELECT id, csp_embed(geom, 'bands') AS e FROM place;
-- Whole tables, files, and rows that a cursor points at.
INSERT INTO query (query, afterwards) VALUES
('CREATE TABLE made AS SELECT id, csp_embed(geom) AS e FROM place', 'SELECT * FROM made'),
('CREATE TABLE made AS SELECT id, csp_embed(geom) AS e FROM part WHERE csp_probability(geom, ''north'') > 0.4 WITH NO DATA', 'SELECT * FROM made'),
('CREATE UNLOGGED TABLE made AS EXECUTE by_bands', 'SELECT * FROM made ORDER BY id'),
('CREATE MATERIALIZED VIEW made AS SELECT id, csp_embed(geom, ''both'') AS e FROM place', 'SELECT * FROM made'),
('REFRESH MATERIALIZED VIEW stored', 'SELECT * FROM stored'),
('DO $$ BEGIN CREATE UNIQUE INDEX ON batch.stored (id); UPDATE batch.place SET geom = ST_Translate(geom, 1, 0) WHERE id % 2 = 0; REFRESH MATERIALIZED VIEW CONCURRENTLY batch.stored; END $$', 'SELECT * FROM stored ORDER BY id'),
('COPY (SELECT id, csp_embed(geom) FROM place) TO PROGRAM ''cat >/dev/null''', NULL),
('COPY (UPDATE target SET e = csp_embed(geom) RETURNING id, e) TO PROGRAM ''cat >/dev/null''', 'SELECT * FROM target ORDER BY id'),
('DO $$ DECLARE r record; BEGIN FOR r IN SELECT id, csp_embed(geom) AS e FROM batch.place ORDER BY id LOOP UPDATE batch.target SET e = r.e WHERE id = r.id; EXIT WHEN r.id = 99; END LOOP; END $$', 'SELECT * FROM target ORDER BY id'),
('DO $$ BEGIN FOR i IN 1..20 LOOP UPDATE batch.target SET e = csp_embed(geom), p = csp_probability(geom, ''north'') WHERE id = i; END LOOP; END $$', 'SELECT * FROM target ORDER BY id');
INSERT INTO query (query, serial, afterwards) SELECT q, true, 'SELECT * FROM target ORDER BY id' FROM unnest(ARRAY[
$$SELECT move_current('SELECT id, csp_embed(geom) FROM batch.target', 40)$$,
$$SELECT move_current('SELECT id, csp_embed(geom) FROM batch.target FOR UPDATE', 40)$$,
$$SELECT move_current('SELECT id FROM batch.target WHERE csp_probability(geom, ''north'') > 0.3', 40)$$,
$$SELECT move_current('SELECT id FROM batch.target WHERE csp_probability(geom, ''north'') > 0.3 FOR NO KEY UPDATE', 40)$$]) q;

SELECT * FROM complaints(:first, 'default|batches of three|little work_mem|nested loops|merge joins|row by row|parallel|indexes');
-- a column of the type of a call's value, first in the target list, is not taken for the value
CREATE TABLE batch.like_value AS SELECT 2::real AS r, '{7}'::real[] AS a, geom FROM batch.place WHERE id <= 40;
SELECT DISTINCT r FROM batch.like_value WHERE csp_probability(geom, 'north', 'both') >= 0;
SELECT DISTINCT a FROM batch.like_value WHERE csp_embed(geom, 'both') IS NOT NULL;
DROP TABLE batch.like_value;

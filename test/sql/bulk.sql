-- csp_embed_table and csp_embed_trigger. Alone (workers => 0) where an order shows.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
\set small '{"pretrain_epochs": 1, "epochs": 1, "hidden_dim": 32, "embedding_dim": 16, "frequencies": 8, "batch_size": 64}'
\set other '{"pretrain_epochs": 1, "epochs": 1, "hidden_dim": 32, "embedding_dim": 16, "frequencies": 8, "batch_size": 64, "seed": 2}'
CALL csp_train('bulk', 'places', location => 'geom', features => 'features', label => 'label', options => :'small') \gset
SET client_min_messages = notice;
CREATE TABLE sites (id int PRIMARY KEY, geom geometry(Point, 4326), note text);
INSERT INTO sites SELECT id, geom, 'n' || id FROM places;

-- ---- a column of the table ------------------------------------------------------------------

CALL csp_embed_table('sites', model => 'bulk', workers => 0);
SELECT count(*), bool_and(embedding = csp_embed(geom, 'bulk')) AS right, count(DISTINCT embedding_version) AS versions
FROM sites;
SELECT embedding_version = (SELECT id FROM csp.models WHERE name = 'bulk' AND deployed) AS deployed FROM sites LIMIT 1;

-- Only stale rows: none; new ones; those that lost their embedding; those of another version.
CALL csp_embed_table('sites', model => 'bulk');
INSERT INTO sites VALUES (1001, ST_SetSRID(ST_MakePoint(12.5, 41.9), 4326)), (1002, NULL), (1003, 'SRID=4326;POINT EMPTY');
UPDATE sites SET embedding = NULL WHERE id IN (1, 2);
UPDATE sites SET embedding_version = 0 WHERE id = 3;
CALL csp_embed_table('sites', model => 'bulk');
SELECT count(*), bool_and(embedding IS NOT DISTINCT FROM csp_embed(geom, 'bulk')) AS right FROM sites;
SELECT id FROM sites WHERE embedding IS NULL ORDER BY 1;
-- A row without a place is done, until it gets one.
CALL csp_embed_table('sites', model => 'bulk');
UPDATE sites SET geom = ST_SetSRID(ST_MakePoint(1, 2), 4326) WHERE id = 1002;
CALL csp_embed_table('sites', model => 'bulk');

-- A second version, deployed, makes all rows stale; pieces of a few rows.
SET client_min_messages = warning;
CALL csp_train('bulk', 'places', location => 'geom', features => 'features', label => 'label', options => :'other') \gset
SET client_min_messages = notice;
CALL csp_embed_table('sites', model => 'bulk', batch_rows => 7, workers => 0);
SELECT bool_and(embedding IS NOT DISTINCT FROM csp_embed(geom, 'bulk@2')) AS right,
       bool_or(embedding = csp_embed(geom, 'bulk@1')) AS old FROM sites;
SELECT pieces_done = pieces AS all_pieces, pieces > 1 AS several, phase, state, rows_done, rows_invalid, workers, model, version
FROM csp.bulk_runs ORDER BY id DESC LIMIT 1;
-- name@version stays with a version.
CALL csp_embed_table('sites', model => 'bulk@1', workers => 0);
SELECT bool_and(embedding IS NOT DISTINCT FROM csp_embed(geom, 'bulk@1')) AS right FROM sites;
CALL csp_embed_table('sites', model => 'bulk');

-- Another column, of another type; csp.model names the model.
ALTER TABLE sites ADD COLUMN "Wide Embedding" float8[];
SET csp.model = 'bulk@1';
CALL csp_embed_table('sites', embedding => 'Wide Embedding');
RESET csp.model;
SELECT bool_and("Wide Embedding"::real[] IS NOT DISTINCT FROM csp_embed(geom, 'bulk@1')) AS right,
       count(DISTINCT "Wide Embedding_version") FROM sites;

-- A type with an assignment cast from real[], as pgvector's have it.
CREATE TYPE boxed AS (elements real[]);
CREATE FUNCTION to_boxed(real[]) RETURNS boxed LANGUAGE SQL IMMUTABLE STRICT RETURN ROW($1)::boxed;
CREATE CAST (real[] AS boxed) WITH FUNCTION to_boxed(real[]) AS ASSIGNMENT;
ALTER TABLE sites ADD COLUMN boxed boxed;
CALL csp_embed_table('sites', embedding => 'boxed', model => 'bulk');
SELECT bool_and((boxed).elements IS NOT DISTINCT FROM csp_embed(geom, 'bulk')) AS right FROM sites;

-- ---- a table beside it ----------------------------------------------------------------------

CALL csp_embed_table('sites', target => 'site_embeddings', model => 'bulk', workers => 0);
\d site_embeddings
CREATE VIEW compared AS
SELECT s.id, t.id IS NOT NULL AS found, t.embedding IS NOT DISTINCT FROM csp_embed(s.geom, 'bulk') AS right FROM sites s LEFT JOIN site_embeddings t USING (id);
SELECT count(*), bool_and(found) AS found, bool_and("right") AS right FROM compared;
CALL csp_embed_table('sites', target => 'site_embeddings', model => 'bulk');
-- Moved, new, gone, lost.
UPDATE sites SET geom = ST_Translate(geom, 1, 1) WHERE id <= 10;
UPDATE sites SET note = 'other' WHERE id = 20;
INSERT INTO sites VALUES (1004, ST_SetSRID(ST_MakePoint(3, 4), 4326));
DELETE FROM sites WHERE id IN (30, 31);
UPDATE site_embeddings SET embedding = NULL WHERE id = 40;
CALL csp_embed_table('sites', target => 'site_embeddings', model => 'bulk');
SELECT count(*), bool_and(found) AS found, bool_and("right") AS right FROM compared;
SELECT id FROM site_embeddings WHERE id IN (30, 31);
CALL csp_embed_table('sites', target => 'site_embeddings', model => 'bulk', prune => true);
SELECT id FROM site_embeddings WHERE id IN (30, 31);
SELECT count(*) FROM site_embeddings;
SELECT phase, rows_pruned FROM csp.bulk_runs ORDER BY id DESC LIMIT 1;
-- The planner looks rows up in the target, however small it is.
CALL csp_embed_table('sites', target => 'site_embeddings', model => 'bulk@1', batch_rows => 10, workers => 0);
SELECT count(DISTINCT embedding_version) FROM site_embeddings;

-- A target of one's own: other columns, no location yet, another type.
CREATE TABLE mine (remark text DEFAULT 'mine', id bigint UNIQUE, embedding boxed, embedding_version bigint);
CALL csp_embed_table('sites', target => 'mine', model => 'bulk');
SELECT count(*), count(DISTINCT remark), bool_and((embedding).elements IS NOT DISTINCT FROM csp_embed(location, 'bulk')) AS right FROM mine;

-- Views, materialized views, quoted names, another schema, a composite key, an empty search_path, a hostile one.
CREATE SCHEMA "Odd Schema";
CREATE VIEW "Odd Schema"."a ""view""" AS
SELECT id % 10 AS "the Ten", chr(65 + id::int / 10) COLLATE "C" AS "a, b", geom::geography AS "Where?" FROM places;
CALL csp_embed_table('"Odd Schema"."a ""view"""', key => 'the Ten, a, b', target => '"Odd Schema"."T"');
ALTER VIEW "Odd Schema"."a ""view""" RENAME COLUMN "a, b" TO "B";
SET search_path = '';
CALL public.csp_embed_table('"Odd Schema"."a ""view"""', key => 'the Ten,B', target => '"Odd Schema"."T"', model => 'bulk', batch_rows => 50);
RESET search_path;
\d "Odd Schema"."T"
SELECT count(*), bool_and(t.embedding = csp_embed(v."Where?", 'bulk')) AS right
FROM "Odd Schema"."a ""view""" v JOIN "Odd Schema"."T" t USING ("the Ten", "B");
CREATE FUNCTION "Odd Schema".always(bigint, bigint) RETURNS boolean LANGUAGE SQL AS 'SELECT true';
CREATE OPERATOR "Odd Schema".= (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = "Odd Schema".always);
CREATE OPERATOR "Odd Schema".<> (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = "Odd Schema".always);
SET search_path = "Odd Schema", pg_catalog, public;
CALL csp_embed_table('a "view"', key => 'the Ten,B', target => 'T', model => 'bulk');
CALL csp_embed_table('"a ""view"""', key => 'the Ten,B', target => '"T"', model => 'bulk', prune => true);
RESET search_path;
CREATE MATERIALIZED VIEW site_points AS SELECT id, geom FROM places;
CALL csp_embed_table('site_points', key => 'id', target => 'point_embeddings', model => 'bulk', batch_rows => 100);
SELECT count(*), bool_and(embedding = csp_embed(location, 'bulk')) AS right FROM point_embeddings;
CREATE VIEW compared_points AS SELECT -id AS id, geom FROM places;
-- Keys that are not unique, or NULL.
CREATE VIEW twice AS SELECT id / 2 AS id, geom FROM places;
CALL csp_embed_table('twice', key => 'id', target => 'twice_embeddings', model => 'bulk');
\echo :SQLSTATE
CREATE VIEW nowhere AS SELECT nullif(id, 5) AS id, geom FROM places;
CALL csp_embed_table('nowhere', key => 'id', target => 'nowhere_embeddings', model => 'bulk');
\echo :SQLSTATE
SELECT target, state, sqlstate, message FROM csp.bulk_runs WHERE target LIKE '%twice%' OR target LIKE '%nowhere%';

-- PL/pgSQL may call it too, outside a transaction block.
DO $$
DECLARE
    source text;
    n bigint;
BEGIN
    FOREACH source IN ARRAY '{site_points, compared_points}'::text[] LOOP
        CALL csp_embed_table(source, key => 'id', target => 'point_embeddings', model => 'bulk@1', rows => n);
        RAISE NOTICE '%: %', source, n;
    END LOOP;
END $$;

-- Partitions, of several levels, and children; in place and beside.
CREATE TABLE parts (id int, geom geometry, PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (100);
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (100) TO (1000) PARTITION BY LIST (id);
CREATE TABLE parts_2a PARTITION OF parts_2 FOR VALUES IN (100, 101);
CREATE TABLE parts_2b PARTITION OF parts_2 DEFAULT;
CREATE TABLE parts_3 (geom geometry, id int NOT NULL);
ALTER TABLE parts ATTACH PARTITION parts_3 FOR VALUES FROM (1000) TO (2000);
INSERT INTO parts SELECT id, geom FROM places UNION ALL SELECT id + 1000, geom FROM places;
CALL csp_embed_table('parts', model => 'bulk', batch_rows => 50);
SELECT count(*), bool_and(embedding = csp_embed(geom, 'bulk')) AS right FROM parts;
CALL csp_embed_table('parts', model => 'bulk');
CALL csp_embed_table('parts', target => 'part_embeddings', model => 'bulk', batch_rows => 50);
SELECT count(*), bool_and(p.embedding = e.embedding) AS right FROM parts p JOIN part_embeddings e USING (id);
CREATE TABLE parent (id int, geom geometry);
CREATE TABLE child () INHERITS (parent);
INSERT INTO parent SELECT id, geom FROM places LIMIT 10;
INSERT INTO child SELECT id, geom FROM places LIMIT 20;
CALL csp_embed_table('parent', model => 'bulk');
SELECT tableoid::regclass, count(*), bool_and(embedding = csp_embed(geom, 'bulk')) AS right FROM parent GROUP BY 1 ORDER BY 1;
CREATE TEMP TABLE passing (id int PRIMARY KEY, geom geometry, embedding real[], embedding_version bigint);
INSERT INTO passing SELECT id, geom FROM places;
CALL csp_embed_table('passing', model => 'bulk', workers => 2);
CREATE TABLE empty (id int PRIMARY KEY, geom geometry);
CALL csp_embed_table('empty', model => 'bulk');
CALL csp_embed_table('empty', target => 'empty_embeddings', model => 'bulk', prune => true);

-- ---- rows that have no valid location -------------------------------------------------------

CREATE TABLE mixed (id int PRIMARY KEY, geom geometry);
INSERT INTO mixed VALUES
    (1, 'SRID=4326;POINT(1 2)'), (2, 'POINT(1 2)'), (3, 'SRID=4326;POINT(10 95)'), (4, 'SRID=4326;LINESTRING(0 0, 1 1)'),
    (5, 'SRID=3857;POINT(1000000 5000000)'), (6, 'SRID=4326;POINT(nan 2)'), (7, NULL), (8, 'SRID=4326;POINT EMPTY'),
    (9, 'SRID=4326;POINT(370 2)'), (10, 'SRID=990000;POINT(1 2)'), (11, ST_SetSRID(ST_MakePoint('infinity', 2), 3857)), (12, 'SRID=4326;POINT Z(7 8 9)'), (13, 'SRID=4326;POLYGON EMPTY');
SELECT id, csp_location_error(geom), ST_AsEWKT(csp.valid_location(geom), 6) FROM mixed ORDER BY id;
SELECT csp_location_error('SRID=4326;POINT(1 2)'::geography), ST_AsEWKT(csp.valid_location('SRID=4326;POINT(1 2)'::geography)),
       csp_location_error('SRID=4326;LINESTRING(0 0, 1 1)'::geography), csp.valid_location('SRID=4326;LINESTRING(0 0, 1 1)'::geography);
SELECT pg_typeof(csp.valid_location('SRID=4269;POINT(1 2)'::geography)), ST_AsEWKT(csp.valid_location('SRID=4269;POINT(1 2)'::geography), 6);
CALL csp_embed_table('mixed', model => 'bulk');
SELECT id, embedding IS NOT NULL AS embedded, embedding_version IS NOT NULL AS seen FROM mixed ORDER BY id;
SELECT bool_and(embedding = csp_embed(geom, 'bulk')) AS right FROM mixed WHERE embedding IS NOT NULL;
SELECT rows_done, rows_invalid, detail FROM csp.bulk_runs ORDER BY id DESC LIMIT 1;
-- They are not tried again until they are corrected.
CALL csp_embed_table('mixed', model => 'bulk');
UPDATE mixed SET geom = ST_SetSRID(geom, 4326) WHERE id = 2;
CALL csp_embed_table('mixed', model => 'bulk');
CALL csp_embed_table('mixed', target => 'mixed_embeddings', model => 'bulk');
CALL csp_embed_table('mixed', target => 'mixed_embeddings', model => 'bulk');
UPDATE mixed SET geom = 'SRID=4326;POINT(5 91)' WHERE id = 1;
CALL csp_embed_table('mixed', target => 'mixed_embeddings', model => 'bulk');
SELECT id, embedding IS NOT NULL AS embedded FROM mixed_embeddings ORDER BY id;
-- Without a key, rows are named by their place in the table.
CREATE TABLE keyless AS SELECT 'SRID=4326;POINT(1 99)'::geometry AS geom;
CALL csp_embed_table('keyless', model => 'bulk');

-- ---- models with dates ----------------------------------------------------------------------

SET client_min_messages = warning;
CREATE VIEW dated AS SELECT id, geom, label, timestamptz '2024-01-01 UTC' + id * interval '1 day' AS seen FROM places;
CALL csp_train('dated', 'dated', 'geom', label => 'label', options => '{"epochs": 1, "embedding_dim": 8, "hidden_dim": 16, "observed_at": "seen"}') \gset
SET client_min_messages = notice;
CREATE TABLE seen AS SELECT id::int, geom, seen::date FROM dated;
ALTER TABLE seen ADD PRIMARY KEY (id);
INSERT INTO seen VALUES (2000, 'SRID=4326;POINT(1 1)', NULL), (2001, 'SRID=4326;POINT(1 1)', 'infinity');
CALL csp_embed_table('seen', model => 'dated');
CALL csp_embed_table('seen', model => 'bulk', observed_at => 'seen');
CALL csp_embed_table('seen', model => 'dated', observed_at => 'id');
CALL csp_embed_table('seen', model => 'dated', observed_at => 'seen');
SELECT count(*), count(embedding), bool_and(embedding = csp_embed(geom, seen, 'dated')) AS right FROM seen WHERE id < 2001;
CALL csp_embed_table('seen', model => 'dated', observed_at => 'seen');
CALL csp_embed_table('seen', target => 'seen_embeddings', model => 'dated', observed_at => 'seen');
UPDATE seen SET seen = seen + 30 WHERE id <= 4;
CALL csp_embed_table('seen', target => 'seen_embeddings', model => 'dated', observed_at => 'seen');
SELECT bool_and(e.embedding = csp_embed(s.geom, s.seen, 'dated')) AS right FROM seen s JOIN seen_embeddings e USING (id) WHERE id < 2001;

-- ---- the trigger ----------------------------------------------------------------------------

CREATE TABLE kept (id int PRIMARY KEY, geom geometry, other int, embedding real[], embedding_version bigint);
CREATE TRIGGER keep_embedding BEFORE INSERT OR UPDATE ON kept
    FOR EACH ROW EXECUTE FUNCTION csp_embed_trigger('geom', 'embedding', 'bulk');
CREATE VIEW kept_state AS SELECT id, embedding IS NOT DISTINCT FROM csp_embed(geom, 'bulk') AS right, embedding IS NULL AS missing,
    embedding_version = (SELECT v.id FROM csp.models v WHERE v.name = 'bulk' AND v.deployed) AS current FROM kept;
INSERT INTO kept VALUES (1, 'SRID=4326;POINT(1 2)'), (2, NULL), (3, 'SRID=4326;POINT EMPTY'), (4, 'SRID=3857;POINT(100000 200000)');
SELECT * FROM kept_state ORDER BY id;
UPDATE kept SET geom = 'SRID=4326;POINT(3 4)' WHERE id <= 2;
UPDATE kept SET geom = NULL WHERE id = 4;
SELECT * FROM kept_state ORDER BY id;
-- Only what a change of place or version asks for is computed.
UPDATE kept SET embedding = '{1}' WHERE id = 1;
UPDATE kept SET other = 1 WHERE id = 1;
SELECT embedding FROM kept WHERE id = 1;
UPDATE kept SET embedding_version = 0 WHERE id = 1;
SELECT * FROM kept_state WHERE id = 1;
INSERT INTO kept VALUES (1, 'SRID=4326;POINT(8 8)') ON CONFLICT (id) DO UPDATE SET geom = EXCLUDED.geom;
SELECT * FROM kept_state WHERE id = 1;
INSERT INTO kept VALUES (5, 'POINT(1 2)');
\echo :SQLSTATE
COPY kept (id, geom) FROM stdin;
6	0101000020E610000000000000000014400000000000001840
\.
SELECT * FROM kept_state WHERE id = 6;
-- csp_embed_table agrees with it.
CALL csp_embed_table('kept', model => 'bulk');
ALTER TABLE kept DISABLE TRIGGER keep_embedding;
INSERT INTO kept VALUES (7, 'SRID=4326;POINT(8 8)'), (8, 'SRID=4326;POINT(8 98)');
ALTER TABLE kept ENABLE TRIGGER keep_embedding;
CALL csp_embed_table('kept', model => 'bulk');
SELECT id, missing, current FROM kept_state ORDER BY id;

-- Other types, other names, the default model, dates, partitions.
DROP TRIGGER keep_embedding ON kept;
ALTER TABLE kept ADD COLUMN boxed boxed, ADD COLUMN doubles float8[], ADD COLUMN v bigint;
CREATE TRIGGER keep_boxed BEFORE INSERT OR UPDATE OF geom ON kept FOR EACH ROW EXECUTE FUNCTION csp_embed_trigger('geom', 'boxed', 'bulk@1', 'v');
CREATE TRIGGER keep_doubles BEFORE INSERT OR UPDATE OF geom ON kept FOR EACH ROW EXECUTE FUNCTION csp_embed_trigger('geom', 'doubles');
\set VERBOSITY terse
INSERT INTO kept VALUES (10, 'SRID=4326;POINT(8 8)');
\echo :SQLSTATE
\set VERBOSITY default
SET csp.model = 'bulk';
INSERT INTO kept VALUES (10, 'SRID=4326;POINT(8 8)');
SELECT (boxed).elements = csp_embed(geom, 'bulk@1') AS boxed, doubles::real[] = csp_embed(geom, 'bulk') AS doubles,
       v = (SELECT id FROM csp.models WHERE name = 'bulk' AND version = 1) AS version, embedding FROM kept WHERE id = 10;
RESET csp.model;
CREATE TRIGGER keep BEFORE INSERT OR UPDATE ON seen FOR EACH ROW EXECUTE FUNCTION csp_embed_trigger('geom', 'embedding', 'dated', '', 'seen');
INSERT INTO seen VALUES (3000, 'SRID=4326;POINT(1 1)', '2024-03-01'), (3001, 'SRID=4326;POINT(1 1)', NULL);
UPDATE seen SET seen = '2024-08-01' WHERE id = 1;
SELECT id, embedding IS NOT DISTINCT FROM csp_embed(geom, seen, 'dated') AS right FROM seen WHERE id IN (1, 3000, 3001) ORDER BY 1;
CREATE TRIGGER keep BEFORE INSERT OR UPDATE ON parts FOR EACH ROW EXECUTE FUNCTION csp_embed_trigger('geom', 'embedding', 'bulk');
INSERT INTO parts VALUES (0, 'SRID=4326;POINT(1 1)'), (1999, 'SRID=4326;POINT(1 2)');
SELECT id, embedding = csp_embed(geom, 'bulk') AS right FROM parts WHERE id IN (0, 1999) ORDER BY 1;

-- Wrong usage.
SELECT csp_embed_trigger();
CREATE TABLE wrong (id int, geom geometry, e real[], n int, e_version int);
CREATE TRIGGER t AFTER INSERT ON wrong FOR EACH ROW EXECUTE FUNCTION csp_embed_trigger('geom', 'e', 'bulk');
INSERT INTO wrong VALUES (1);
\echo :SQLSTATE
DROP TRIGGER t ON wrong;
CREATE TRIGGER t BEFORE INSERT ON wrong EXECUTE FUNCTION csp_embed_trigger('geom', 'e', 'bulk');
INSERT INTO wrong VALUES (1);
DROP TRIGGER t ON wrong;
INSERT INTO wrong VALUES (1);
CREATE TRIGGER t BEFORE DELETE ON wrong FOR EACH ROW EXECUTE FUNCTION csp_embed_trigger('geom', 'e', 'bulk');
DELETE FROM wrong;
DROP TRIGGER t ON wrong;
CREATE TRIGGER t BEFORE INSERT ON wrong FOR EACH ROW EXECUTE FUNCTION csp_embed_trigger('geom');
INSERT INTO wrong VALUES (1);
DROP TRIGGER t ON wrong;
CREATE TRIGGER t BEFORE INSERT ON wrong FOR EACH ROW EXECUTE FUNCTION csp_embed_trigger('geo', 'e', 'bulk');
INSERT INTO wrong VALUES (1);
\echo :SQLSTATE
DROP TRIGGER t ON wrong;
CREATE TRIGGER t BEFORE INSERT ON wrong FOR EACH ROW EXECUTE FUNCTION csp_embed_trigger('n', 'e', 'bulk');
INSERT INTO wrong VALUES (1);
\echo :SQLSTATE
DROP TRIGGER t ON wrong;
CREATE TRIGGER t BEFORE INSERT ON wrong FOR EACH ROW EXECUTE FUNCTION csp_embed_trigger('geom', 'n', 'bulk');
INSERT INTO wrong VALUES (1);
DROP TRIGGER t ON wrong;
CREATE TRIGGER t BEFORE INSERT ON wrong FOR EACH ROW EXECUTE FUNCTION csp_embed_trigger('geom', 'e', 'bulk');
INSERT INTO wrong VALUES (1);
ALTER TABLE wrong DROP COLUMN e_version;
INSERT INTO wrong VALUES (1, 'SRID=4326;POINT(1 2)');
SELECT e = csp_embed(geom, 'bulk') AS right FROM wrong WHERE geom IS NOT NULL;
UPDATE wrong SET geom = 'SRID=4326;POINT(2 2)';
SELECT e = csp_embed(geom, 'bulk') AS right FROM wrong;
DROP TRIGGER t ON wrong;
CREATE TRIGGER t BEFORE INSERT ON wrong FOR EACH ROW EXECUTE FUNCTION csp_embed_trigger('geom', 'e', 'no such model');
\set VERBOSITY terse
INSERT INTO wrong VALUES (1);
\echo :SQLSTATE
\set VERBOSITY default

-- ---- errors of the call ---------------------------------------------------------------------

CREATE TABLE errors (id int, geom geometry, geog geography, area geometry(Polygon), text text, whole int[], taken int, taken_version int);
CALL csp_embed_table(NULL);
CALL csp_embed_table('no_such_table', model => 'bulk');
\echo :SQLSTATE
CALL csp_embed_table('a b c', model => 'bulk');
CALL csp_embed_table('compared', model => 'bulk');
\echo :SQLSTATE
CALL csp_embed_table('sites_pkey', model => 'bulk');
CALL csp_embed_table('errors', model => 'bulk');
\echo :SQLSTATE
CALL csp_embed_table('errors', location => 'geo', model => 'bulk');
\echo :SQLSTATE
CALL csp_embed_table('errors', location => 'id', model => 'bulk');
\echo :SQLSTATE
CALL csp_embed_table('errors', location => 'area', model => 'bulk');
CALL csp_embed_table('spatial_ref_sys', model => 'bulk');
CALL csp_embed_table('errors', location => 'geom', model => 'bulk', embedding => 'text');
\echo :SQLSTATE
CALL csp_embed_table('errors', location => 'geom', model => 'bulk', embedding => 'whole');
CALL csp_embed_table('errors', location => 'geom', model => 'bulk', embedding => 'taken');
ALTER TABLE errors ALTER COLUMN taken TYPE real[] USING NULL;
CALL csp_embed_table('errors', location => 'geom', model => 'bulk', embedding => 'taken');
CALL csp_embed_table('errors', location => 'geom', model => 'bulk', embedding => repeat('x', 60));
\set VERBOSITY terse
CALL csp_embed_table('errors', location => 'geom', model => 'no such model');
\echo :SQLSTATE
CALL csp_embed_table('errors', location => 'geom', model => 'bulk@99');
\set VERBOSITY default
CALL csp_embed_table('errors', location => 'geom', target => 't', model => 'bulk');
\echo :SQLSTATE
CALL csp_embed_table('errors', location => 'geom', target => 't', model => 'bulk', key => 'id');
\echo :SQLSTATE
CALL csp_embed_table('errors', location => 'geom', target => 't', model => 'bulk', key => 'id, no');
ALTER TABLE errors ADD PRIMARY KEY (id);
CALL csp_embed_table('errors', location => 'geom', target => 'errors', model => 'bulk');
CALL csp_embed_table('errors', location => 'geom', target => 'compared', model => 'bulk');
CREATE TABLE target (id int, embedding real[]);
CALL csp_embed_table('errors', location => 'geom', target => 'target', model => 'bulk');
\echo :SQLSTATE
ALTER TABLE target ADD UNIQUE (id), ADD COLUMN location text;
CALL csp_embed_table('errors', location => 'geom', target => 'target', model => 'bulk');
ALTER TABLE target RENAME COLUMN id TO idd;
CALL csp_embed_table('errors', location => 'geom', target => 'target', model => 'bulk');
CALL csp_embed_table('errors', location => 'geom', target => 'no_such_schema.t', model => 'bulk');
CALL csp_embed_table('errors', location => 'geom', model => 'bulk', prune => true);
CALL csp_embed_table('errors', location => 'geom', model => 'bulk', batch_rows => 0);
CALL csp_embed_table('errors', location => 'geom', model => 'bulk', workers => -1);
CREATE VIEW unordered AS SELECT point(id, id) AS key, geom FROM places;
CALL csp_embed_table('unordered', key => 'key', target => 't', model => 'bulk');
BEGIN;
CALL csp_embed_table('errors', location => 'geom', model => 'bulk');
\echo :SQLSTATE
ROLLBACK;
DO $$ DECLARE n bigint; BEGIN CALL csp_embed_table('errors', location => 'geom', model => 'bulk', rows => n); EXCEPTION WHEN OTHERS THEN RAISE; END $$;
SET default_transaction_read_only = on;
CALL csp_embed_table('errors', location => 'geom', model => 'bulk');
\echo :SQLSTATE
RESET default_transaction_read_only;
SELECT to_regclass('t');
-- What a row of another subject gets in the way of is the server's to say; what was done stays.
ALTER TABLE sites ADD CHECK (id <> 1002 OR embedding IS NULL) NOT VALID;
\set VERBOSITY terse
CALL csp_embed_table('sites', model => 'bulk@1', batch_rows => 60, workers => 0);
\echo :SQLSTATE
\set VERBOSITY default
SELECT count(DISTINCT embedding_version) FROM sites;
SELECT state, sqlstate, message, rows_done > 0 AS some FROM csp.bulk_runs ORDER BY id DESC LIMIT 1;

-- ---- rights ---------------------------------------------------------------------------------

CREATE ROLE csp_test_bulk LOGIN;
CREATE ROLE csp_test_bulk_nologin NOLOGIN;
GRANT CREATE ON SCHEMA public TO csp_test_bulk;
ALTER TABLE errors DROP COLUMN geog;
SET ROLE csp_test_bulk;
\set VERBOSITY terse
CALL csp_embed_table('errors', location => 'geom', model => 'bulk');      -- whose model?
\echo :SQLSTATE
\set VERBOSITY default
RESET ROLE;
GRANT USAGE ON SCHEMA csp TO csp_test_bulk;
UPDATE csp.model SET owner = 'csp_test_bulk' WHERE name = 'bulk';
SET ROLE csp_test_bulk;
CALL csp_embed_table('errors', location => 'geom');                       -- may not add columns
\echo :SQLSTATE
CALL csp_embed_table('errors', location => 'geom', embedding => 'ready'); 
RESET ROLE;
ALTER TABLE errors ADD COLUMN ready real[], ADD COLUMN ready_version bigint;
INSERT INTO errors (id, geom) SELECT id, geom FROM places;
SET ROLE csp_test_bulk;
CALL csp_embed_table('errors', location => 'geom', embedding => 'ready'); -- may not read
\echo :SQLSTATE
RESET ROLE;
GRANT SELECT ON errors TO csp_test_bulk;
SET ROLE csp_test_bulk;
CALL csp_embed_table('errors', location => 'geom', embedding => 'ready'); -- may not write
\echo :SQLSTATE
CALL csp_embed_table('errors', location => 'geom', target => 'own_embeddings', workers => 2);
SELECT count(*), bool_and(embedding = csp_embed(location)) AS right FROM own_embeddings;
RESET ROLE;
-- Rights on columns are enough: the work is split by the key then.
REVOKE ALL ON errors FROM csp_test_bulk;
GRANT SELECT (id, geom, ready, ready_version), UPDATE (ready, ready_version) ON errors TO csp_test_bulk;
SET ROLE csp_test_bulk;
CALL csp_embed_table('errors', location => 'geom', embedding => 'ready', batch_rows => 100);
SELECT count(*), bool_and(ready = csp_embed(geom)) AS right FROM errors;
-- Row-level security.
RESET ROLE;
ALTER TABLE errors ENABLE ROW LEVEL SECURITY;
CREATE POLICY few ON errors USING (id <= current_setting('csp_test.most')::int AND session_user <> current_user);
GRANT SELECT, UPDATE ON errors TO csp_test_bulk;
UPDATE errors SET ready = NULL, ready_version = NULL;
SET ROLE csp_test_bulk;
SET csp_test.most = 300;
CALL csp_embed_table('errors', location => 'geom', embedding => 'ready', batch_rows => 20, workers => 2);
CALL csp_embed_table('errors', location => 'geom', target => 'own_embeddings', prune => true);
\echo :SQLSTATE
RESET ROLE;
SELECT count(ready), max(id) FILTER (WHERE ready IS NOT NULL) FROM errors;
-- Of a partitioned table, too, whose partitions have none.
GRANT SELECT, UPDATE ON parts, parts_1, parts_2, parts_2a, parts_2b, parts_3 TO csp_test_bulk;
ALTER TABLE parts ENABLE ROW LEVEL SECURITY;
CREATE POLICY few ON parts USING (id < 150);
ALTER TABLE parts DISABLE TRIGGER keep;
UPDATE parts SET embedding_version = 0;
SET ROLE csp_test_bulk;
CALL csp_embed_table('parts');
RESET ROLE;
SELECT max(id), count(*) FROM parts WHERE embedding_version > 0;
ALTER TABLE parts DISABLE ROW LEVEL SECURITY;
REVOKE ALL ON parts_1, parts_2, parts_2a, parts_2b, parts_3 FROM csp_test_bulk;
SET ROLE csp_test_bulk;
CALL csp_embed_table('parts', batch_rows => 100);
SELECT count(*), bool_and(embedding = csp_embed(geom)) AS right FROM parts;
-- One sees one's own runs, and writes none.
SELECT source, target, state FROM csp.bulk_runs WHERE source = 'public.parts' ORDER BY id;
SELECT count(*) FROM csp.bulk_runs WHERE owner <> 'csp_test_bulk'::regrole;
DELETE FROM csp.bulk_run;
\echo :SQLSTATE
RESET ROLE;
-- Workers connect as the session's user; if he may not, the session works alone.
SET SESSION AUTHORIZATION csp_test_bulk_nologin;
CREATE TEMP TABLE nothing (geom geometry);
RESET SESSION AUTHORIZATION;
GRANT csp_test_bulk TO csp_test_bulk_nologin;
ALTER TABLE errors DISABLE ROW LEVEL SECURITY;
UPDATE errors SET ready = NULL;
SET SESSION AUTHORIZATION csp_test_bulk_nologin;
CALL csp_embed_table('errors', location => 'geom', embedding => 'ready', batch_rows => 20, workers => 2);
RESET SESSION AUTHORIZATION;
-- Twenty runs of a kind are kept.
SET client_min_messages = warning;
DO $$ DECLARE n bigint; BEGIN FOR i IN 1..25 LOOP CALL csp_embed_table('kept', model => 'bulk', rows => n); END LOOP; END $$;
SELECT count(*) FROM csp.bulk_runs WHERE source = 'public.kept';

UPDATE csp.model SET owner = current_user::regrole WHERE name = 'bulk';
DROP OWNED BY csp_test_bulk, csp_test_bulk_nologin;
DROP ROLE csp_test_bulk, csp_test_bulk_nologin;
DROP TABLE sites, site_embeddings, mine, point_embeddings, parts, part_embeddings, parent, mixed, mixed_embeddings, keyless, empty, empty_embeddings,
    seen, seen_embeddings, kept, wrong, errors, target CASCADE;
DROP MATERIALIZED VIEW site_points;
DROP VIEW twice, nowhere, unordered, dated CASCADE;
DROP TYPE boxed CASCADE;
DROP SCHEMA "Odd Schema" CASCADE;
DELETE FROM csp.model_version WHERE model IN ('bulk', 'dated');
DELETE FROM csp.model WHERE name IN ('bulk', 'dated');

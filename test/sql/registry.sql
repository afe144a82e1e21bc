-- The registry: deploying, rolling back, renaming, describing, dropping, and what is computed by a version. On models of
-- test train, as versions of names of its own.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
SELECT csp_import('reg', csp_export('seeds@1')) AS one, csp_import('reg', csp_export('seeds@3')) AS two, csp_import('reg', csp_export('bands')) AS three \gset
CREATE FUNCTION registry(name text) RETURNS TABLE (version int, deployed boolean, earlier int[], comment text, version_comment text) LANGUAGE sql AS $$
    SELECT v.version, v.deployed, (SELECT array_agg(e.version ORDER BY u.n) FROM unnest(m.earlier) WITH ORDINALITY u (id, n) JOIN csp.model_version e ON e.id = u.id),
           v.comment, v.version_comment
    FROM csp.models v JOIN csp.model m USING (name) WHERE v.name = $1 ORDER BY 1 $$;
CREATE FUNCTION answers() RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(name, ', ') FROM (VALUES ('seeds@1'), ('seeds@3'), ('bands')) x (name)
    WHERE csp_embed('SRID=4326;POINT(12 34)'::geometry, 'reg') = csp_embed('SRID=4326;POINT(12 34)'::geometry, name) $$;

CREATE PROCEDURE train(model text, source text, options jsonb, wait boolean DEFAULT true) LANGUAGE plpgsql AS $$
DECLARE run bigint; BEGIN CALL csp_train(model, source, 'geom', 'features', 'label', options, wait, run); END $$;
CREATE FUNCTION execute(statement text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE statement; END $$;

-- ---- deploy and roll back -------------------------------------------------------------------
SELECT * FROM registry('reg');
SELECT csp_rollback('reg') = :two AS second, answers();
SELECT answers();
SELECT csp_rollback('reg') = :one AS first;
SELECT answers();
SELECT csp_rollback('reg');
\echo :SQLSTATE
SELECT csp_deploy('reg', 2) = :two AS second;
SELECT csp_deploy('reg@2') = :two AS nothing_to_do;
SELECT csp_deploy('reg') = :three AS newest;
SELECT * FROM registry('reg');
SELECT answers();
BEGIN;
SELECT csp_deploy('reg', 1) = :one AS first;
SELECT answers();
SAVEPOINT s;
SELECT csp_rollback('reg') = :three AS third;
SELECT csp_rollback('reg') = :two AS second;
SELECT answers();
ROLLBACK TO s;
SELECT answers();
ROLLBACK;
SELECT answers();
SELECT csp_deploy('reg', 4);
\echo :SQLSTATE
SELECT csp_deploy('reg@x');
SELECT csp_deploy('reg@2', 2);
\echo :SQLSTATE
\set VERBOSITY terse
SELECT csp_deploy('no such model');
\echo :SQLSTATE
\set VERBOSITY default
SELECT csp_deploy(NULL);
\echo :SQLSTATE
SELECT csp_deploy('reg', NULL);
SELECT csp_rollback('reg@1');
SELECT csp_rollback(NULL);
\set VERBOSITY terse
SELECT csp_rollback('');
\set VERBOSITY default
-- a hundred are remembered
DO $$ BEGIN FOR i IN 1..105 LOOP PERFORM csp_deploy('reg', 1 + i % 2); END LOOP; END $$;
SELECT cardinality(earlier) FROM csp.model WHERE name = 'reg';
DO $$ BEGIN FOR i IN 1..100 LOOP PERFORM csp_rollback('reg'); END LOOP; END $$;
SELECT csp_rollback('reg');
SELECT csp_deploy('reg', 1) = :one AS first, csp_deploy('reg', 3) = :three AS third;

-- ---- a version is not deployed before somebody says so --------------------------------------
CALL train('quiet', 'places', '{"pretrain_epochs": 1, "epochs": 1, "embedding_dim": 8, "deploy": false}');
SELECT version, deployed FROM csp.models WHERE name = 'quiet';
SELECT csp_embed('SRID=4326;POINT(12 34)'::geometry, 'quiet');
\echo :SQLSTATE
SELECT cardinality(csp_embed('SRID=4326;POINT(12 34)'::geometry, 'quiet@1'));
SELECT csp_rollback('quiet');
SELECT csp_deploy('quiet') > 0 AS deployed;
SELECT csp_import('quiet', csp_export('bands'), '{"deploy": false}') > 0 AS imported;
SELECT * FROM registry('quiet');
SELECT csp_import('quiet', csp_export('bands'), '{"deploy": "no"}');
CALL csp_tune('quiet', 'places', label => 'label', search => '{"deploy": [true, false]}');
DO $$ DECLARE search bigint; BEGIN
    CALL csp_tune('quiet', 'places', 'geom', label => 'label', search => '{"learning_rate": [0.1, 0.01]}', trials => 2,
        options => '{"epochs": 1, "embedding_dim": 8, "deploy": false}', search_id => search);
END $$;
SELECT version, deployed, provenance ? 'search' AS tuned FROM csp.models WHERE name = 'quiet' ORDER BY 1;
SELECT csp_drop_model('quiet');

-- ---- provenance, and that it stays as it is -------------------------------------------------
SELECT jsonb_object_keys(provenance) AS known FROM csp.models WHERE name = 'seeds' AND deployed ORDER BY 1;
SELECT provenance -> 'extent' AS extent, provenance -> 'seed' AS seed, provenance -> 'image_dim' AS image_dim, provenance -> 'rows' AS rows,
       (provenance ->> 'rows_validation')::int BETWEEN 1 AND 359 AS held_out, provenance ->> 'csp_ext' = (SELECT extversion FROM pg_extension WHERE extname = 'csp_ext') AS csp_ext,
       provenance ->> 'postgis' = (SELECT extversion FROM pg_extension WHERE extname = 'postgis') AS postgis,
       provenance ->> 'postgresql' = current_setting('server_version') AS postgresql
FROM csp.models WHERE name = 'seeds' AND deployed;
SELECT provenance -> 'extent' AS extent, provenance -> 'rows_skipped_location' AS no_place FROM csp.models WHERE name = 'holes';
UPDATE csp.model_version SET metrics = '{"validation_top1": 1}' WHERE id = :one;
\echo :SQLSTATE
UPDATE csp.model_version SET id = 1000000 WHERE id = :one;
UPDATE csp.model_version SET provenance = provenance || '{"seed": 1}' WHERE id = :one;
UPDATE csp.model_version SET options = '{}', comment = 'x' WHERE id = :three;
UPDATE csp.model_weights SET data = '' WHERE version = :one;
UPDATE csp.model_class SET label = 'x' WHERE version = :one AND class = 0;
UPDATE csp.model_version SET metrics = metrics WHERE id = :one;     -- changes nothing

-- ---- comments -------------------------------------------------------------------------------
SELECT csp_comment('reg', 'Birds, by place.');
SELECT csp_comment('reg@2', 'With more epochs.');
SELECT * FROM registry('reg');
BEGIN;
SELECT csp_comment('reg', NULL), csp_comment('reg@2', NULL);
SELECT count(*) FROM registry('reg') WHERE comment IS NULL AND version_comment IS NULL;
ROLLBACK;
SELECT csp_comment('reg@9', 'x');
\set VERBOSITY terse
SELECT csp_comment('nothing', 'x');
\set VERBOSITY default
SELECT csp_comment(NULL, 'x');

-- ---- the card -------------------------------------------------------------------------------
SELECT key FROM jsonb_object_keys(csp_model_card('seeds')) key ORDER BY 1;
SELECT c -> 'classes' AS classes, c -> 'options' AS options, c -> 'queries' = to_jsonb(ARRAY['csp_embed(location, ''seeds@1'')',
    'csp_similarity(location, features, ''seeds@1'')', 'csp_classify(location, 5, ''seeds@1'')', 'csp_probability(location, label, ''seeds@1'')',
    format('csp_embed_version(location, %s)', csp_model_version('seeds@1'))]) AS queries,
    c -> 'architecture' = (SELECT configuration FROM csp.models WHERE name = 'seeds' AND version = 1) AS architecture
FROM csp_model_card('seeds@1') c;
SELECT line FROM regexp_split_to_table(csp_model_card_text('reg'), E'\n') WITH ORDINALITY t (line, n)
WHERE line !~ '(created|id|owner|by|postgresql|postgis|csp ext|bytes):|csp_embed_version' ORDER BY n;
SELECT csp_model_card_text('seeds') ~ E'\n## Training\n\n- device: cpu\n- extent: \\[-170, -76, 170, 76\\]\n' AS training,
       csp_model_card_text('seeds') ~ E'\n## Options that differ from the defaults\n\n- epochs: 1\n- min steps: 0\n- pretrain epochs: 1\n- seed: 8\n' AS options;
SET csp.model = 'reg@2';
SELECT csp_model_card() = csp_model_card('reg@2') AS same, csp_model_card_text() = csp_model_card_text('reg@2') AS same_text, csp_model_version() = :two AS same_version;
-- every query that a card tells is one
DO $$ DECLARE q text; BEGIN
    FOR q IN SELECT jsonb_array_elements_text(csp_model_card() -> 'queries') LOOP
        EXECUTE format('SELECT %s FROM places LIMIT 1', replace(replace(q, 'location', 'geom'), 'label', '''north'''));
    END LOOP;
END $$;
RESET csp.model;
\set VERBOSITY terse
SELECT csp_model_card('nothing');
\set VERBOSITY default
SELECT csp_model_card(NULL) IS NULL AS null;

-- ---- what is computed by a version ----------------------------------------------------------
SELECT bool_and(csp_embed_version(geom, :one) = csp_embed(geom, 'reg@1')) AS one, bool_and(csp_embed_version(geom::geography, :two) = csp_embed(geom, 'reg@2')) AS two FROM places;
SELECT bool_and(csp_embed_version(geom, v.id) = csp_embed(geom, 'reg@' || v.version)) AS all FROM places, csp.models v WHERE v.name = 'reg';
SELECT csp_embed_version(NULL::geometry, :one) IS NULL AS no_place, csp_embed_version(geom, NULL) IS NULL AS no_version, csp_embed_version('SRID=4326;POINT EMPTY'::geometry, :one) IS NULL AS empty FROM places LIMIT 1;
SELECT csp_embed_version(geom, -1) FROM places;
\echo :SQLSTATE
SELECT csp_embed_version(geom, 0) FROM places;
SELECT csp_embed_version(ST_Point(1, 2), :one);
SELECT csp_embed_version(geom, now(), :one) FROM places;
EXPLAIN (COSTS OFF) SELECT id FROM places WHERE (csp_embed_version(geom, 1000000))[1] > 0;
SET csp.enable_batch = off;
SELECT bool_and(csp_embed_version(geom, v.id) = csp_embed(geom, 'reg@' || v.version)) AS all FROM places, csp.models v WHERE v.name = 'reg';
SELECT csp_embed_version(geom, -1) FROM places;
RESET csp.enable_batch;
-- generated columns, indexes on expressions and of parts
SELECT execute(format('CREATE TABLE stored (id int PRIMARY KEY, geom geometry, embedding real[] GENERATED ALWAYS AS (csp_embed_version(geom, %s)) STORED)', :one));
INSERT INTO stored (id, geom) SELECT id, geom FROM places;
SELECT execute(format('CREATE INDEX stored_expression ON stored ((csp_embed_version(geom, %s)))', :two)),
       execute(format('CREATE INDEX stored_part ON stored (id) WHERE (csp_embed_version(geom, %s))[1] > 0', :three)),
       execute(format('CREATE STATISTICS stored_statistics ON (csp_embed_version(geom, %s)) FROM stored', :two));
ANALYZE stored;
SELECT bool_and(embedding = csp_embed(geom, 'reg@1')) AS generated FROM stored;
SET enable_seqscan = off;
SELECT format('SELECT s.id FROM stored s WHERE csp_embed_version(geom, %s) = csp_embed(%L::geometry, %L)', :two, (SELECT geom FROM places WHERE id = 5), 'reg@2') AS lookup,
       format('SELECT count(*) FROM stored WHERE (csp_embed_version(geom, %s))[1] > 0', :three) AS part \gset
CREATE FUNCTION uses(query text, index text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE plan text; BEGIN EXECUTE 'EXPLAIN (FORMAT JSON) ' || query INTO plan; RETURN plan LIKE '%' || index || '%'; END $$;
SELECT uses(:'lookup', 'stored_expression') AS expression, uses(:'part', 'stored_part') AS part;
:lookup;
SELECT (:part) = (SELECT count(*) FROM stored WHERE (csp_embed(geom, 'reg@3'))[1] > 0) AS same;
RESET enable_seqscan;
UPDATE stored SET geom = ST_Translate(geom, 1, 1) WHERE id <= 10;
SELECT bool_and(embedding = csp_embed(geom, 'reg@1')) AS follows FROM stored;
INSERT INTO stored (id, geom) VALUES (1000, ST_Point(1, 2));
\echo :SQLSTATE
REINDEX TABLE stored;
-- a model that knows dates
CREATE VIEW dated_places AS SELECT *, timestamptz '2024-01-01 00:00+00' + id * interval '1 day' AS seen FROM places;
CALL train('reg_dated', 'dated_places', '{"observed_at": "seen", "pretrain_epochs": 1, "epochs": 1, "embedding_dim": 8}');
SELECT csp_model_version('reg_dated') AS dated \gset
SELECT bool_and(csp_embed_version(geom, seen, :dated) = csp_embed(geom, seen, 'reg_dated')) AS dated FROM dated_places;
SELECT csp_embed_version(geom, :dated) FROM places;
SELECT execute(format('CREATE TABLE dated (geom geography, seen timestamptz, embedding real[] GENERATED ALWAYS AS (csp_embed_version(geom, seen, %s)) STORED)', :dated));
SET TimeZone = 'Asia/Tokyo';
INSERT INTO dated SELECT geom, seen FROM dated_places;
SELECT bool_and(embedding = csp_embed(geom, seen, 'reg_dated')) AS generated FROM dated;
RESET TimeZone;
SELECT jsonb_path_query_array(csp_model_card('reg_dated'), '$.queries[0 to 2]');

-- ---- what depends on a model ----------------------------------------------------------------
CREATE VIEW by_name AS SELECT id, csp_embed(geom, 'reg') AS e FROM places;
CREATE VIEW above AS SELECT id FROM by_name;
CREATE VIEW by_number AS SELECT p.id, c.label FROM places p, csp_classify(model => 'reg@3', location => p.geom) c;
CREATE VIEW of_another AS SELECT csp_embed(geom, 'seeds') AS e, 'reg' AS label FROM places;
CREATE VIEW by_column AS SELECT csp_embed(p.geom, m.name) AS e FROM places p, csp.model m;
CREATE MATERIALIZED VIEW kept AS SELECT csp_embed(geom, 'reg'::varchar) AS e FROM places LIMIT 1;
CREATE TABLE uses_all (id int, geom geometry, e real[] DEFAULT csp_embed('SRID=4326;POINT(1 2)'::geometry, 'reg'), e_version bigint,
    CHECK (cardinality(csp_embed(geom, 'reg')) > 0));
CREATE FUNCTION standard_body(g geometry) RETURNS real[] RETURN csp_embed(g, 'reg');
CREATE FUNCTION defaults(g geometry, e real[] DEFAULT csp_embed('SRID=4326;POINT(1 2)'::geometry, 'reg')) RETURNS real[] BEGIN ATOMIC SELECT e; END;
CREATE FUNCTION text_body(g geometry) RETURNS real[] LANGUAGE sql AS $$ SELECT csp_embed(g, 'reg') $$;
CREATE POLICY by_model ON uses_all USING ((csp_embed(geom, 'reg'))[1] > 0) WITH CHECK ((csp_embed(geom, 'reg@2'))[1] > 0);
CREATE TRIGGER embed BEFORE INSERT ON uses_all FOR EACH ROW EXECUTE FUNCTION csp_embed_trigger('geom', 'e', 'reg@2');
CREATE TRIGGER embed_any BEFORE INSERT ON uses_all FOR EACH ROW EXECUTE FUNCTION csp_embed_trigger('geom', 'e');
CREATE TRIGGER conditional AFTER UPDATE ON uses_all FOR EACH ROW WHEN ((csp_embed(NEW.geom, 'reg'))[1] > 0) EXECUTE FUNCTION suppress_redundant_updates_trigger();
CREATE RULE ignored AS ON DELETE TO uses_all WHERE (csp_embed(OLD.geom, 'reg'))[1] > 0 DO INSTEAD NOTHING;
CREATE DOMAIN habitat AS geometry CHECK ((csp_embed(VALUE, 'reg'))[1] > -100);
CREATE DOMAIN prototype AS real[] DEFAULT csp_embed('SRID=4326;POINT(1 2)'::geometry, 'reg');
-- somebody else's function is not evaluated to find out
CREATE FUNCTION trap() RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RAISE 'caught'; END $$;
CREATE VIEW trapped AS SELECT csp_embed_version(geom, trap()) AS e, csp_embed(geom, trap()::text) AS f FROM places;
SELECT object, owner = current_user::regrole AS mine, model, version - :one AS version FROM csp.dependents WHERE model LIKE 'reg%' OR version IN (:one, :two, :three) ORDER BY object COLLATE "C", model;
SELECT csp_drop_model('reg');
\echo :SQLSTATE
SELECT csp_drop_model('reg@3');
\echo :SQLSTATE
SELECT csp_drop_model('reg@2');
SELECT csp_drop_model('reg@1');
SELECT count(*) FROM csp.models WHERE name = 'reg';
SELECT csp_drop_model('reg_dated');
DROP TABLE dated;
SELECT csp_drop_model('reg_dated');

-- ---- rename ---------------------------------------------------------------------------------
SELECT csp_rename('seeds', 'reg');
\echo :SQLSTATE
SELECT csp_rename('reg', 'a@b');
\echo :SQLSTATE
SELECT csp_rename('reg', '');
SELECT csp_rename('reg@1', 'x');
\set VERBOSITY terse
SELECT csp_rename('nothing', 'x');
\set VERBOSITY default
SELECT csp_rename('reg', NULL);
BEGIN;
SELECT csp_rename('reg', 'birds');
SELECT name, version, deployed FROM csp.models WHERE id IN (:one, :two, :three) ORDER BY 2;
SELECT csp_embed_version(geom, :one) = csp_embed(geom, 'birds@1') AS same FROM places LIMIT 1;
\set VERBOSITY terse
SELECT csp_embed(geom, 'reg') FROM places LIMIT 1;
\set VERBOSITY default
ROLLBACK;
SELECT csp_rename('seeds', 'grains');
SELECT DISTINCT model FROM csp.runs WHERE version IS NOT NULL AND model IN ('seeds', 'grains');
SELECT count(*) > 0 AS classes FROM csp.classes WHERE model = 'grains';
SELECT csp_rename('grains', 'seeds');

-- ---- drop with cascade ----------------------------------------------------------------------
SET client_min_messages = notice;
BEGIN;
SELECT csp_drop_model('reg@2', cascade => true);
SELECT * FROM registry('reg');
\set VERBOSITY terse
SELECT csp_embed(geom, 'reg@2') FROM places LIMIT 1;
\set VERBOSITY default
ROLLBACK;
BEGIN;
SELECT csp_drop_model('reg', true);
SELECT count(*) FROM csp.dependents WHERE model LIKE 'reg%' OR version IN (:one, :two, :three);
SELECT column_name FROM information_schema.columns WHERE table_name = 'stored' ORDER BY 1;
ROLLBACK;
SELECT answers();
-- one dependent
SELECT csp_import('reg_one', csp_export('bands')) > 0 AS imported;
CREATE VIEW only_one AS SELECT csp_embed(geom, 'reg_one') FROM places;
SELECT csp_drop_model('reg_one', true);
-- the number of a version that was dropped is not given again; that of a model is
SELECT csp_import('reg_one', csp_export('bands')) > 0 AS imported;
SELECT csp_import('reg_one', csp_export('bands'), '{"deploy": false}') > 0 AS imported;
SELECT csp_drop_model('reg_one@2');
SELECT csp_drop_model('reg_one@2');
SELECT csp_import('reg_one', csp_export('bands')) > 0 AS imported;
SELECT * FROM registry('reg_one');
SELECT csp_drop_model('reg_one@1');
SELECT * FROM registry('reg_one');
SELECT csp_drop_model('reg_one');
SELECT csp_import('reg_one', csp_export('bands'), '{"deploy": false}') > 0 AS imported;
SELECT * FROM registry('reg_one');
SELECT csp_drop_model('reg_one@1');
SELECT count(*) FROM csp.model WHERE name = 'reg_one';
-- neighbours in the order of deployments that a drop brings together are one
SELECT csp_import('reg_one', csp_export('bands')) > 0 AS imported, csp_import('reg_one', csp_export('bands')) > 0 AS imported;
SELECT csp_deploy('reg_one', 1) > 0, csp_import('reg_one', csp_export('bands')) > 0, csp_deploy('reg_one', 2) > 0, csp_deploy('reg_one', 3) > 0, csp_deploy('reg_one', 1) > 0;
SELECT * FROM registry('reg_one');
SELECT csp_drop_model('reg_one@3');
SELECT * FROM registry('reg_one');
SELECT csp_drop_model('reg_one@2');
SELECT * FROM registry('reg_one');
SELECT csp_drop_model('reg_one');
-- not while it is being trained
SELECT csp_import('reg_one', csp_export('bands')) > 0 AS imported;
SET client_min_messages = warning;
CALL train('reg_one', 'places', '{"pretrain_epochs": 1000000}', wait => false);
SELECT max(id) AS run FROM csp.runs \gset
\set VERBOSITY sqlstate
SELECT csp_drop_model('reg_one');
\set VERBOSITY default
SELECT csp_rename('reg_one', 'reg_two');
SELECT model FROM csp.run WHERE id = :run;
SELECT csp_cancel(:run);
SELECT csp_wait(:run);
SELECT csp_drop_model('reg_two');
SELECT model, version, state FROM csp.runs WHERE id = :run;

-- ---- other roles ----------------------------------------------------------------------------
CREATE ROLE csp_test_registrar;
CREATE ROLE csp_test_member IN ROLE csp_test_registrar;
CREATE VIEW theirs AS SELECT csp_embed(geom, 'reg_shared') AS e FROM places;
SELECT csp_import('reg_shared', csp_export('bands')) AS shared, csp_import('reg_shared', csp_export('bands')) > 0 AS imported \gset
SET ROLE csp_test_member;
SELECT csp_deploy('reg_shared', 1);
\echo :SQLSTATE
\set VERBOSITY sqlstate
SELECT csp_embed_version('SRID=4326;POINT(1 2)'::geometry, :shared);
\set VERBOSITY default
SELECT csp_model_card('reg_shared');
RESET ROLE;
UPDATE csp.model SET owner = 'csp_test_registrar' WHERE name = 'reg_shared';
SET ROLE csp_test_member;
SELECT csp_deploy('reg_shared', 1) = :shared AS deployed;
SELECT csp_rollback('reg_shared') = :shared + 1 AS rolled_back;
SELECT csp_comment('reg_shared', 'ours');
SELECT cardinality(csp_embed_version('SRID=4326;POINT(1 2)'::geometry, :shared)) > 0 AS answers;
SELECT csp_rename('reg_shared', 'reg');                             -- of another, whom one cannot see
SELECT csp_drop_model('reg_shared', true);                          -- not the view
\echo :SQLSTATE
RESET ROLE;
ALTER VIEW theirs OWNER TO csp_test_registrar;
SET ROLE csp_test_member;
SELECT csp_drop_model('reg_shared', true);
RESET ROLE;
SELECT to_regclass('theirs') IS NULL AS gone;
-- nor in a transaction that only reads
BEGIN READ ONLY;
SELECT csp_deploy('reg', 1);
\echo :SQLSTATE
ROLLBACK;
BEGIN READ ONLY; SELECT csp_drop_model('reg'); ROLLBACK;

DROP ROLE csp_test_member, csp_test_registrar;
DROP TABLE stored, uses_all CASCADE;
DROP VIEW by_name, above, by_number, of_another, by_column, dated_places, trapped;
DROP FUNCTION trap;
DROP MATERIALIZED VIEW kept;
DROP DOMAIN habitat, prototype;
DROP FUNCTION standard_body, defaults, text_body, registry, answers, uses, execute;
DROP PROCEDURE train;
SELECT csp_drop_model('reg');
SELECT count(*) FROM csp.models WHERE name LIKE 'reg%';

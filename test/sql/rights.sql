-- Owners of models, roles with USAGE, and what becomes of models with a role; then what a hostile role might try.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE ROLE csp_test_owner LOGIN;
CREATE ROLE csp_test_user LOGIN;
CREATE ROLE csp_test_other LOGIN;
CREATE ROLE csp_test_heir LOGIN;
CREATE ROLE csp_test_group;
CREATE ROLE csp_test_noinherit NOINHERIT LOGIN IN ROLE csp_test_owner;
GRANT EXECUTE ON FUNCTION csp_import TO csp_test_owner, csp_test_user, csp_test_other;
GRANT EXECUTE ON PROCEDURE csp_train TO csp_test_owner, csp_test_user, csp_test_other;
SELECT csp_export('both') AS file \gset
\set place 'ST_SetSRID(ST_MakePoint(12.5, 41.9), 4326)'

-- ---- USAGE ----
SET ROLE csp_test_owner;
SELECT csp_import('theirs', :'file') > 0 AS imported;
SELECT name, owner, granted_to FROM csp.models;
SET ROLE csp_test_user;
SELECT csp_embed(:place, 'theirs');
\echo :SQLSTATE
PREPARE prepared AS SELECT array_length(csp_embed(:place, 'theirs'), 1);
SELECT csp_grant('theirs', 'csp_test_user');                        -- cannot see it
\echo :SQLSTATE
SET ROLE csp_test_owner;
SELECT csp_grant('theirs', 'csp_test_user');
SELECT csp_grant('theirs', 'csp_test_user');                        -- again: nothing more
SELECT granted_to FROM csp.models;
SET ROLE csp_test_user;
EXECUTE prepared;
SELECT array_length(csp_embed(:place), 1);                          -- the only model that it sees
SELECT csp_export('theirs') = :'file' AS exported;
SELECT count(*) > 0 FROM csp.classes WHERE model = 'theirs';
SELECT * FROM csp.granted_models();
SELECT csp_grant('theirs', 'csp_test_other');                       -- USAGE is not ownership
\echo :SQLSTATE
SELECT csp_revoke('theirs', 'csp_test_user');
\echo :SQLSTATE
SELECT csp_set_owner('theirs', 'csp_test_user');
\echo :SQLSTATE
SELECT csp_deploy('theirs@1');
\echo :SQLSTATE
SELECT csp_drop_model('theirs');
\echo :SQLSTATE
SELECT csp_comment('theirs', 'mine');
\echo :SQLSTATE
SELECT csp_import('theirs', :'file');
\echo :SQLSTATE
SET ROLE csp_test_owner;
SELECT csp_revoke('theirs', 'csp_test_user');
SELECT csp_revoke('theirs', 'csp_test_user');
SET ROLE csp_test_user;
EXECUTE prepared;
\echo :SQLSTATE
SELECT * FROM csp.models;
-- in the middle of a transaction, and back
SET ROLE csp_test_owner;
BEGIN;
SELECT csp_grant('theirs', 'csp_test_user');
SET ROLE csp_test_user;
EXECUTE prepared;
ROLLBACK;
SET ROLE csp_test_user;
EXECUTE prepared;
\echo :SQLSTATE
-- through a group, and PUBLIC
SET ROLE csp_test_owner;
SELECT csp_grant('theirs', 'csp_test_group');
SET ROLE csp_test_user;
EXECUTE prepared;
\echo :SQLSTATE
RESET ROLE;
GRANT csp_test_group TO csp_test_user;
SET ROLE csp_test_user;
EXECUTE prepared;
RESET ROLE;
ALTER ROLE csp_test_user NOINHERIT;
REVOKE csp_test_group FROM csp_test_user;
SET ROLE csp_test_user;
EXECUTE prepared;
\echo :SQLSTATE
RESET ROLE;
ALTER ROLE csp_test_user INHERIT;
SET ROLE csp_test_owner;
SELECT csp_grant('theirs', 'public');
SELECT granted_to FROM csp.models WHERE name = 'theirs';
SET ROLE csp_test_user;
EXECUTE prepared;
SET ROLE csp_test_owner;
SELECT csp_revoke('theirs', 'public'), csp_revoke('theirs', 'csp_test_group');
SET ROLE csp_test_user;
EXECUTE prepared;
\echo :SQLSTATE
-- arguments
SET ROLE csp_test_owner;
SELECT csp_grant('theirs', 'nobody_at_all');
\echo :SQLSTATE
SELECT csp_grant('no such model', 'csp_test_user');
\echo :SQLSTATE
SELECT csp_grant('theirs@1', 'csp_test_user');
\echo :SQLSTATE
SELECT csp_grant(NULL, 'csp_test_user');
\echo :SQLSTATE
SELECT csp_grant('theirs', NULL);
\echo :SQLSTATE
SELECT csp_grant('theirs', '-');
\echo :SQLSTATE
SELECT csp_grant('theirs', '');
\echo :SQLSTATE
SET default_transaction_read_only = on;
SELECT csp_grant('theirs', 'csp_test_user');
SELECT csp_revoke('theirs', 'csp_test_user');
SELECT csp_set_owner('theirs', 'csp_test_user');
RESET default_transaction_read_only;
-- membership that is not inherited
SET ROLE csp_test_noinherit;
SELECT csp_grant('theirs', 'csp_test_user');
\echo :SQLSTATE
SELECT count(*) FROM csp.models WHERE name = 'theirs';
RESET ROLE;
-- SUPERUSER that goes, with the model in the cache
ALTER ROLE csp_test_other SUPERUSER;
SET ROLE csp_test_other;
SELECT array_length(csp_embed(:place, 'theirs'), 1);
RESET ROLE;
ALTER ROLE csp_test_other NOSUPERUSER;
SET ROLE csp_test_other;
SELECT csp_embed(:place, 'theirs');
\echo :SQLSTATE
-- what must be granted, and is not
\set VERBOSITY sqlstate
SET ROLE csp_test_noinherit;
CALL csp_train('m', 'places');
CALL csp_tune('m', 'places');
CALL csp_resume(1);
CALL csp_resume_search(1);
SELECT csp_import('m', '');
\set VERBOSITY default
RESET ROLE;

-- ---- owners ----
SET ROLE csp_test_owner;
\set VERBOSITY sqlstate
SELECT csp_set_owner('theirs', 'csp_test_heir');                    -- not a member of it
\set VERBOSITY default
SELECT csp_set_owner('theirs', 'public');
\echo :SQLSTATE
RESET ROLE;
GRANT csp_test_heir TO csp_test_owner;
SET ROLE csp_test_owner;
SELECT csp_set_owner('theirs', 'csp_test_heir');
SELECT name, owner FROM csp.models WHERE name = 'theirs';           -- as a member
RESET ROLE;
REVOKE csp_test_heir FROM csp_test_owner;
SET ROLE csp_test_owner;
SELECT count(*) FROM csp.models;
SELECT csp_import('theirs', :'file');                               -- a name that another has
\echo :SQLSTATE
RESET ROLE;
SELECT csp_set_owner('theirs', 'csp_test_owner');
SELECT csp_grant('theirs', 'csp_test_user');
DROP ROLE csp_test_heir;                                            -- owns nothing any more

-- ---- roles that go ----
CREATE ROLE csp_test_heir LOGIN;
REVOKE ALL ON FUNCTION csp_import FROM csp_test_owner;
REVOKE ALL ON PROCEDURE csp_train FROM csp_test_owner;
DROP ROLE csp_test_owner;
\echo :SQLSTATE
REASSIGN OWNED BY csp_test_owner TO csp_test_heir;
SELECT name, owner, granted_to FROM csp.models WHERE name = 'theirs';
DROP ROLE csp_test_owner;
REVOKE ALL ON FUNCTION csp_import FROM csp_test_user;
REVOKE ALL ON PROCEDURE csp_train FROM csp_test_user;
DROP ROLE csp_test_user;                                            -- has USAGE
\echo :SQLSTATE
DROP OWNED BY csp_test_user;
SELECT name, owner, granted_to FROM csp.models WHERE name = 'theirs';
DROP ROLE csp_test_user;
-- what stands for the models of those that went does not pile up
GRANT EXECUTE ON FUNCTION csp_import TO csp_test_heir;
CREATE ROLE csp_test_first;
CREATE ROLE csp_test_second;
GRANT EXECUTE ON FUNCTION csp_import TO csp_test_first, csp_test_second;
CREATE VIEW standing AS
SELECT relowner, count(*) FROM pg_class JOIN pg_am a ON a.oid = relam WHERE a.amname = 'csp_owned' GROUP BY 1;
SET ROLE csp_test_first;
SELECT csp_import('of the first', :'file') > 0 AS imported;
SET ROLE csp_test_second;
SELECT csp_import('of the second', :'file') > 0 AS imported;
RESET ROLE;
REASSIGN OWNED BY csp_test_first, csp_test_second TO csp_test_heir;
SELECT csp_drop_model('of the first');
SELECT relowner::regrole, count FROM standing WHERE relowner = 'csp_test_heir'::regrole;
SET ROLE csp_test_first;
SELECT csp_import('of the first', :'file') > 0 AS imported;
RESET ROLE;
REASSIGN OWNED BY csp_test_first TO CURRENT_USER;
SELECT csp_drop_model('of the first'), csp_drop_model('of the second');
SELECT count(*) FROM standing WHERE relowner = current_user::regrole AND (count > 1 OR relowner < 16384);
DROP VIEW standing;
DROP OWNED BY csp_test_first, csp_test_second;
DROP ROLE csp_test_first, csp_test_second;
REVOKE ALL ON FUNCTION csp_import FROM csp_test_heir;
-- what others depend on
CREATE VIEW of_theirs AS SELECT csp_embed(:place, 'theirs') AS e;
DROP OWNED BY csp_test_heir;
\echo :SQLSTATE
SELECT name, owner FROM csp.models WHERE name = 'theirs';
BEGIN;
DROP OWNED BY csp_test_heir CASCADE;
SELECT name, owner FROM csp.models WHERE name = 'theirs';
SELECT to_regclass('of_theirs');
ROLLBACK;
DROP VIEW of_theirs;
SET ROLE csp_test_heir;
DROP OWNED BY csp_test_heir;                                        -- also by itself
RESET ROLE;
SELECT name, owner FROM csp.models WHERE name = 'theirs';
DROP ROLE csp_test_heir;

-- ---- the type ----
SELECT 'csp_test_other'::csp.role, '"csp_test_other"'::csp.role::regrole, 'public'::csp.role, '-'::csp.role, current_user::regrole::csp.role = current_user::regrole AS same;
SET client_min_messages = warning;
SELECT 'no such role'::csp.role;
\echo :SQLSTATE
SELECT 'no_such_role'::csp.role;
SELECT '16384'::csp.role;
SELECT '{public,-,csp_test_other}'::csp.role[]::text[];
SELECT csp.includes_me('{public}'), csp.includes_me('{-}'), csp.includes_me('{}'), csp.includes_me(NULL);

-- ---- tampering with the catalogue ----
SET ROLE csp_test_other;
SELECT csp_import('others', :'file') > 0 AS imported;
SET client_min_messages = error;
DO $$
DECLARE
    statement text;
    relation regclass;
BEGIN
    FOR relation IN SELECT c.oid FROM pg_class c WHERE c.relnamespace = 'csp'::regnamespace AND c.relkind IN ('r', 'v', 'S')
                    ORDER BY c.relname COLLATE "C" LOOP
        FOREACH statement IN ARRAY ARRAY['DELETE FROM %s', 'TRUNCATE %s', 'INSERT INTO %s DEFAULT VALUES', 'LOCK TABLE %s IN SHARE MODE',
                'DROP TABLE %s', 'ALTER TABLE %s DISABLE TRIGGER ALL', 'ALTER TABLE %s DISABLE ROW LEVEL SECURITY', 'CREATE POLICY p ON %s USING (true)',
                'CREATE TRIGGER t AFTER INSERT ON %s EXECUTE FUNCTION suppress_redundant_updates_trigger()', 'CREATE RULE r AS ON SELECT TO %s DO INSTEAD NOTHING',
                'CREATE INDEX ON %s ((1))', 'ALTER TABLE %s RENAME TO mine', 'ALTER TABLE %s OWNER TO csp_test_other', 'GRANT ALL ON %s TO csp_test_other',
                'COMMENT ON TABLE %s IS NULL'] LOOP
            BEGIN
                EXECUTE format(statement, relation);
                IF statement NOT LIKE 'GRANT%' OR has_table_privilege(relation, 'INSERT, UPDATE, DELETE, TRUNCATE, TRIGGER') THEN
                    RAISE EXCEPTION 'may %', format(statement, relation);
                END IF;
            EXCEPTION
                WHEN insufficient_privilege OR wrong_object_type OR object_not_in_prerequisite_state OR feature_not_supported THEN NULL;
            END;
        END LOOP;
    END LOOP;
END $$;
SET client_min_messages = warning;
UPDATE csp.model SET owner = 'csp_test_other';
\echo :SQLSTATE
UPDATE csp.model_version SET configuration = '{}';
\echo :SQLSTATE
UPDATE csp.model_weights SET data = '';
\echo :SQLSTATE
CREATE TABLE csp.mine ();
\echo :SQLSTATE
CREATE FUNCTION csp.mine() RETURNS int LANGUAGE sql AS 'SELECT 1';
\echo :SQLSTATE
ALTER EXTENSION csp_ext DROP TABLE csp.model;
\echo :SQLSTATE
DROP ACCESS METHOD csp_owned;
\echo :SQLSTATE
ALTER EVENT TRIGGER csp_drop_owned DISABLE;
\echo :SQLSTATE
SELECT nextval('csp.model_version_id_seq');
\echo :SQLSTATE
SELECT setval('csp.run_id_seq', 1);
\echo :SQLSTATE
SELECT csp.roles_changed();
\echo :SQLSTATE
SELECT csp.owned_handler(NULL);
\echo :SQLSTATE
-- the catalogue's triggers, on tables of its own
CREATE TEMPORARY TABLE mine (owner oid, granted_to int);
CREATE TRIGGER t AFTER INSERT ON mine FOR EACH ROW EXECUTE FUNCTION csp.roles_changed();
INSERT INTO mine VALUES (1, 1);
\echo :SQLSTATE
DROP TABLE mine;
CREATE TEMPORARY TABLE mine (owner oid, granted_to oid[]);
CREATE TRIGGER t AFTER INSERT ON mine FOR EACH ROW EXECUTE FUNCTION csp.roles_changed();
INSERT INTO mine SELECT oid, ARRAY[oid] FROM pg_roles WHERE rolname = current_user;
\echo :SQLSTATE
SELECT * FROM csp.models_named('\x6100620080ff00'::bytea);
\echo :SQLSTATE
-- what stands for what it owns is its own, and stays where it is
ALTER MATERIALIZED VIEW csp.owned_by_csp_test_other RENAME TO mine;
\echo :SQLSTATE
CREATE INDEX ON csp.owned_by_csp_test_other ((1));
\echo :SQLSTATE
\set VERBOSITY sqlstate
ALTER MATERIALIZED VIEW csp.owned_by_csp_test_other OWNER TO csp_test_trainer;
\set VERBOSITY default
DROP MATERIALIZED VIEW csp.owned_by_csp_test_other;
SELECT csp_import('more of others', :'file') > 0 AS imported;       -- made again
RESET ROLE;
SELECT relname, relowner::regrole FROM pg_class WHERE relname = 'owned_by_csp_test_other';

-- ---- another's runs ----
CALL csp_train('both', 'places', 'geom', 'features', 'label', '{"pretrain_epochs": 1000000, "embedding_dim": 8}', wait => false, run => NULL) \gset
SELECT csp_grant('both', 'csp_test_other');
SET ROLE csp_test_other;
SELECT count(*) FROM csp.runs;
SELECT count(*) FROM csp.metrics;
SELECT count(*) FROM csp.run_checkpoint;
\set VERBOSITY sqlstate
SELECT csp_cancel(:run);
SELECT csp_wait(:run, '1 s');
CALL csp_resume(:run);
SELECT csp_cancel_search(1), csp_wait_search(1);
SELECT csp_wait_search(1);
SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'csp_ext training run%';
SELECT csp.current_state(r) FROM csp.run r;
\set VERBOSITY default
SELECT csp.run_is_alive(:run);                                      -- whether, not what
RESET ROLE;
SELECT csp_cancel(:run), csp_wait(:run);
SELECT csp_revoke('both', 'csp_test_other');
GRANT EXECUTE ON PROCEDURE csp_resume TO csp_test_other;
SET ROLE csp_test_other;
\set VERBOSITY sqlstate
CALL csp_resume(:run);
\set VERBOSITY default
RESET ROLE;
REVOKE EXECUTE ON PROCEDURE csp_resume FROM csp_test_other;

-- ---- crafted arguments ----
GRANT SELECT ON places TO csp_test_other;
SET ROLE csp_test_other;
CREATE FUNCTION pg_temp.tried(options jsonb) RETURNS TABLE (sqlstate text, message text) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM csp_import('others', csp_export('others'), options);
    RETURN QUERY SELECT '00000', 'imported';
EXCEPTION WHEN OTHERS THEN RETURN QUERY SELECT SQLSTATE, left(SQLERRM, 100) || CASE WHEN length(SQLERRM) > 5000 THEN ' and more than 5000 characters' ELSE '' END;
END $$;
SELECT t.* FROM (VALUES
    (1, '[]'::jsonb), (2, '"epochs"'), (3, '1'), (4, 'null'), (5, '[{"activation": "relu"}]'), (6, '{"": 1}'), (7, '{"activation": null}'),
    (8, '{"activation": {"a": "b"}}'), (9, '{"hidden_dim": 1e300}'), (10, '{"hidden_dim": -1e300}'), (11, '{"hidden_dim": 99999999999999999999999999}'),
    (12, '{"hidden_dim": 64.5}'), (13, '{"hidden_dim": "64"}'), (14, '{"hidden_dim": true}'), (15, '{"hidden_dim": 1000000000}'),
    (16, '{"max_radius": "NaN"}'), (17, '{"max_radius": 1e-300, "min_radius": 1e300}'), (18, '{"activation": "relu''; DROP TABLE places; --"}'),
    (19, '{"activation''; DROP TABLE places; --": 1}'), (20, ('{"activation": ' || repeat('[', 3000) || repeat(']', 3000) || '}')::jsonb),
    (21, jsonb_build_object('activation', repeat('x', 1000000))), (22, jsonb_build_object(repeat('x', 1000000), 1)),
    (23, '{"activation": "nonsense", "activation": "gelu"}'), (24, '{"map_range": [1, 2, 3, 4, 5]}'), (25, '{"map_range": [[[1]]]}'),
    (26, '{"labels": [["a"], ["b"]]}'), (27, '{"labels": {"0": "a"}}'), (28, jsonb_build_object('labels', (SELECT jsonb_agg(i) FROM generate_series(1, 100000) i)))
    ) AS o (number, options), LATERAL pg_temp.tried(o.options) t ORDER BY o.number;
SELECT csp_import('others', csp_export('others'), '{"activation": "\u0000"}');
\echo :SQLSTATE
\set VERBOSITY sqlstate
CALL csp_train('others', 'places', 'geom', options => '{"epochs": 1e300}');
\echo :SQLSTATE
CALL csp_train('others', 'places', 'geom', options => jsonb_build_object('device', repeat('x', 1000000)));
\echo :SQLSTATE
-- names that are more than names
\set VERBOSITY terse
CALL csp_train('others', 'places; DROP TABLE places', 'geom', 'features');
\echo :SQLSTATE
CALL csp_train('others', 'places -- ', 'geom', 'features');
\echo :SQLSTATE
CALL csp_train('others', 'SELECT * FROM places; DROP TABLE places', 'geom', 'features');
\echo :SQLSTATE
CALL csp_train('others', 'DELETE FROM places RETURNING *', 'geom', 'features');
\echo :SQLSTATE
CALL csp_train('others', 'WITH d AS (DELETE FROM places RETURNING *) SELECT * FROM d', 'geom', 'features');
\echo :SQLSTATE
CALL csp_train('others', 'places', 'geom FROM places; DROP TABLE places; --', 'features');
\echo :SQLSTATE
CALL csp_train('others', 'places', 'geom', 'features", (SELECT 1/0) AS "x');
\echo :SQLSTATE
CALL csp_train('others', 'places', 'geom', 'features', 'label"; DROP TABLE places; --');
\echo :SQLSTATE
CALL csp_train(E'others\n', 'places', 'geom', 'features');
\echo :SQLSTATE
\set VERBOSITY sqlstate
CALL csp_train(repeat('x', 100000), 'places', 'geom', 'features');
\echo :SQLSTATE
CALL csp_train('others', repeat('x', 100000), 'geom', 'features');
\echo :SQLSTATE
\set VERBOSITY default
SELECT count(*) FROM csp.run;
SELECT csp_import($$a '"; DROP TABLE csp.model; -- $$, :'file') > 0 AS imported;
SELECT array_length(csp_embed(:place, $$a '"; DROP TABLE csp.model; -- $$), 1);
SELECT csp_embed(:place, $$' OR true --$$);
\echo :SQLSTATE
SELECT csp_drop_model($$a '"; DROP TABLE csp.model; -- $$);
RESET ROLE;
SELECT count(*) FROM places;

-- ---- a schema in front in which everything has a double ----
-- Every function and operator of pg_catalog and public, and names of types: whatever is looked for by name is found there.
CREATE SCHEMA hostile AUTHORIZATION csp_test_other;
SELECT :place AS place_value, ST_SetSRID(ST_MakePoint(1391500, 5146011), 3857) AS projected, ARRAY(SELECT 0.1::real FROM generate_series(1, (SELECT image_dim FROM csp.models WHERE name = 'both' AND deployed))) AS features \gset
SELECT label FROM csp.classes WHERE model = 'both' ORDER BY 1 LIMIT 1 \gset
SELECT array_fill(0.5::real, ARRAY[(SELECT class_count FROM csp.models WHERE name = 'both' AND deployed)]) AS probabilities \gset
CREATE TABLE spots AS SELECT i AS id, ST_SetSRID(ST_MakePoint(i, i), 4326) AS geom, NULL::real[] AS embedding, NULL::bigint AS embedding_version FROM generate_series(1, 20) i;
ALTER TABLE spots ADD PRIMARY KEY (id);
CREATE TRIGGER embeds BEFORE INSERT ON spots FOR EACH ROW EXECUTE FUNCTION csp_embed_trigger('geom', 'embedding', 'both');
DO $$
DECLARE
    f record;
    made int = 0;
    springs text = 'BEGIN RAISE EXCEPTION ''something hostile was called''; END';
BEGIN
    FOR f IN SELECT p.oid, p.proname, pg_get_function_identity_arguments(p.oid) AS arguments,
                    pg_get_function_result(p.oid) AS result
             FROM pg_proc p WHERE p.pronamespace IN ('pg_catalog'::regnamespace, 'public'::regnamespace) AND p.prokind IN ('f', 'a') AND p.proname !~ '^csp_' LOOP
        BEGIN
            EXECUTE format('CREATE FUNCTION hostile.%I(%s) RETURNS %s LANGUAGE plpgsql AS %L', f.proname,
                           regexp_replace(f.arguments, '(OUT [^,]*(, )?)+$', ''), f.result, springs);
            made = made + 1;
        EXCEPTION WHEN OTHERS THEN NULL;                            -- pseudo-types
        END;
    END LOOP;
    IF made < 2000 THEN RAISE EXCEPTION 'only % functions', made; END IF;
    made = 0;
    FOR f IN SELECT o.oid, o.oprname, o.oprleft::regtype AS l, o.oprright::regtype AS r, o.oprresult::regtype AS result
             FROM pg_operator o WHERE o.oprnamespace IN ('pg_catalog'::regnamespace, 'public'::regnamespace) LOOP
        BEGIN
            EXECUTE format('CREATE FUNCTION hostile.op_%s(%s %s) RETURNS %s LANGUAGE plpgsql AS %L', f.oid,
                           CASE f.l WHEN '-'::regtype THEN '' ELSE f.l || ',' END, f.r, f.result, springs);
            EXECUTE format('CREATE OPERATOR hostile.%s (%s RIGHTARG = %s, FUNCTION = hostile.op_%s)', f.oprname,
                           CASE f.l WHEN '-'::regtype THEN '' ELSE 'LEFTARG = ' || f.l || ',' END, f.r, f.oid);
            made = made + 1;
        EXCEPTION WHEN OTHERS THEN NULL;
        END;
    END LOOP;
    IF made < 700 THEN RAISE EXCEPTION 'only % operators', made; END IF;
    FOR f IN SELECT t.typname FROM pg_type t WHERE t.typname IN ('text', 'jsonb', 'int4', 'int8', 'float4', 'float8', 'bool', 'oid', 'name', 'regclass',
                'regrole', 'timestamptz', 'bytea', 'interval', 'numeric') AND t.typnamespace = 'pg_catalog'::regnamespace LOOP
        EXECUTE format('CREATE DOMAIN hostile.%I AS pg_catalog.%I CHECK (hostile.now() IS NULL)', f.typname, f.typname);
    END LOOP;
    FOR f IN SELECT c.relname FROM pg_class c WHERE c.relkind IN ('r', 'v') AND c.relnamespace IN ('csp'::regnamespace, 'pg_catalog'::regnamespace) LOOP
        EXECUTE format('CREATE VIEW hostile.%I AS SELECT hostile.now() AS oid, hostile.now() AS id', f.relname);
    END LOOP;
    GRANT USAGE ON SCHEMA hostile TO PUBLIC;
END $$;

GRANT EXECUTE ON FUNCTION csp_import TO csp_test_reader;
GRANT EXECUTE ON PROCEDURE csp_train, csp_tune, csp_resume, csp_resume_search TO csp_test_reader;
GRANT SELECT ON places TO csp_test_reader;
GRANT ALL ON spots TO csp_test_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA hostile TO csp_test_reader;
SELECT csp_grant('both', 'csp_test_reader');

CREATE PROCEDURE hostile_calls(mine text, place geometry, projected geometry, features real[], probabilities real[], label text) LANGUAGE plpgsql AS $$
DECLARE
    id bigint;
    small pg_catalog.jsonb = '{"pretrain_epochs": 1, "epochs": 1, "embedding_dim": 8, "hidden_dim": 8, "frequencies": 4}';
BEGIN
    PERFORM public.csp_embed(place, 'both');
    PERFORM public.csp_embed(place::public.geography, 'both');
    PERFORM public.csp_embed(projected, 'both');
    PERFORM public.csp_embed(s.geom, 'both@1') FROM public.spots s WHERE public.csp_probability(s.geom, label, 'both') IS NOT NULL;
    PERFORM public.csp_embed_image(features, 'both');
    PERFORM public.csp_similarity(place, features, 'both');
    PERFORM public.csp_probabilities(place, 'both');
    PERFORM public.csp_probability(place, label, 'both');
    PERFORM public.csp_fuse(probabilities, place, 'both');
    PERFORM FROM public.csp_classify(place, 3, 'both');
    PERFORM FROM csp.classify_probabilities(probabilities, 3, 'both');
    PERFORM FROM public.csp_info();
    PERFORM FROM public.csp_options();
    PERFORM public.csp_location_error(place);
    PERFORM csp.valid_location(projected);
    PERFORM FROM csp.models;
    PERFORM FROM csp.classes;
    PERFORM FROM csp.runs;
    PERFORM FROM csp.progress;
    PERFORM FROM csp.metrics;
    PERFORM FROM csp.searches;
    PERFORM FROM csp.trials;
    PERFORM FROM csp.bulk_runs;
    PERFORM FROM csp.dependents;
    PERFORM FROM csp.granted_models() WHERE pg_catalog.pg_has_role('csp_test_reader', 'USAGE');
    PERFORM public.csp_import(mine, public.csp_export('both'), '{"labels": null}') WHERE false;
    PERFORM public.csp_import(mine, public.csp_export('both'));
    PERFORM public.csp_grant(mine, 'public');
    PERFORM public.csp_revoke(mine, 'public');
    PERFORM public.csp_grant(mine, 'csp_test_trainer');
    PERFORM public.csp_set_owner(mine, CURRENT_USER::pg_catalog.text);
    PERFORM public.csp_comment(mine, 'of mine');
    CALL public.csp_train(mine, 'public.places', 'geom', 'features', 'label', small, run => id);
    PERFORM public.csp_wait(id), public.csp_cancel(id);
    CALL public.csp_train(mine, 'SELECT geom, features, label FROM public.places', NULL, 'features', 'label', small, false, id);
    PERFORM public.csp_cancel(id), public.csp_wait(id);
    CALL public.csp_tune(mine, 'public.places', 'geom', 'features', 'label', '{"learning_rate": [0.001, 0.002]}', 2, small, search_id => id);
    PERFORM public.csp_wait_search(id), public.csp_cancel_search(id);
    PERFORM public.csp_deploy(mine, 1);
    PERFORM public.csp_rollback(mine);
    PERFORM public.csp_model_version(mine);
    PERFORM public.csp_model_card(mine), public.csp_model_card_text(mine);
    PERFORM public.csp_embed_version(place, public.csp_model_version(mine));
    INSERT INTO public.spots (id, geom) VALUES (100, place) ON CONFLICT DO NOTHING;
    UPDATE public.spots SET embedding = NULL;
    CALL public.csp_embed_table('public.spots', location => 'geom', model => 'both', workers => 2, batch_rows => 7, rows => id);
    CALL public.csp_embed_table('public.spots', location => 'geom', target => 'public.spot_embeddings', model => 'both', prune => true, rows => id);
    DROP TABLE public.spot_embeddings;
    DELETE FROM public.spots s WHERE s.id OPERATOR(pg_catalog.=) 100;
    PERFORM public.csp_rename(mine, 'renamed');
    PERFORM public.csp_drop_model('renamed', true);
    PERFORM FROM csp.models;
END $$;
GRANT CREATE ON SCHEMA public TO csp_test_reader;
ALTER TABLE spots OWNER TO csp_test_reader;

SELECT 1 + 1 AS two;
SET search_path = hostile, pg_catalog, public;
SELECT 1 + 1 AS two;                                                -- the doubles are in the way
CALL public.hostile_calls('victims', :'place_value'::public.geometry, :'projected'::public.geometry, :'features'::pg_catalog.float4[], :'probabilities'::pg_catalog.float4[], :'label');
SET ROLE csp_test_reader;
CALL public.hostile_calls('victims', :'place_value'::public.geometry, :'projected'::public.geometry, :'features'::pg_catalog.float4[], :'probabilities'::pg_catalog.float4[], :'label');
-- all of it, as roles come and go
RESET ROLE;
CREATE ROLE csp_test_brief;
SELECT public.csp_grant('both', 'csp_test_brief');
SELECT public.csp_set_owner('others', 'csp_test_brief');
REASSIGN OWNED BY csp_test_brief TO csp_test_other;
DROP OWNED BY csp_test_brief;
DROP ROLE csp_test_brief;
RESET search_path;

SELECT csp_revoke('both', 'csp_test_reader');
DROP PROCEDURE hostile_calls;
DROP TABLE spots;
REVOKE CREATE ON SCHEMA public FROM csp_test_reader;
REVOKE SELECT ON places FROM csp_test_reader, csp_test_other;
REVOKE ALL ON FUNCTION csp_import FROM csp_test_reader;
REVOKE ALL ON PROCEDURE csp_train, csp_tune, csp_resume, csp_resume_search FROM csp_test_reader;
DROP SCHEMA hostile CASCADE;
DROP OWNED BY csp_test_other, csp_test_group, csp_test_noinherit;
DROP ROLE csp_test_other, csp_test_group, csp_test_noinherit;
SELECT count(*) FROM pg_class WHERE relname LIKE 'owned\_by\_csp\_test\_other%';

-- Owners get the type csp.role. Views that show them keep their identity, since others may depend on them: they let go of
-- the column, and of functions of its row, and take them up again.

-- include sql/07_role.sql

SET LOCAL search_path = pg_catalog, pg_temp;

CREATE FUNCTION pg_temp.replace_view(name text, definition text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE OR REPLACE VIEW csp.%I WITH (security_invoker = true) AS %s', name, definition);
END $$;

CREATE TEMP TABLE definitions AS
    SELECT name, pg_get_viewdef(format('csp.%I', name)::regclass) AS definition
    FROM unnest('{models, runs, progress, searches, trials, bulk_runs}'::text[]) name;
SELECT pg_temp.replace_view(name, regexp_replace(regexp_replace(definition, '\m[mrs]\.owner\M', 'NULL::regrole AS owner'),
                                                 'csp\.current_(search_)?state\(([rs])\.\*\)', '\2.state', 'g'))
FROM definitions;
ALTER POLICY visible ON csp.model USING (false);
ALTER POLICY visible ON csp.run USING (false);
ALTER POLICY visible ON csp.search USING (false);
ALTER POLICY visible ON csp.bulk_run USING (false);
DROP FUNCTION csp.current_state(csp.run);
DROP FUNCTION csp.current_search_state(csp.search);

ALTER TABLE csp.model ALTER COLUMN owner TYPE csp.role, ADD COLUMN granted_to csp.role[] NOT NULL DEFAULT '{}';
ALTER TABLE csp.run ALTER COLUMN owner TYPE csp.role;
ALTER TABLE csp.search ALTER COLUMN owner TYPE csp.role;
ALTER TABLE csp.bulk_run ALTER COLUMN owner TYPE csp.role;

CREATE FUNCTION csp.current_state(run csp.run) RETURNS csp.run_state
    LANGUAGE SQL VOLATILE PARALLEL RESTRICTED
    RETURN CASE WHEN run.state = 'running' AND NOT csp.run_is_alive(run.id)
                     AND (run.search IS NULL OR csp.wake_queue()) THEN 'crashed'
                WHEN run.state = 'queued' AND csp.wake_queue() THEN 'queued'
                ELSE run.state END;
COMMENT ON FUNCTION csp.current_state(csp.run) IS
    'state of a training run, crashed if it was running and no process works on it any more';
CREATE FUNCTION csp.current_search_state(search csp.search) RETURNS csp.run_state
    LANGUAGE SQL VOLATILE PARALLEL RESTRICTED
    RETURN CASE WHEN search.state = 'running' AND csp.wake_queue() THEN 'running' ELSE search.state END;
COMMENT ON FUNCTION csp.current_search_state(csp.search) IS
    'state of a search for options; has one that stands still go on';
ALTER POLICY visible ON csp.model
    USING (pg_catalog.pg_has_role(owner::oid, 'USAGE') OR csp.includes_me(granted_to));
ALTER POLICY visible ON csp.run USING (pg_catalog.pg_has_role(owner::oid, 'USAGE'));
ALTER POLICY visible ON csp.search USING (pg_catalog.pg_has_role(owner::oid, 'USAGE'));
ALTER POLICY visible ON csp.bulk_run USING (pg_catalog.pg_has_role(owner::oid, 'USAGE'));
SELECT pg_temp.replace_view(name, regexp_replace(definition, '\m([mrs])\.owner\M', '\1.owner::regrole AS owner'))
FROM definitions;
DROP TABLE definitions;
DROP FUNCTION pg_temp.replace_view(text, text);

CREATE OR REPLACE VIEW csp.models WITH (security_invoker = true) AS
    SELECT v.id, m.name, v.version, (m.deployed = v.id) IS TRUE AS deployed, m.owner::regrole AS owner,
           (v.configuration ->> 'position_encoding') AS position_encoding,
           (v.configuration ->> 'embedding_dim')::int AS embedding_dim,
           (v.configuration ->> 'image_dim')::int AS image_dim,
           (v.configuration ->> 'class_count')::int AS class_count,
           v.metrics, v.configuration, v.options, v.provenance, v.created, m.comment, v.comment AS version_comment,
           m.granted_to::text[] AS granted_to
    FROM csp.model m JOIN csp.model_version v ON v.model = m.name;
COMMENT ON COLUMN csp.models.granted_to IS 'roles that may use the model beside its owner (csp_grant); public: all';

CREATE TRIGGER roles_changed AFTER INSERT OR UPDATE OF owner, granted_to OR DELETE ON csp.model
    FOR EACH ROW EXECUTE FUNCTION csp.roles_changed();
CREATE TRIGGER roles_changed AFTER INSERT OR UPDATE OF owner OR DELETE ON csp.run
    FOR EACH ROW EXECUTE FUNCTION csp.roles_changed();
CREATE TRIGGER roles_changed AFTER INSERT OR UPDATE OF owner OR DELETE ON csp.search
    FOR EACH ROW EXECUTE FUNCTION csp.roles_changed();
CREATE TRIGGER roles_changed AFTER INSERT OR UPDATE OF owner OR DELETE ON csp.bulk_run
    FOR EACH ROW EXECUTE FUNCTION csp.roles_changed();

SELECT pg_catalog.set_config('search_path', pg_catalog.current_setting('csp_ext.search_path'), true);

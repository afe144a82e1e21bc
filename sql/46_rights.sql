-- Rights on models: their owner, roles with USAGE, and what becomes of them with a role.

CREATE FUNCTION csp_grant(model text, role text) RETURNS void
    LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'csp_grant';
COMMENT ON FUNCTION csp_grant(text, text) IS
    'lets a role use a model, all its versions: see it, query, export and evaluate it, and train others from it. role: its name, or public for all. The runs that it was trained in stay out of sight. Only for members of the role that owns the model';

CREATE FUNCTION csp_revoke(model text, role text) RETURNS void
    LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'csp_revoke';
COMMENT ON FUNCTION csp_revoke(text, text) IS
    'takes back what csp_grant gave to a role; from its next statement on. Only for members of the role that owns the model';

CREATE FUNCTION csp_set_owner(model text, role text) RETURNS void
    LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'csp_set_owner';
COMMENT ON FUNCTION csp_set_owner(text, text) IS
    'gives a model to another role, as ALTER ... OWNER TO: only for members of the role that owns it who may also become the other';

SET LOCAL search_path = pg_catalog, pg_temp;

-- To whom a model is granted has EXECUTE on this function: so the server knows that the role is in use, as it knows
-- of ordinary grants.
CREATE FUNCTION csp.granted_models() RETURNS SETOF text
    LANGUAGE SQL STABLE STRICT PARALLEL SAFE
    BEGIN ATOMIC
        SELECT m.name FROM csp.model m WHERE csp.includes_me(m.granted_to);
    END;
COMMENT ON FUNCTION csp.granted_models() IS
    'models that were granted to the current user; for roles that csp_grant has named';
REVOKE ALL ON FUNCTION csp.granted_models() FROM PUBLIC;

-- Rows have no owner that the server knows of. In their place each role that owns models, runs or searches owns a materialized
-- view csp.owned_by_..., of nothing: DROP ROLE is refused for it, and REASSIGN OWNED and DROP OWNED come by it. There are
-- no event triggers for REASSIGN OWNED; but to give the view away the server opens it, for which it asks the handler of
-- its access method, which loads csp_ext, whose hook is then told. The access method is heap.
CREATE FUNCTION csp.owned_handler(internal) RETURNS table_am_handler
    LANGUAGE C STRICT AS 'MODULE_PATHNAME', 'csp_owned_handler';
COMMENT ON FUNCTION csp.owned_handler(internal) IS 'heap, for relations that stand for what a role owns in the catalogue of csp_ext';
REVOKE ALL ON FUNCTION csp.owned_handler(internal) FROM PUBLIC;
CREATE ACCESS METHOD csp_owned TYPE TABLE HANDLER csp.owned_handler;
COMMENT ON ACCESS METHOD csp_owned IS 'heap, for relations that stand for what a role owns in the catalogue of csp_ext';

CREATE FUNCTION csp.drop_owned() RETURNS event_trigger
    LANGUAGE C AS 'MODULE_PATHNAME', 'csp_drop_owned';
COMMENT ON FUNCTION csp.drop_owned() IS 'DROP OWNED drops models, runs and searches too, and takes grants on models back';
CREATE EVENT TRIGGER csp_drop_owned ON ddl_command_end WHEN TAG IN ('DROP OWNED') EXECUTE FUNCTION csp.drop_owned();

SELECT pg_catalog.set_config('search_path', pg_catalog.current_setting('csp_ext.search_path'), true);

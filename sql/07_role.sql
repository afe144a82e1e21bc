-- Roles in the catalogue.

-- What regrole is, but for two things. Text that names no role of this server, as a dump of another may, is no error: one
-- missing role would keep all models from being restored. It reads as no role, of which nobody but a superuser is a member.
-- And it goes by name where regrole goes by number, in the binary format of COPY and replication.
CREATE TYPE csp.role;
CREATE FUNCTION csp.role_in(cstring) RETURNS csp.role
    LANGUAGE C STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'csp_role_in';
CREATE FUNCTION csp.role_out(csp.role) RETURNS cstring
    LANGUAGE C STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'csp_role_out';
CREATE FUNCTION csp.role_recv(internal) RETURNS csp.role
    LANGUAGE C STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'csp_role_recv';
CREATE FUNCTION csp.role_send(csp.role) RETURNS bytea
    LANGUAGE C STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'csp_role_send';
CREATE TYPE csp.role (
    INPUT = csp.role_in, OUTPUT = csp.role_out, RECEIVE = csp.role_recv, SEND = csp.role_send, LIKE = pg_catalog.oid);
COMMENT ON FUNCTION csp.role_in(cstring) IS 'I/O';
COMMENT ON FUNCTION csp.role_out(csp.role) IS 'I/O';
COMMENT ON FUNCTION csp.role_recv(internal) IS 'I/O';
COMMENT ON FUNCTION csp.role_send(csp.role) IS 'I/O';
COMMENT ON TYPE csp.role IS
    'a role, by name; public: all roles; -: none, also in place of a name that this server does not know';
CREATE CAST (csp.role AS oid) WITHOUT FUNCTION AS IMPLICIT;
CREATE CAST (csp.role AS regrole) WITHOUT FUNCTION AS IMPLICIT;
CREATE CAST (oid AS csp.role) WITHOUT FUNCTION AS ASSIGNMENT;
CREATE CAST (regrole AS csp.role) WITHOUT FUNCTION AS ASSIGNMENT;

CREATE FUNCTION csp.includes_me(roles csp.role[]) RETURNS boolean
    LANGUAGE C STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'csp_includes_me';
COMMENT ON FUNCTION csp.includes_me(csp.role[]) IS
    'whether the current user has the privileges of one of the roles, or public is among them';

-- Keeps the server informed of which roles the catalogue speaks of: see 46_rights.sql.
CREATE FUNCTION csp.roles_changed() RETURNS trigger
    LANGUAGE C AS 'MODULE_PATHNAME', 'csp_roles_changed';
COMMENT ON FUNCTION csp.roles_changed() IS
    'makes and drops what a role owns, or is granted, because the catalogue of csp_ext speaks of it';

-- What the planner knows of the query functions.

CREATE FUNCTION csp.planner_support(internal) RETURNS internal
    LANGUAGE C STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'csp_planner_support';
COMMENT ON FUNCTION csp.planner_support(internal) IS
    'planner support of the query functions: a query that calls one is executed in batches (setting csp.enable_batch)';
REVOKE ALL ON FUNCTION csp.planner_support(internal) FROM PUBLIC;

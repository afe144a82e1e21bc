-- Logical replication fires row triggers alone, and those that are enabled ALWAYS.
DROP TRIGGER catalog_changed ON csp.model;
CREATE TRIGGER catalog_changed AFTER INSERT OR UPDATE OR DELETE ON csp.model
    FOR EACH ROW EXECUTE FUNCTION csp.catalog_changed();
CREATE TRIGGER catalog_truncated AFTER TRUNCATE ON csp.model
    FOR EACH STATEMENT EXECUTE FUNCTION csp.catalog_changed();
ALTER TABLE csp.model ENABLE ALWAYS TRIGGER catalog_changed, ENABLE ALWAYS TRIGGER catalog_truncated;

COMMENT ON FUNCTION csp.run_is_alive(bigint) IS
    'whether a process still works on the training run; on a standby, and where it comes by logical replication, always true, since locks of another server are not known';
COMMENT ON FUNCTION csp.bulk_run_is_alive(bigint) IS
    'whether a session still works on a call of csp_embed_table; on a standby, and where it comes by logical replication, always true, since locks of another server are not known';

-- What pg_dump and pg_restore need of the tables and sequences that are dumped. Last, when all are there.

SET LOCAL search_path = pg_catalog, pg_temp;

-- A role may dump the rows that it sees (--enable-row-security), and pg_dump reads numbers with them.
GRANT SELECT ON ALL SEQUENCES IN SCHEMA csp TO PUBLIC;

-- pg_restore --jobs loads tables in any order, and knows nothing of the foreign keys that CREATE EXTENSION has made. So those
-- of tables that are dumped do not look for the row that they refer to: csp_ext alone writes, and has it before it. They
-- delete with it, as they say.
DO $$
DECLARE
    check_trigger record;
BEGIN
    FOR check_trigger IN
        SELECT t.tgrelid::pg_catalog.regclass AS relation, t.tgname AS name
        FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_trigger t ON t.tgrelid = ANY (e.extconfig)
        WHERE e.extname = 'csp_ext' AND t.tgisinternal AND t.tgenabled <> 'D'
              AND t.tgfoid IN ('pg_catalog."RI_FKey_check_ins"'::pg_catalog.regproc, 'pg_catalog."RI_FKey_check_upd"'::pg_catalog.regproc)
    LOOP
        EXECUTE pg_catalog.format('ALTER TABLE %s DISABLE TRIGGER %I', check_trigger.relation, check_trigger.name);
    END LOOP;
END $$;

SELECT pg_catalog.set_config('search_path', pg_catalog.current_setting('csp_ext.search_path'), true);

-- Leaves nothing behind.
SET client_min_messages = warning;
DROP EXTENSION csp_ext CASCADE;
SELECT count(*) FROM pg_namespace WHERE nspname = 'csp';
SELECT count(*) FROM pg_proc WHERE proname LIKE 'csp\_%';
CREATE EXTENSION csp_ext;
SELECT csp_embed(ST_SetSRID(ST_MakePoint(0, 0), 4326));
DROP EXTENSION csp_ext;
DROP OWNED BY csp_test_trainer, csp_test_reader, csp_test_nologin, csp_test_mapper, csp_test_map_reader;
DROP ROLE csp_test_trainer, csp_test_reader, csp_test_nologin, csp_test_mapper, csp_test_map_reader;

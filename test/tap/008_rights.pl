# The worker acts with the caller's rights: what he may read, as whom functions run, what happens when rights go.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use CspServer;
use PostgreSQL::Test::Utils;
use Test::More;

my $server = CspServer->new('rights', 'csp.max_training_workers = 1');
my $small = $CspServer::small;
sub sql { return $server->sql(@_); }
sub as { my ($role, $query) = @_; return sql("SET client_min_messages = warning; SET ROLE $role; $query"); }
sub error_as { my ($role, $query) = @_; return $server->error_of("SET client_min_messages = warning; SET ROLE $role; $query"); }
sub rows_read { my ($run) = @_; return sql("SELECT state, rows_read FROM csp.runs WHERE id = $run"); }
sub train { my ($source, $more) = @_; $source =~ s/'/''/g; return $server->train('theirs', $small, $more // '', $source); }

sql(q{
	CREATE ROLE alice LOGIN; CREATE ROLE bob LOGIN; CREATE ROLE keeper; CREATE ROLE passer LOGIN;
	GRANT EXECUTE ON PROCEDURE csp_train, csp_resume TO alice, bob, passer;
	GRANT CREATE ON SCHEMA public TO alice, keeper;
	CREATE TABLE owned AS SELECT *, CASE WHEN id <= 100 THEN 'alice' WHEN id <= 150 THEN 'bob' ELSE 'none' END AS owner, id % 4 AS tenant FROM places;
	GRANT SELECT ON owned TO alice, bob;
	CREATE TABLE calls (function text, "user" text, session text);
	GRANT INSERT ON calls TO PUBLIC;
});

# ---- row-level security and columns --------------------------------------------------------------------------------------

sql('ALTER TABLE owned ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON owned USING (owner = current_user)');
is(rows_read(as('alice', train('owned'))), 'succeeded|100', 'a policy lets alice train on her rows');
is(rows_read(as('alice', train("SELECT * FROM owned WHERE label <> 'never'"))), 'succeeded|100', 'also in a SELECT');
is(rows_read(sql('SET client_min_messages = warning; ' . $server->train('all', $small, '', 'owned'))), 'succeeded|360', 'and a superuser on all');
like(error_as('alice', 'SET row_security = off; ' . train('owned')), qr/ERROR:  42501: query would be affected by row-level security policy/,
	'who will not have rows left out in silence is told');

# A cheap function of the caller's own sees no row that the policy hides.
sql(q{
	CREATE TABLE seen (id bigint);
	GRANT INSERT ON seen TO alice;
	CREATE FUNCTION leak(bigint) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS $$ BEGIN INSERT INTO seen VALUES ($1); RETURN true; END $$;
});
is(rows_read(as('alice', train('SELECT * FROM owned WHERE leak(id)'))), 'succeeded|100', 'a function that tells what it sees');
is(sql('SELECT count(*), max(id) FROM seen'), '100|100', 'sees no row that a policy hides');

# Policies ask for settings; so do texts of labels.
sql(q{DROP POLICY own ON owned; CREATE POLICY tenant ON owned USING (tenant = current_setting('app.tenant')::int)});
is(rows_read(as('bob', "SET app.tenant = 3; " . $server->train('bobs', $small, '', 'owned'))), 'succeeded|90', 'a policy sees the settings of the session');
my $run = as('bob', "SET app.tenant = 1; SET client_min_messages = error; " . $server->train('bobs', $small, '', 'owned AS o') =~ s/owned AS o/SELECT * FROM owned WHERE id > 4/r);
is(rows_read($run), 'succeeded|89', 'whichever they are');
like(error_as('bob', $server->train('bobs', $small, '', 'owned')), qr/unrecognized configuration parameter "app.tenant"/, 'and lacks them where the session does');
sql(q{ALTER TABLE owned DISABLE ROW LEVEL SECURITY; ALTER ROLE bob SET app.tenant = 2; CREATE VIEW when_seen AS SELECT geom, features, '2024-01-31'::timestamptz + id * interval '12 h' AS label FROM places WHERE id <= 40; GRANT SELECT ON when_seen TO alice});
as('alice', "SET TimeZone = 'Pacific/Auckland'; SET DateStyle = 'German'; " . $server->train('times', $small, '', 'when_seen'));
like(sql("SELECT min(label) FROM csp.classes WHERE model = 'times'"), qr/^\d\d\.\d\d\.2024 \d\d:\d\d:\d\d NZDT$/, 'labels are written as the session writes them');

# Columns that are not granted.
sql('REVOKE SELECT ON owned FROM bob; GRANT SELECT (geom, features) ON owned TO bob');
like(error_as('bob', $server->train('bobs', $small, '', 'owned')), qr/ERROR:  42501: permission denied for table owned/, 'a column that is not granted cannot be trained on');
$run = as('bob', "CALL csp_train('bobs', 'owned', 'geom', 'features', options => '$small')");
is(rows_read($run), 'succeeded|360', 'those that are can');

# ---- a name that another had before --------------------------------------------------------------------------------------

sql('GRANT SELECT ON places TO alice, bob');
as('alice', $server->train('taken', $small)); as('alice', "SELECT csp_drop_model('taken')");
as('bob', $server->train('taken', $small)); as('bob', "SELECT csp_rename('taken', 'given')");
sql('REVOKE SELECT ON places FROM alice, bob');
is(sql("SELECT owner, model FROM csp.runs WHERE model IN ('taken', 'given') ORDER BY 1"), "alice|taken\nbob|given", "renaming a model leaves alone the runs of another's that had the name before");

# ---- views and functions -------------------------------------------------------------------------------------------------

sql(q{
	CREATE FUNCTION note(name text) RETURNS boolean LANGUAGE plpgsql AS $$
	BEGIN INSERT INTO calls VALUES (name, current_user, session_user); RETURN true; END $$;
	CREATE FUNCTION note_invoker() RETURNS boolean LANGUAGE sql VOLATILE AS $$ SELECT note('invoker') $$;
	CREATE FUNCTION note_definer() RETURNS boolean LANGUAGE sql VOLATILE SECURITY DEFINER AS $$ SELECT note('definer') $$;
	ALTER FUNCTION note_definer() OWNER TO keeper;
	CREATE VIEW noted AS SELECT * FROM places WHERE note_invoker() AND note_definer();
	GRANT SELECT ON noted TO alice;
	GRANT SELECT ON places TO keeper;
	ALTER VIEW noted OWNER TO keeper;
});
is(rows_read(as('alice', train('noted'))), 'succeeded|360', "a view reads with its owner's rights");
is(sql('SELECT DISTINCT function, "user", session FROM calls ORDER BY 1'), "definer|keeper|alice\ninvoker|alice|alice",
	'functions in it run as the caller, SECURITY DEFINER ones as their owner');
sql('ALTER VIEW noted SET (security_invoker = true)');
like(error_as('alice', train('noted')), qr/ERROR:  42501: permission denied for (table|view) places/, 'a security_invoker view with those of the caller');
sql('GRANT SELECT ON places TO alice');
is(rows_read(as('alice', train('noted'))), 'succeeded|360', 'once he has them');

# What a function in the source does is not done with more rights than the caller has, at no time of the transaction.
sql(q{
	TRUNCATE calls;
	CREATE TABLE touched (id bigint);
	GRANT INSERT ON touched TO alice;
	CREATE FUNCTION note_trigger() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO calls VALUES ('trigger', current_user, session_user); RETURN NULL; END $$;
	CREATE CONSTRAINT TRIGGER late AFTER INSERT ON touched DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note_trigger();
	CREATE FUNCTION touch(bigint) RETURNS boolean LANGUAGE plpgsql AS $$
	BEGIN
		IF $1 = 7 THEN INSERT INTO touched VALUES ($1); END IF;
		RETURN true;
	END $$;
});
is(rows_read(as('alice', train('SELECT * FROM places WHERE touch(id)'))), 'succeeded|360', 'a source with effects is read');
is(sql('SELECT count(*) FROM touched'), '1', 'once');
is(sql('SELECT DISTINCT function, "user", session FROM calls'), 'trigger|alice|alice', 'its deferred triggers run as the caller');
sql(q{
	CREATE FUNCTION steal() RETURNS boolean LANGUAGE plpgsql AS $$
	BEGIN
		BEGIN UPDATE csp.model SET owner = 'alice'; INSERT INTO calls VALUES ('stolen', current_user, session_user); EXCEPTION WHEN insufficient_privilege THEN NULL; END;
		BEGIN RESET ROLE; INSERT INTO calls SELECT 'reset', current_user, session_user WHERE current_user <> 'alice'; EXCEPTION WHEN OTHERS THEN NULL; END;
		BEGIN SET SESSION AUTHORIZATION postgres; INSERT INTO calls VALUES ('superuser', current_user, session_user); EXCEPTION WHEN OTHERS THEN NULL; END;
		RETURN true;
	END $$;
	TRUNCATE calls;
});
is(rows_read(as('alice', train('SELECT * FROM places WHERE steal()'))), 'succeeded|360', 'a hostile function is just a function');
is(sql('SELECT count(*) FROM calls'), '0', 'of the caller');
is(sql("SELECT string_agg(DISTINCT owner::text, ',' ORDER BY owner::text) FROM csp.model WHERE name IN ('good', 'theirs')"), 'alice,postgres', 'and has changed nothing');

# Settings that a function leaves behind are no obstacle to the worker.
sql(q{
	CREATE FUNCTION leave_settings() RETURNS boolean LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM set_config('default_transaction_read_only', 'on', false), set_config('default_transaction_isolation', 'serializable', false),
		        set_config('search_path', 'nowhere', false), set_config('lock_timeout', '1', false), set_config('row_security', 'off', false);
		RETURN true;
	END $$;
});
is(rows_read(as('alice', train('SELECT * FROM places WHERE id <> 1 OR public.leave_settings()'))), 'succeeded|360', 'settings that a function leaves behind stop nothing');

# ---- the path and the role ------------------------------------------------------------------------------------------------

sql(q{
	CREATE SCHEMA drawer AUTHORIZATION alice;
	CREATE VIEW drawer.places AS SELECT * FROM public.places WHERE id <= 50;
	ALTER VIEW drawer.places OWNER TO alice;
	CREATE FUNCTION drawer.float4(text) RETURNS real LANGUAGE sql AS 'SELECT 1/0::real';
	CREATE FUNCTION drawer.never(bigint, bigint) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'an operator of the path was used'; END $$;
	CREATE OPERATOR drawer.= (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = drawer.never);
});
is(rows_read(as('alice', 'SET search_path = drawer, public; ' . train('places'))), 'succeeded|50', "a table is looked for in the caller's path");
is(rows_read(as('alice', 'SET search_path = drawer, pg_catalog, public; ' . train('SELECT * FROM places'))), 'succeeded|50', 'and the catalogue never, whatever comes first in it');

# The role of the moment, not of the session.
$run = as('alice', train('places', ', wait => false'));
is(sql("SELECT csp_wait($run)"), 'succeeded', 'SET ROLE');
is(sql("SELECT owner FROM csp.runs WHERE id = $run"), 'alice', 'trains as that role');
sql('REVOKE CONNECT ON DATABASE postgres FROM PUBLIC; GRANT CONNECT ON DATABASE postgres TO alice, bob');
like(error_as('passer', train('places')), qr/ERROR:  42501: role "passer" may not connect to this database/, 'which must be one that may connect');
sql('GRANT CONNECT ON DATABASE postgres TO PUBLIC');

# Roles with settings of their own.
sql(q{
	ALTER ROLE alice SET statement_timeout = '1ms'; ALTER ROLE alice SET default_transaction_read_only = on;
	ALTER ROLE alice SET default_transaction_isolation = 'serializable'; ALTER ROLE alice SET search_path = 'nowhere';
});
is(rows_read(as('alice', train('SELECT * FROM places WHERE pg_sleep(0.001) IS NOT NULL'))), 'succeeded|360', "a role's timeouts and modes are not the worker's");
sql('ALTER ROLE alice RESET ALL');

# ---- rights that go while a run is queued or goes on ------------------------------------------------------------------------

sub behind_another {
	my ($change, $query) = @_;
	my $first = $server->start('first', $CspServer::endless);
	my $queued = as('alice', $query // train('places', ', wait => false'));
	sql($change);
	sql("SELECT csp_cancel($first)");
	sql("SELECT csp_wait($queued)");
	return $queued;
}
sub ends { my ($run, $state, $message, $what) = @_; $server->is_well($what, $run, $state); like(sql("SELECT message FROM csp.runs WHERE id = $run"), $message, "$what: and why"); }

ends(behind_another('REVOKE SELECT ON places FROM alice'), 'failed|42501', qr/permission denied for table places/, 'SELECT on the source is revoked');
sql('GRANT SELECT ON places TO alice');
ends(behind_another('ALTER TABLE places DROP COLUMN label CASCADE'), 'failed|42703', qr/column source.label does not exist/, 'a column is dropped');
sql(q{ALTER TABLE places ADD label text; UPDATE places SET label = CASE WHEN ST_Y(geom) > 0 THEN 'north' ELSE 'south' END});
$server->is_well('EXECUTE on csp_train is revoked', behind_another('REVOKE EXECUTE ON PROCEDURE csp_train FROM alice'), 'succeeded|');
sql('GRANT EXECUTE ON PROCEDURE csp_train TO alice');
ends(behind_another('ALTER ROLE alice NOLOGIN'), 'failed|28000', qr/may not log in or does not exist/, 'LOGIN is revoked');
sql('ALTER ROLE alice LOGIN');

# A model that changes hands meanwhile.
ends(behind_another("UPDATE csp.model SET owner = 'bob' WHERE name = 'theirs'"), 'failed|42501', qr/must be owner of model "theirs"/, 'the model is given to another');
sql("UPDATE csp.model SET owner = 'alice' WHERE name = 'theirs'");

# ---- roles that go --------------------------------------------------------------------------------------------------------

# DROP ROLE, REASSIGN OWNED and DROP OWNED are executed by sessions that have not loaded csp_ext.
my $workers_are_gone = q(SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type LIKE 'csp_ext%');
my $of_short = "SET ROLE short; " . $server->train('of_short', $small, ', wait => false');
my $endless_of_short = "SET ROLE short; " . $server->train('of_short', $CspServer::endless, ', wait => false');
sub of_short { my ($table) = @_; return sql("SELECT count(*) FROM csp.$table WHERE model = 'of_short'"); }
sub make_short { sql('CREATE ROLE short LOGIN; GRANT EXECUTE ON PROCEDURE csp_train, csp_tune TO short'); }
sub drop_short { sql('DROP OWNED BY short; DROP ROLE short'); }
sql('GRANT SELECT ON places TO PUBLIC');
make_short();
sql('REVOKE EXECUTE ON PROCEDURE csp_train, csp_tune FROM short; GRANT EXECUTE ON PROCEDURE csp_train TO PUBLIC');

my $first = $server->start('first', $CspServer::endless);
$run = sql($of_short);
like($server->error_of('DROP ROLE short'), qr/ERROR:  2BP01: .*owner of materialized view csp\.owned_by_short/s, 'a role is not dropped while it has a queued run');
sql('REASSIGN OWNED BY short TO postgres');
is(sql("SELECT owner, state, message FROM csp.runs WHERE id = $run"), 'postgres|cancelled|what its owner owned was given to another role',
	'a queued run that is given to a superuser is not executed');
sql('DROP ROLE short');
sql("DELETE FROM csp.run WHERE id = $run");
make_short();
$run = sql($of_short);
drop_short();
is(sql("SELECT count(*) FROM csp.run WHERE id = $run"), '0', 'DROP OWNED drops a queued run');
sql("SELECT csp_cancel($first)");
$server->until_true($workers_are_gone);
is(of_short('run') . of_short('model_version'), '00', 'and nobody has got a model');

make_short();
$run = sql($endless_of_short);
$server->until_it_trains($run);
drop_short();
$server->until_true($workers_are_gone);
is(of_short('run') . $server->answer, '0' . $server->{answer}, 'DROP OWNED ends a run that goes on');
make_short();
$run = sql($endless_of_short);
$server->until_it_trains($run);
sql('REASSIGN OWNED BY short TO bob');
$server->until_true($workers_are_gone);
is(sql("SELECT owner, state, sqlstate FROM csp.runs WHERE id = $run"), 'bob|cancelled|57014', 'so does REASSIGN OWNED, which keeps it');
sql('DROP OWNED BY short; DROP ROLE short');
is(sql("SELECT count(*) FROM csp.run WHERE id = $run"), '1', 'what was given away is not dropped');

# A search.
make_short();
my $search = sql(qq{SET ROLE short; CALL csp_tune('of_short', 'places', 'geom', 'features', 'label', '{"learning_rate": [0.001, 0.002, 0.003]}', 3, '$CspServer::endless', wait => false)});
like($server->error_of('DROP ROLE short'), qr/owner of materialized view csp\.owned_by_short/, 'a search holds its role');
sql('REASSIGN OWNED BY short TO bob');
$server->until_true($workers_are_gone);
is(sql("SELECT owner, state FROM csp.searches WHERE id = $search"), 'bob|cancelled', 'it is given to another, and ends');
is(sql("SELECT string_agg(DISTINCT state::text, ',') FROM csp.trials WHERE search = $search"), 'cancelled', 'with its trials');
sql('DROP OWNED BY short; DROP ROLE short');

# Held where it publishes: the name is claimed, and the role with it.
make_short();
my $holder = $server->node->background_psql('postgres');
$holder->query_safe('BEGIN; LOCK TABLE csp.model_weights IN EXCLUSIVE MODE');
$run = sql($of_short);
$server->until_true("SELECT count(*) = 1 FROM pg_stat_activity a JOIN csp.run r ON r.pid = a.pid WHERE r.id = $run AND a.wait_event_type = 'Lock'");
my ($out, $err) = ('', '');
my $dropper = $server->start_psql(\$out, \$err, 'DROP OWNED BY short', 'DROP ROLE short');
$server->until_true("SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE 'DROP OWNED%' AND wait_event_type = 'Lock'");
$holder->quit;
$dropper->finish;
$server->until_true($workers_are_gone);
is(sql("SELECT count(*) FROM pg_roles WHERE rolname = 'short'") . of_short('model_version') . sql("SELECT count(*) FROM csp.run WHERE id = $run"), '000', 'a model that is being published is dropped with its owner')
	or diag($err);
sql('REVOKE EXECUTE ON PROCEDURE csp_train FROM PUBLIC');

# Other databases of the server.
make_short();
sql(q{CREATE DATABASE other; SET client_min_messages = warning});
$server->node->safe_psql('other', $CspServer::extension . 'GRANT EXECUTE ON FUNCTION csp_import TO short');
my $file = sql(q(SELECT encode(csp_export('good'), 'hex')));
$server->node->safe_psql('other', "SET ROLE short; SELECT csp_import('there', '\\x$file')");
sql("GRANT EXECUTE ON FUNCTION csp_import TO short; SET ROLE short; SELECT csp_import('here', '\\x$file')");
sql('REASSIGN OWNED BY short TO bob; DROP OWNED BY short');
like($server->error_of('DROP ROLE short'), qr/2 objects in database other/, 'models of another database hold a role too');
is($server->node->safe_psql('other', 'SELECT name, owner FROM csp.models'), 'there|short', 'and stay as they are');
$server->node->safe_psql('other', 'DROP OWNED BY short');
sql('DROP ROLE short');
is(sql("SELECT name, owner FROM csp.models WHERE name = 'here'"), 'here|bob', 'until it has nothing in any');

# ---- a dump, where roles are missing --------------------------------------------------------------------------------------

sub tool { my ($name, @arguments) = @_; return PostgreSQL::Test::Utils::run_command([ $name, @arguments ]); }
make_short();
sql("GRANT EXECUTE ON FUNCTION csp_import TO short; SET ROLE short; SELECT csp_import('of_short', '\\x$file'); SELECT csp_grant('of_short', 'bob')");
sql("SELECT csp_grant('here', 'short'), csp_grant('here', 'public')");
$first = $server->start('first', $CspServer::endless);
$run = sql("SET ROLE short; " . $server->train('queued', $small, ', wait => false'));
my $dump = PostgreSQL::Test::Utils::tempdir() . '/dump';
tool('pg_dump', '-d', $server->node->connstr('postgres'), '-Fc', '-f', $dump);
sql("SELECT csp_cancel($first), csp_cancel($run)");
$server->until_true($workers_are_gone);
sql('CREATE DATABASE complete');
my ($restored, $errors) = tool('pg_restore', '-d', $server->node->connstr('complete'), $dump);
is($errors, '', 'a dump is restored');
my $owners = q(SELECT name, owner, granted_to FROM csp.models WHERE name IN ('of_short', 'here') ORDER BY name);
is($server->node->safe_psql('complete', $owners), "here|bob|{short,public}\nof_short|short|{bob}", 'with owners and grants');
like($server->error_of('DROP OWNED BY short; DROP ROLE short'), qr/objects in database complete/, 'which hold their roles');
$server->node->safe_psql('complete', 'REASSIGN OWNED BY short TO bob; DROP OWNED BY short');
is($server->node->safe_psql('complete', $owners), "here|bob|{public}\nof_short|bob|{bob}", 'and go with them');
sql('DROP ROLE short; CREATE DATABASE bare; CREATE ROLE eve LOGIN');
($restored, $errors) = tool('pg_restore', '-d', $server->node->connstr('bare'), $dump);
like($errors, qr/role "short" does not exist/, 'where a role is missing, the dump is restored');
is($server->node->safe_psql('bare', $owners), "here|bob|{-,public}\nof_short|-|{bob}", 'no role takes its place');
is($server->node->safe_psql('bare', "SET ROLE eve; $owners"), 'here|bob|{-,public}', 'and nobody else sees what was its');
$server->node->safe_psql('bare', q(SELECT csp_set_owner('of_short', 'eve'), csp_revoke('of_short', 'bob')));
is($server->node->safe_psql('bare', "SET ROLE eve; SELECT csp_embed(ST_SetSRID(ST_MakePoint(12.5, 41.9), 4326), 'of_short')"), $server->{answer}, 'until a superuser gives it to another');
my $state = q(SELECT state, sqlstate FROM csp.runs WHERE model = 'queued');
$server->node->poll_query_until('bare', "SELECT state <> 'queued' FROM csp.runs WHERE model = 'queued'") or die;
is($server->node->safe_psql('bare', $state), 'failed|28000', 'a queued run of a missing role is executed as nobody');
like(($server->node->psql('bare', "CALL csp_resume($run)"))[2], qr/the role that owns the training run does not exist/, 'nor resumed by a superuser');

# ---- an extension that is made where somebody else has been ---------------------------------------------------------------

# The schema holds functions and operators for combinations of types that PostgreSQL's take only with casts, or as any type.
my $traps = <<'TRAPS';
DO $$
DECLARE
    f record;
    t text;
    made int = 0;
BEGIN
    -- what takes any type, for types: an exact match comes before it, wherever it stands in the path
    FOR f IN SELECT p.proname, p.pronargs, p.prokind, p.provariadic, pg_get_function_result(p.oid) AS result,
                    ARRAY(SELECT a::regtype::text FROM unnest(p.proargtypes) WITH ORDINALITY u (a, i) ORDER BY i) AS arguments
             FROM pg_proc p WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind IN ('f', 'a', 'w')
               AND EXISTS (SELECT FROM unnest(p.proargtypes) a WHERE a::regtype::text ~ '^any' OR a = '"any"'::regtype) LOOP
        FOREACH t IN ARRAY ARRAY['text', 'int', 'bigint', 'float8', 'jsonb', 'oid', 'name', 'timestamptz', 'numeric', 'boolean', 'regclass', 'real'] LOOP
            FOR n IN 1 .. CASE WHEN f.provariadic <> 0 THEN 8 ELSE 1 END LOOP
                BEGIN
                    EXECUTE format('CREATE FUNCTION trap.%I(%s) RETURNS %s LANGUAGE plpgsql AS ''BEGIN RAISE EXCEPTION $m$something hostile was called$m$; END''', f.proname,
                        (SELECT string_agg(CASE WHEN a ~ 'array' AND NOT (f.provariadic <> 0 AND i = f.pronargs) THEN t || '[]' WHEN a ~ 'any' THEN t ELSE a END, ',' ORDER BY i)
                         FROM unnest(f.arguments || array_fill(f.arguments[f.pronargs], ARRAY[n - 1])) WITH ORDINALITY u (a, i)),
                        regexp_replace(regexp_replace(f.result, '"?any\w*array"?', t || '[]'), '"?any\w*"?', t));
                    made = made + 1;
                EXCEPTION WHEN OTHERS THEN NULL;
                END;
            END LOOP;
        END LOOP;
    END LOOP;
    -- what takes a type, for those that are cast to it
    FOR f IN SELECT p.proname, p.arguments, p.result, i AS changed, c.castsource::regtype::text AS t
             FROM (SELECT p.proname, pg_get_function_result(p.oid) AS result, ARRAY(SELECT a FROM unnest(p.proargtypes) WITH ORDINALITY u (a, i) ORDER BY i) AS arguments
                   FROM pg_proc p WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind IN ('f', 'a', 'w') AND p.provariadic = 0
                     AND p.pronargs BETWEEN 1 AND 3) p,
                  LATERAL generate_subscripts(p.arguments, 1) i,
                  LATERAL (SELECT c.castsource FROM pg_cast c WHERE c.casttarget = p.arguments[i] AND c.castcontext = 'i'
                           AND c.castsource = ANY ('{int2,int4,int8,float4,float8,numeric,name,varchar,text,regclass,oid,timestamp,date,timestamptz}'::regtype[])) c LOOP
        BEGIN
            EXECUTE format('CREATE FUNCTION trap.%I(%s) RETURNS %s LANGUAGE plpgsql AS ''BEGIN RAISE EXCEPTION $m$something hostile was called$m$; END''', f.proname,
                (SELECT string_agg(CASE WHEN i = f.changed THEN f.t ELSE a::regtype::text END, ',' ORDER BY i) FROM unnest(f.arguments) WITH ORDINALITY u (a, i)), f.result);
            made = made + 1;
        EXCEPTION WHEN OTHERS THEN NULL;
        END;
    END LOOP;
    FOR f IN SELECT o.oprname, l::regtype::text AS l, r::regtype::text AS r,
                    CASE WHEN o.oprname = ANY ('{=,<>,<,>,<=,>=,~,!~,~~,@>}') THEN 'boolean' WHEN o.oprname = ANY ('{||,->>,#>>}') THEN 'text' ELSE min(o.oprresult::regtype::text) END AS result
             FROM pg_operator o,
                  unnest('{int2,int4,int8,float4,float8,numeric,name,text,regclass,oid,timestamp,timestamptz,interval,jsonb,text[],int4[],int8[],boolean,regtype}'::regtype[]) l,
                  unnest('{int2,int4,int8,float4,float8,numeric,name,text,regclass,oid,timestamp,timestamptz,interval,jsonb,text[],int4[],int8[],boolean,regtype}'::regtype[]) r
             WHERE o.oprname = ANY ('{=,<>,<,>,<=,>=,~,!~,~~,||,->,->>,#>,#>>,-,+,*,/,@>}') AND o.oprresult::regtype::text !~ 'any' GROUP BY o.oprname, l, r LOOP
        BEGIN
            EXECUTE format('CREATE FUNCTION trap.trap_%s(%s, %s) RETURNS %s LANGUAGE plpgsql AS ''BEGIN RAISE EXCEPTION $m$something hostile was called$m$; END''', f.result, f.l, f.r, f.result);
        EXCEPTION WHEN OTHERS THEN NULL;
        END;
        BEGIN
            EXECUTE format('CREATE OPERATOR trap.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = trap.trap_%s)', f.oprname, f.l, f.r, f.result);
            made = made + 1;
        EXCEPTION WHEN OTHERS THEN NULL;
        END;
    END LOOP;
    IF made < 10000 THEN RAISE EXCEPTION 'only % traps', made; END IF;
END $$;
TRAPS
sql('CREATE DATABASE trapped; CREATE ROLE trapper');
$server->node->safe_psql('trapped', 'SET client_min_messages = warning; CREATE EXTENSION postgis; CREATE SCHEMA trap AUTHORIZATION trapper; SET ROLE trapper;' . $traps);
$server->node->safe_psql('trapped', 'SET client_min_messages = warning; CREATE EXTENSION csp_ext SCHEMA trap');
is($server->node->safe_psql('trapped', q{
	SELECT DISTINCT pg_describe_object(d.classid, d.objid, 0), pg_describe_object(d.refclassid, d.refobjid, 0) FROM pg_depend d
	WHERE d.classid <> 'pg_operator'::regclass
	  AND (d.refclassid = 'pg_proc'::regclass AND d.refobjid IN (SELECT oid FROM pg_proc WHERE proowner = 'trapper'::regrole)
	    OR d.refclassid = 'pg_operator'::regclass AND d.refobjid IN (SELECT oid FROM pg_operator WHERE oprowner = 'trapper'::regrole))}),
	'', 'what csp_ext stores calls nothing of others');

$server->node->stop;
done_testing();

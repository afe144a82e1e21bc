# csp_embed_table on real servers: progress that others see, cancel, terminate and kill -9 in the middle and going on
# afterwards, parallel workers and none, other sessions that write the same rows, a deploy in the middle, a standby.
#
# What happens "in the middle" is made to: a session holds the lock of a row, and the job waits for it.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use CspServer;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('primary');
$node->init(allows_streaming => 1);
$node->append_conf('postgresql.conf', "restart_after_crash = on\nlog_min_messages = warning\nautovacuum = off\nmax_worker_processes = 12\n");
$node->start;

sub sql { my ($sql) = @_; return $node->safe_psql('postgres', $sql); }
sub wait_until { my ($condition) = @_; $node->poll_query_until('postgres', "SELECT $condition") or die "never true: $condition"; return; }

sql(q{
	SET client_min_messages = warning;
	CREATE EXTENSION csp_ext CASCADE;
	CREATE TABLE places AS
	SELECT id, ST_SetSRID(ST_MakePoint(lon, lat), 4326) AS geom, CASE WHEN lat > 0 THEN 'north' ELSE 'south' END AS label
	FROM (SELECT row_number() OVER () AS id, lon::float8, lat::float8
	      FROM generate_series(-170, 170, 20) lon, generate_series(-76, 76, 8) lat) AS grid;
	CALL csp_train('m', 'places', 'geom', label => 'label', options => '{"epochs": 1, "hidden_dim": 32, "embedding_dim": 8, "frequencies": 8}');
});

# A table of 6000 rows, half of its blocks before row 3000.
sub fresh_table {
	my ($name) = @_;
	sql(qq{
		DROP TABLE IF EXISTS $name CASCADE;
		CREATE TABLE $name (id int PRIMARY KEY, geom geometry, note text, embedding real[], embedding_version bigint);
		INSERT INTO $name SELECT n, ST_SetSRID(ST_MakePoint(n % 360 - 180, n % 180 - 90), 4326) FROM generate_series(1, 6000) n;
		VACUUM ANALYZE $name});
	return;
}

# Holds the lock of a row; the caller says how it lets go.
sub hold_row {
	my ($table, $id, $change) = @_;
	my $session = $node->background_psql('postgres');
	$session->query_safe('BEGIN; UPDATE ' . $table . ' SET ' . ($change // "note = 'held'") . " WHERE id = $id;");
	return $session;
}

# Starts a call in a session of its own, which goes on meanwhile.
sub start_call {
	my ($arguments, $before) = @_;
	my $session = $node->background_psql('postgres', on_error_stop => 0);
	$session->query_until(qr/started/, ($before // '') . "\\echo started\nCALL csp_embed_table($arguments);\n\\echo ended\n");
	return $session;
}
sub wait_until_held { wait_until("EXISTS (SELECT FROM pg_stat_activity a, csp.bulk_runs r WHERE a.pid = r.pid AND a.wait_event_type = 'Lock' AND r.state = 'running')"); return; }
sub wait_for_call { my ($session) = @_; $session->query_until(qr/ended/, ''); return; }
sub last_run { my ($columns) = @_; return sql("SELECT $columns FROM csp.bulk_runs ORDER BY id DESC LIMIT 1"); }
sub done { my ($table) = @_; return sql("SELECT count(embedding) FROM $table"); }
my $bulk_workers = "(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'csp_ext bulk worker')";
my $wrong = 'count(*) FILTER (WHERE embedding IS DISTINCT FROM csp_embed(geom, \'m\'))';

# ---- progress, a second call, cancel, going on --------------------------------------------

fresh_table('t');
my $holder = hold_row('t', 3000);
my $call = start_call("'t', model => 'm', batch_rows => 500, workers => 0");
wait_until_held();
my $committed = done('t');
cmp_ok($committed, '>', 0, 'pieces are committed while the job goes on');
cmp_ok($committed, '<', 6000, 'which has not ended');
is(last_run("state, phase, rows_done = $committed, pieces_done BETWEEN 1 AND pieces - 1, model, source"), 'running|embedding|t|t|m|public.t', 'other sessions see how far it is');
my ($rc, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\nCALL csp_embed_table('t', model => 'm')");
like($err, qr/ERROR:  55006: another csp_embed_table is filling public\.t/, 'a second call on the table is refused');
is($node->psql('postgres', "CALL csp_embed_table('places', model => 'm')"), 0, 'one on another table is not');
sql("SELECT pg_cancel_backend(pid) FROM csp.bulk_runs WHERE source = 'public.t'");
wait_for_call($call);
is(sql("SELECT state, sqlstate, rows_done FROM csp.bulk_runs WHERE source = 'public.t'"), "cancelled|57014|$committed", 'a cancelled job says so');
is(done('t'), $committed, 'what was committed stays');
$holder->query_safe('COMMIT;');
$holder->quit;
$call->quit;
is(sql("CALL csp_embed_table('t', model => 'm')"), 6000 - $committed, 'the next call does the others');
is(sql("SELECT $wrong, count(note) FROM t"), '0|1', 'all are right');

# ---- terminate, kill -9 -------------------------------------------------------------------

# Workers wait for advisory lock 1, and the session for a worker that waits, or for the lock too.
sub hold_up {
	my ($table) = @_;
	sql(qq{
		CREATE OR REPLACE FUNCTION hold_up() RETURNS trigger LANGUAGE plpgsql AS \$\$
		BEGIN
			IF current_setting('my.hold', true) = 'all'
			   OR (SELECT backend_type = 'csp_ext bulk worker' FROM pg_stat_activity WHERE pid = pg_backend_pid()) THEN
				PERFORM pg_advisory_xact_lock_shared(1);
			ELSE
				WHILE NOT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted) LOOP
					PERFORM pg_sleep(0.01);
				END LOOP;
			END IF;
			RETURN NEW;
		END \$\$;
		CREATE TRIGGER hold_up BEFORE UPDATE ON $table FOR EACH ROW WHEN (NEW.id % 50 = 0) EXECUTE FUNCTION hold_up()});
	return;
}
sub hold_workers { my $session = $node->background_psql('postgres'); $session->query_safe('SELECT pg_advisory_lock(1);'); return $session; }
my $a_worker_waits = "EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'csp_ext bulk worker' AND wait_event_type = 'Lock')";

fresh_table('t');
hold_up('t');
$holder = hold_workers();
$call = start_call("'t', model => 'm', batch_rows => 200, workers => 2");
wait_until($a_worker_waits);
wait_until("(SELECT count(embedding) > 0 FROM t)");
is(sql("SELECT rolname FROM pg_stat_activity a JOIN pg_roles r ON r.oid = a.usesysid WHERE backend_type = 'csp_ext bulk worker' LIMIT 1"), sql('SELECT session_user'),
	"workers connect as the session's user");
sql("SELECT pg_terminate_backend(pid) FROM csp.bulk_runs WHERE source = 'public.t' AND state = 'running'");
wait_until("$bulk_workers = 0");
is(last_run('state'), 'crashed', 'the run of a terminated session has crashed, and its workers are gone');
eval { $call->quit };

fresh_table('t');
hold_up('t');
$call = start_call("'t', model => 'm', batch_rows => 200, workers => 2");
wait_until($a_worker_waits);
sql("SELECT pg_cancel_backend(pid) FROM csp.bulk_runs WHERE source = 'public.t' AND state = 'running'");
wait_for_call($call);
is(sql("SELECT $bulk_workers"), '0', 'a cancelled session takes its workers with it');
is(last_run('state'), 'cancelled', 'and is recorded as cancelled');
$call->quit;

fresh_table('t');
hold_up('t');
$call = start_call("'t', model => 'm', batch_rows => 200, workers => 2", "SET my.hold = 'all';\n");
wait_until($a_worker_waits);
sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'csp_ext bulk worker'");
wait_for_call($call);
like(last_run('state, sqlstate, message'), qr/^failed\|57P01\|terminating worker of csp_embed_table due to administrator command$/, 'a terminated worker ends the job, though the session is in the middle of a piece');
is(sql("SELECT $bulk_workers"), '0', 'and the other worker');
$call->quit;
$holder->quit;

fresh_table('t');
$holder = hold_row('t', 3000);
$call = start_call("'t', model => 'm', batch_rows => 500, workers => 0");
wait_until_held();
$committed = done('t');
my $pid = last_run('pid');
kill 'KILL', $pid;
eval { $holder->quit };
eval { $call->quit };
CspServer::poll_until_true($node, 'SELECT NOT pg_is_in_recovery()');
is(last_run('state'), 'crashed', 'a killed session leaves a run that has crashed');
is(done('t'), $committed, 'and what it had committed');
is(sql("CALL csp_embed_table('t', model => 'm')"), 6000 - $committed, 'the next call goes on');
is(sql("SELECT $wrong FROM t"), '0', 'all are right');

# ---- parallel workers ---------------------------------------------------------------------

# Every process that writes signs its rows, and waits with the first until all who are to come have come.
sql(q{
	CREATE TABLE big (id int PRIMARY KEY, geom geometry, embedding real[], embedding_version bigint, by int);
	INSERT INTO big SELECT n, ST_SetSRID(ST_MakePoint(n % 360 - 180, n % 180 - 90), 4326) FROM generate_series(1, 60000) n;
	VACUUM ANALYZE big;
	CREATE SEQUENCE arrived;
	GRANT ALL ON SEQUENCE arrived TO PUBLIC;
	CREATE FUNCTION sign() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		NEW.by := pg_backend_pid();
		IF current_setting('my.pid', true) IS DISTINCT FROM pg_backend_pid()::text THEN
			PERFORM set_config('my.pid', pg_backend_pid()::text, false), nextval('arrived');
			WHILE (SELECT last_value < current_setting('my.processes')::int + 1 FROM arrived) LOOP
				PERFORM pg_sleep(0.01);
			END LOOP;
		END IF;
		RETURN NEW;
	END $$;
	CREATE TRIGGER sign BEFORE UPDATE ON big FOR EACH ROW WHEN (NEW.id % 100 = 0) EXECUTE FUNCTION sign();
});
sub processes { my ($number) = @_; return "SELECT FROM setval('arrived', 1); SET my.processes = $number; "; }
sub forget { my ($where) = @_; sql("ALTER TABLE big DISABLE TRIGGER sign; UPDATE big SET by = NULL, embedding = NULL WHERE $where; VACUUM big; ALTER TABLE big ENABLE TRIGGER sign"); return; }
is(sql(processes(3) . "CALL csp_embed_table('big', model => 'm')"), '60000', 'a larger table');
is(last_run('workers'), '2', 'has two workers by itself, as max_parallel_maintenance_workers allows');
is(sql("SELECT count(DISTINCT by), $wrong FROM big"), '3|0', 'three processes wrote it');
forget('id <= 30000');
is(sql(processes(1) . "SET max_parallel_maintenance_workers = 0; CALL csp_embed_table('big', model => 'm')"), '30000', 'or none');
is(sql("SELECT count(DISTINCT by), $wrong FROM big WHERE id <= 30000"), '1|0', 'then one process does');
forget('true');
is(sql(processes(2) . "SET max_parallel_workers = 1; CALL csp_embed_table('big', model => 'm', workers => 4)"), '60000', 'no more');
is(sql("SELECT count(DISTINCT by), $wrong FROM big"), '2|0', 'than max_parallel_workers');
# Into a table, by blocks and by key.
sql("CREATE VIEW big_view AS SELECT id AS key, geom FROM big");
is(sql("CALL csp_embed_table('big', target => 'big_target', model => 'm', workers => 2)"), '60000', 'workers fill a table');
is(sql("CALL csp_embed_table('big_view', key => 'key', target => 'view_target', model => 'm', batch_rows => 1000, workers => 2)"), '60000', 'also from a view');
is(sql("SELECT workers > 0 FROM csp.bulk_runs WHERE target = 'public.view_target'"), 't', 'by ranges of its key');
is(sql("SELECT count(*), count(*) FILTER (WHERE e.embedding = b.embedding), count(*) FILTER (WHERE v.embedding = b.embedding) FROM big b JOIN big_target e USING (id) JOIN view_target v ON v.key = b.id"),
	'60000|60000|60000', 'both right');

# What a session has set holds in workers: its role, row-level security by a setting of its own, its search_path.
sql(q{
	CREATE ROLE analyst NOLOGIN;
	UPDATE csp.model SET owner = 'analyst';
	CREATE SCHEMA hidden;
	GRANT USAGE ON SCHEMA hidden TO analyst;
	CREATE FUNCTION hidden.own_most() RETURNS int LANGUAGE SQL STABLE AS $$ SELECT current_setting('my.most')::int $$;
	CREATE FUNCTION most() RETURNS int LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN own_most(); END $$;
	ALTER TABLE big ENABLE ROW LEVEL SECURITY;
	CREATE POLICY visible ON big USING (id <= most() AND current_user = 'analyst' AND session_user <> current_user);
	GRANT SELECT, UPDATE ON big TO analyst});
forget('true');
is(sql(processes(3) . "SET search_path = public, hidden; SET my.most = 50000; SET ROLE analyst; CALL csp_embed_table('big', model => 'm', workers => 2)"), '50000', 'workers see what the session sees');
is(sql("SELECT count(DISTINCT by), max(id) FILTER (WHERE embedding IS NOT NULL) FROM big"), '3|50000', 'all three');
sql("ALTER TABLE big DISABLE ROW LEVEL SECURITY; UPDATE csp.model SET owner = session_user::regrole");

# An error in whatever process is the session's.
forget('true');
sql("ALTER TABLE big ADD CONSTRAINT no_embedding CHECK (id <> 31000 OR embedding IS NULL)");
($rc, $out, $err) = $node->psql('postgres', processes(3) . "CALL csp_embed_table('big', model => 'm', batch_rows => 1000, workers => 2)");
like($err, qr/ERROR:  new row for relation "big" violates check constraint "no_embedding"/, 'an error ends the job, whoever met it');
is(sql("SELECT $bulk_workers"), '0', 'no worker is left');
sql("ALTER TABLE big DROP CONSTRAINT no_embedding");

# ---- other sessions write the same rows ---------------------------------------------------

fresh_table('t');
$holder = hold_row('t', 3000, q{note = 'moved', geom = 'SRID=4326;POINT(5 5)'});
$call = start_call("'t', model => 'm', batch_rows => 500, workers => 0");
wait_until_held();
# These rows, not yet embedded, go to the end of the table, behind all blocks that the job knows.
sql("UPDATE t SET note = 'moved' WHERE id BETWEEN 5000 AND 5100");
$holder->query_safe('COMMIT;');
wait_for_call($call);
is(sql("SELECT $wrong FROM t"), '0', 'rows that others changed meanwhile are embedded where they are now');
is(sql("SELECT count(*) FROM t WHERE note = 'moved' AND geom = CASE id WHEN 3000 THEN 'SRID=4326;POINT(5 5)'::geometry ELSE ST_SetSRID(ST_MakePoint(id % 360 - 180, id % 180 - 90), 4326) END"),
	'102', 'and nothing of theirs is lost');
is(last_run('phase, state, rows_done'), 'checking|succeeded|6000', 'the second look found them');
$_->quit for ($holder, $call);

# Into a table: a row that moves while its old place is being embedded is done by the second look.
fresh_table('t');
is(sql("CALL csp_embed_table('t', target => 'e', model => 'm')"), '6000', 'a target');
sql("UPDATE e SET embedding_version = 0");
$holder = hold_row('e', 3000, 'embedding_version = 0');
$call = start_call("'t', target => 'e', model => 'm', batch_rows => 500, workers => 0");
wait_until_held();
sql("UPDATE t SET geom = 'SRID=4326;POINT(6 6)' WHERE id = 3000");
$holder->query_safe('COMMIT;');
wait_for_call($call);
is(sql("SELECT count(*) FILTER (WHERE e.embedding IS DISTINCT FROM csp_embed(t.geom, 'm')) FROM t JOIN e USING (id)"), '0', 'a place that changes meanwhile is not missed');
$_->quit for ($holder, $call);

# A deadlock, whose victim the job is: it tries again.
fresh_table('t');
$holder = hold_row('t', 3001);
$call = start_call("'t', model => 'm', batch_rows => 500, workers => 0", "SET deadlock_timeout = '5s';\n");
wait_until_held();
$holder->query_safe("SET deadlock_timeout = '1h'; SELECT id FROM t WHERE id = 3000 FOR UPDATE; COMMIT;");
wait_for_call($call);
is(last_run('state, rows_done'), 'succeeded|6000', 'a deadlock does not end the job');
is(sql("SELECT deadlocks FROM pg_stat_database WHERE datname = 'postgres'") > 0 ? 'yes' : 'no', 'yes', 'there was one');
is(sql("SELECT $wrong FROM t"), '0', 'all are right');
$_->quit for ($holder, $call);

# A deploy in the middle: the job stays with the version that it began with; the next one follows.
fresh_table('t');
$holder = hold_row('t', 3000);
$call = start_call("'t', model => 'm', batch_rows => 500, workers => 0");
wait_until_held();
sql(q{CALL csp_train('m', 'places', 'geom', label => 'label', options => '{"seed": 2, "epochs": 1, "hidden_dim": 32, "embedding_dim": 8, "frequencies": 8}')});
$holder->query_safe('COMMIT;');
wait_for_call($call);
is(sql("SELECT count(*) FILTER (WHERE embedding IS DISTINCT FROM csp_embed(geom, 'm\@1')), count(DISTINCT embedding_version) FROM t"), '0|1', 'versions are not mixed');
is(sql("CALL csp_embed_table('t', model => 'm')"), '6000', 'the next call brings the new version');
is(sql("SELECT $wrong FROM t"), '0', 'to all');
$_->quit for ($holder, $call);

SKIP: {
	skip 'pgvector is not installed', 3 if sql("SELECT count(*) FROM pg_available_extensions WHERE name = 'vector'") eq '0';
	sql("CREATE EXTENSION vector; CREATE TABLE v (id int PRIMARY KEY, embedding vector(8)); CREATE INDEX ON v USING hnsw (embedding vector_cosine_ops)");
	is(sql("CALL csp_embed_table('t', target => 'v', model => 'm', workers => 2)"), '6000', 'a target of pgvector');
	is(sql("SELECT count(*) FROM v WHERE embedding = csp_embed(location, 'm')::vector"), '6000', 'has the same embeddings');
	sql("CREATE TRIGGER keep BEFORE INSERT ON v FOR EACH ROW EXECUTE FUNCTION csp_embed_trigger('location', 'embedding', 'm'); INSERT INTO v (id, location) VALUES (0, 'SRID=4326;POINT(1 2)')");
	is(sql("SELECT embedding = csp_embed(location, 'm')::vector FROM v WHERE id = 0"), 't', 'the trigger too');
}

# ---- a standby, no workers ----------------------------------------------------------------

$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
($rc, $out, $err) = $standby->psql('postgres', "\\set VERBOSITY verbose\nCALL csp_embed_table('t', model => 'm')");
like($err, qr/ERROR:  25006: cannot execute csp_embed_table during recovery/, 'a standby refuses');
$node->wait_for_catchup($standby);
is($standby->safe_psql('postgres', "SELECT $wrong FROM t"), '0', 'and has the embeddings of the primary');
$standby->stop;

$node->append_conf('postgresql.conf', "max_worker_processes = 0\n");
$node->restart;
forget('true');
is(sql(processes(1) . "CALL csp_embed_table('big', model => 'm', workers => 2)"), '60000', 'without a free worker the session works alone');
is(sql("SELECT count(DISTINCT by), $wrong FROM big"), '1|0', 'and does all');
is(last_run('workers, state'), '0|succeeded', 'as the run says');

$node->stop;
done_testing();

# Runs whose features are read from a temporary file: interrupted, resumed, cancelled, out of room; what is left behind; vacuum.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use CspServer;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $network = '"seed": 5, "hidden_dim": 32, "embedding_dim": 16, "frequencies": 8, "batch_size": 64';
my $long = qq({$network, "pretrain_epochs": 60, "epochs": 60, "weight_contrastive": 0.5, "checkpoint_seconds": 0.1});
my $endless = qq({$network, "pretrain_epochs": 1000000, "epochs": 0});

my $node = PostgreSQL::Test::Cluster->new('streaming');
$node->init;
$node->append_conf('postgresql.conf', "restart_after_crash = on\nlog_min_messages = warning\nlog_temp_files = 0\nmax_worker_processes = 16\nautovacuum = off\n");
$node->start;
$node->safe_psql('postgres', q{
	SET client_min_messages = warning;
	SET allow_in_place_tablespaces = on;
	CREATE EXTENSION csp_ext CASCADE;
	CREATE TABLE places AS
	SELECT i AS id, ST_SetSRID(ST_MakePoint(i * 7 % 360 - 180, i * 11 % 160 - 80), 4326) AS geom,
	       ARRAY(SELECT sin(i * k / 50.0)::real FROM generate_series(1, 1024) k) AS features,
	       CASE WHEN i * 11 % 160 > 80 THEN 'north' ELSE 'south' END AS label
	FROM generate_series(1, 1500) i;
	-- The first thousand rows go into the file at once; then it takes a minute to read the others.
	CREATE FUNCTION slowly(id int) RETURNS real[] LANGUAGE plpgsql AS 'BEGIN IF id > 1000 THEN PERFORM pg_sleep(0.1); END IF; RETURN ''{0}''; END';
	CREATE VIEW slow_places AS SELECT geom, features || features || slowly(id) AS features, label FROM places;
	CREATE TABLESPACE scratch LOCATION '';
});

sub sql { my ($query) = @_; return $node->safe_psql('postgres', $query); }
sub call { my ($model, $source, $options, $more) = @_; $more //= ''; return "CALL csp_train('$model', '$source', 'geom', 'features', 'label', '$options'$more)"; }
sub error_of { my ($query) = @_; my ($rc, $out, $err) = $node->psql('postgres', '\set VERBOSITY verbose' . "\n" . $query); return $err; }
sub until_true { my ($query) = @_; CspServer::poll_until_true($node, $query); }
sub model { my ($name) = @_; return sql("SELECT md5(csp_export('$name'))"); }
sub temporary_files { return sql("SELECT count(*) FROM pg_ls_tmpdir()") + sql("SELECT count(*) FROM pg_ls_tmpdir((SELECT oid FROM pg_tablespace WHERE spcname = 'scratch'))"); }
sub last_run { return sql('SELECT max(id) FROM csp.run'); }

# ---- the same model, however it comes about ---------------------------------------------------------------------------

sql(call('whole', 'places', $long));
my $whole = model('whole');
is(sql('SELECT streamed_bytes FROM csp.runs WHERE id = ' . last_run()), '0', 'with room enough features stay in memory');
# In kB: the run but for half of its features.
my $limit = sql('SELECT memory_estimate / 1024 - 3000 FROM csp.runs WHERE id = ' . last_run());
my $tight = "SET csp.training_memory = $limit;";
my $streamed = 1500 * 1024 * 4;

sub start { my ($model, $source, $options, $settings) = @_; return sql($tight . ($settings // '') . call($model, $source, $options, ', wait => false')); }

my $run = start('killed', 'places', $long);
until_true("SELECT phase = 'pretraining' AND epoch > 3 AND checkpoint IS NOT NULL FROM csp.run WHERE id = $run");
is(sql("SELECT streamed_bytes, memory_estimate <= $limit * 1024::bigint, memory_peak >= memory FROM csp.progress WHERE id = $run"),
	"$streamed|t|t", 'a run without room streams, and tells');
is(temporary_files(), 0, 'its file has no name any more once it has been written');
kill 'KILL', sql("SELECT pid FROM csp.run WHERE id = $run");
sleep 0.5;
until_true('SELECT true');
is(sql("SELECT state FROM csp.runs WHERE id = $run"), 'crashed', 'kill -9: the run has crashed');
sql("UPDATE csp.run_metric SET seconds = -1 WHERE run = $run AND stage = 'pretraining' AND epoch = 1");
sql("CALL csp_resume($run)");
is(sql("SELECT seconds FROM csp.metrics WHERE run = $run AND stage = 'pretraining' AND epoch = 1"), '-1', 'resumed, it has not begun anew');
is(model('killed'), $whole, 'and gives the model of an uninterrupted run in memory, to the bit');
is(sql("SELECT streamed_bytes FROM csp.runs WHERE id = $run"), $streamed, 'from a file written anew');

# ---- while the file is written ------------------------------------------------------------------------------------------

$run = start('reading', 'slow_places', $long);
until_true('SELECT count(*) > 0 FROM pg_ls_tmpdir() WHERE size > 0');
kill 'KILL', sql("SELECT pid FROM csp.run WHERE id = $run");
sleep 0.5;
until_true('SELECT true');
is(sql("SELECT state FROM csp.runs WHERE id = $run"), 'crashed', 'kill -9 while it is written: the run has crashed');
is(temporary_files(), 0, 'the file is gone');

$run = start('reading', 'slow_places', $long, 'SET temp_tablespaces = scratch;');
until_true("SELECT count(*) > 0 FROM pg_ls_tmpdir((SELECT oid FROM pg_tablespace WHERE spcname = 'scratch')) WHERE size > 0");
pass('temp_tablespaces of the session says where it lies');
ok(sql("SELECT csp_cancel($run)"), 'it can be cancelled');
is(sql("SELECT csp_wait($run)"), 'cancelled', 'and is');
until_true("SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type LIKE 'csp_ext%')");
is(temporary_files(), 0, 'the file is gone');

sql('ALTER ROLE CURRENT_USER SET temp_file_limit = 1000');
my $error = error_of($tight . call('limited', 'places', $long));
like($error, qr/ERROR:  53400: temporary file size exceeds temp_file_limit \(1000kB\)/, 'temp_file_limit holds');
is(sql('SELECT state, sqlstate, message FROM csp.runs WHERE id = ' . last_run()),
	'failed|53400|temporary file size exceeds temp_file_limit (1000kB)', 'the run tells');
is(temporary_files(), 0, 'the file is gone');
is(sql("SELECT count(*) FROM csp.models WHERE name = 'limited'"), '0', 'there is no model');
sql('ALTER ROLE CURRENT_USER RESET temp_file_limit');

# ---- while it is read ---------------------------------------------------------------------------------------------------

# Rows that are deleted during the run are removed: nothing of it holds back vacuum.
sql('CREATE TABLE deleted AS SELECT * FROM places; ALTER TABLE deleted ALTER features SET STORAGE MAIN');
my $size = sql("SELECT pg_total_relation_size('deleted')");
$run = start('endless', 'deleted', $endless);
until_true("SELECT phase = 'pretraining' AND epoch > 1 AND streamed_bytes = $streamed FROM csp.run WHERE id = $run");
until_true("SELECT backend_xmin IS NULL AND backend_xid IS NULL AND xact_start IS NULL FROM pg_stat_activity WHERE pid = (SELECT pid FROM csp.run WHERE id = $run)");
pass('no transaction is open while it computes');
sql('DELETE FROM deleted');
my ($rc, $out, $vacuum) = $node->psql('postgres', 'VACUUM (VERBOSE) deleted');
like($vacuum, qr/tuples: 1500 removed, 0 remain, 0 are dead but not yet removable/, 'VACUUM removes all rows of the source');
cmp_ok(sql("SELECT pg_total_relation_size('deleted')"), '<', $size / 20, 'and gives their room back');
my $epoch = sql("SELECT epoch FROM csp.run WHERE id = $run");
until_true("SELECT epoch > $epoch + 1 FROM csp.run WHERE id = $run");
pass('while the run goes on with them');
is(sql("SELECT state FROM csp.runs WHERE id = $run"), 'running', 'it does');
sql("SELECT csp_cancel($run)");
is(sql("SELECT csp_wait($run)"), 'cancelled', 'until it is cancelled');

# A shutdown.
$run = start('stopped', 'places', $endless);
until_true("SELECT phase = 'pretraining' AND epoch > 1 FROM csp.run WHERE id = $run");
$node->restart;
is(sql("SELECT state FROM csp.runs WHERE id = $run"), 'cancelled', 'a fast restart cancels a run that streams');
is(temporary_files(), 0, 'no file is left');

$node->stop;
done_testing();

# The life of a training worker on real servers: success, cancel, kill -9, restarts, no free slot; a deploy that another
# session and a standby follow.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use CspServer;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $small = q('{"pretrain_epochs": 1, "epochs": 1, "hidden_dim": 32, "embedding_dim": 16, "frequencies": 8}');
my $endless = q('{"pretrain_epochs": 1000000, "hidden_dim": 32, "embedding_dim": 16, "frequencies": 8}');
my $workers = q(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'csp_ext training worker');
my $place = q(ST_SetSRID(ST_MakePoint(12.5, 41.9), 4326));

sub train { my ($options, $more) = @_; $more //= ''; return "CALL csp_train('m', 'places', 'geom', 'features', 'label', $options$more)"; }

sub start_endless_run {
	my ($node) = @_;
	my $run = $node->safe_psql('postgres', train($endless, ', wait => false'));
	$node->poll_query_until('postgres', "SELECT phase = 'pretraining' FROM csp.run WHERE id = $run") or die "run $run does not train";
	return $run;
}

sub state_of { my ($node, $run) = @_; return $node->safe_psql('postgres', "SELECT state FROM csp.runs WHERE id = $run"); }

my $node = PostgreSQL::Test::Cluster->new('primary');
$node->init(allows_streaming => 1);
$node->append_conf('postgresql.conf', "restart_after_crash = on\nlog_min_messages = warning\n");
$node->start;
$node->safe_psql('postgres', $CspServer::extension . $CspServer::places);

# Success, with progress.
my ($rc, $out, $err) = $node->psql('postgres', train($small));
is($rc, 0, 'a run succeeds');
like($err, qr/NOTICE:  model "m" version 1 is deployed: 360 rows in/, 'and says so');
is($node->safe_psql('postgres', $workers), '0', 'its worker is gone');
my $first = $node->safe_psql('postgres', "SELECT csp_embed($place, 'm')");

# wait => false, csp_cancel, csp_wait.
my $run = start_endless_run($node);
is($node->safe_psql('postgres', "SELECT csp_wait($run, '0.2 s')"), 'running', 'csp_wait gives up after its timeout');
is($node->safe_psql('postgres', "SELECT csp_cancel($run)"), 't', 'csp_cancel reaches the worker');
is($node->safe_psql('postgres', "SELECT csp_wait($run, '20 s')"), 'cancelled', 'the run ends as cancelled');
is($node->safe_psql('postgres', "SELECT csp_cancel($run)"), 'f', 'there is nothing left to cancel');

# A transaction held open by the worker would hold back vacuum.
$run = start_endless_run($node);
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'csp_ext training worker' AND backend_xmin IS NOT NULL AND xact_start < now() - interval '2 s'"),
	'0', 'the worker computes outside a transaction');
$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM csp.run WHERE id = $run");
is($node->safe_psql('postgres', "SELECT csp_wait($run, '20 s')"), 'cancelled', 'a terminated worker records that');

# The caller is interrupted: the run ends with it.
my $started = time();
($rc, $out, $err) = $node->psql('postgres', "SET statement_timeout = '1500ms'; " . train($endless));
isnt($rc, 0, 'an interrupted caller gets an error');
like($err, qr/canceling statement due to statement timeout/, 'the server\'s own');
cmp_ok(time() - $started, '<', 30, 'soon');
is($node->safe_psql('postgres', 'SELECT state FROM csp.runs ORDER BY id DESC LIMIT 1'), 'cancelled', 'the run ended as cancelled');
is($node->safe_psql('postgres', $workers), '0', 'no worker is left');
is($node->safe_psql('postgres', "SELECT count(*) FROM csp.models"), '1', 'no version is left');

# Two sessions and a deploy.
my $session = $node->background_psql('postgres');
my $embed = "SELECT csp_embed($place, 'm');";
is($session->query_safe($embed), $first, 'a session uses version 1');
$session->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1;');
$node->safe_psql('postgres', train(q('{"seed": 2, "pretrain_epochs": 1, "epochs": 1, "embedding_dim": 16}')));
is($session->query_safe($embed), $first, 'a repeatable-read transaction goes on with it');
$session->query_safe('COMMIT');
my $second = $node->safe_psql('postgres', "SELECT csp_embed($place, 'm')");
isnt($second, $first, 'version 2 differs');
is($session->query_safe($embed), $second, 'after it the session follows the deploy');
$session->quit;

# A standby answers, follows and refuses.
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
my $reader = $standby->background_psql('postgres');
is($reader->query_safe($embed), $second, 'a standby gives the same embedding');
$node->safe_psql('postgres', train(q('{"seed": 3, "pretrain_epochs": 1, "epochs": 1, "embedding_dim": 16}')));
$node->wait_for_catchup($standby);
my $third = $node->safe_psql('postgres', "SELECT csp_embed($place, 'm')");
is($reader->query_safe($embed), $third, 'its sessions follow a deploy');
$reader->quit;
($rc, $out, $err) = $standby->psql('postgres', '\set VERBOSITY verbose' . "\n" . train($small));
like($err, qr/ERROR:  25006: cannot execute csp_train during recovery/, 'it refuses training');
is($standby->safe_psql('postgres', "SELECT count(*) FROM csp.runs WHERE state = 'crashed'"), '0', 'and calls no run crashed');
$standby->stop;

# kill -9: the server restarts, the run has crashed, the model answers.
$run = start_endless_run($node);
my $pid = $node->safe_psql('postgres', "SELECT pid FROM csp.run WHERE id = $run");
kill 'KILL', $pid;
sleep 0.5;
CspServer::poll_until_true($node, 'SELECT true');
is(state_of($node, $run), 'crashed', 'a killed worker leaves a run that has crashed');
is($node->safe_psql('postgres', "SELECT csp_wait($run)"), 'crashed', 'csp_wait says so too');
is($node->safe_psql('postgres', "SELECT csp_embed($place, 'm')"), $third, 'the model is as it was');
is($node->psql('postgres', train($small)), 0, 'training works again');

# Restarts of the server during training.
$run = start_endless_run($node);
$started = time();
$node->restart;
cmp_ok(time() - $started, '<', 30, 'a fast restart does not wait for the run');
is(state_of($node, $run), 'cancelled', 'which ends as cancelled');
$run = start_endless_run($node);
$node->stop('immediate');
$node->start;
is(state_of($node, $run), 'crashed', 'an immediate shutdown leaves a run that has crashed');

# No free worker: nothing has happened.
$node->append_conf('postgresql.conf', "max_worker_processes = 0\n");
$node->restart;
my $runs = $node->safe_psql('postgres', 'SELECT count(*) FROM csp.runs');
($rc, $out, $err) = $node->psql('postgres', '\set VERBOSITY verbose' . "\n" . train($small));
like($err, qr/ERROR:  53400: no background worker is free for training/, 'no free worker is an error');
like($err, qr/HINT:  .*max_worker_processes/, 'that names the remedy');
is($node->safe_psql('postgres', 'SELECT count(*) FROM csp.runs'), $runs, 'and leaves no run behind');
$node->append_conf('postgresql.conf', "max_worker_processes = 8\n");
$node->restart;

# Dump and restore: the same bits, numbers that go on.
my $embedding = $node->safe_psql('postgres', "SELECT csp_embed($place, 'm')");
$node->safe_psql('postgres', 'CREATE DATABASE restored');
my $dump = $node->basedir . '/dump.sql';
$node->command_ok([ 'pg_dump', '-f', $dump, '-d', $node->connstr('postgres') ], 'pg_dump');
$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', $dump, '-d', $node->connstr('restored') ], 'restore');
is($node->safe_psql('restored', "SELECT csp_embed($place, 'm')"), $embedding, 'the restored model gives the same bits');
$node->psql('restored', train($small));
is($node->safe_psql('restored', "SELECT max(version) = (SELECT max(version) FROM csp.models WHERE NOT deployed) + 1 FROM csp.models WHERE deployed"), 't',
	'a new version in the restored database');

$node->stop;
done_testing();

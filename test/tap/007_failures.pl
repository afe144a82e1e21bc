# Failures, each injected on a real server. After each the server is up, no process is left, the run's state is true and the
# last good model answers.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use CspServer;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my ($small, $endless) = ($CspServer::small, $CspServer::endless);
my $libraries = $ENV{CSP_TEST_LIBRARIES} // "$ENV{TESTDIR}/build";
plan skip_all => 'make unit-tests has not built the faults' unless -e "$libraries/faults.so";

my $faults = PostgreSQL::Test::Utils::tempdir();
sub fault { my ($name, $text) = @_; PostgreSQL::Test::Utils::append_to_file("$faults/$name", $text // ''); }
sub no_fault { unlink "$faults/$_[0]"; }

local $ENV{CSP_FAULTS} = $faults;
my $server;
{
	local $ENV{LD_PRELOAD} = "$libraries/faults.so";
	$server = CspServer->new('failures', "csp.training_memory = '16GB'");
}
my $node = $server->node;
sub sql { return $server->sql(@_); }

# ---- a signal in each phase -------------------------------------------------------------------------------------------

# Whoever reads the view waits for the gate in the middle of it.
sql(q{
	CREATE FUNCTION gate() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN true; END $$;
	CREATE VIEW gated AS SELECT * FROM places WHERE id < 200 OR gate();
});
my %hold = (
	reading => 'SELECT pg_advisory_lock(1)',
	loading => 'BEGIN; LOCK TABLE csp.run_checkpoint IN ACCESS EXCLUSIVE MODE',
	publishing => 'BEGIN; LOCK TABLE csp.model IN EXCLUSIVE MODE');
my $supervised = $small =~ s/"epochs": 1/"epochs": 1000000/r;
my %options = (pretraining => $endless, supervised => $supervised);

# A run that stays in the phase, and the session that holds it there.
sub run_in {
	my ($phase) = @_;
	my $holder = $hold{$phase} ? $node->background_psql('postgres', on_error_stop => 0) : undef;
	$holder->query_safe($hold{$phase}) if $holder;
	my $run = $server->start('held', $options{$phase} // $small, 'gated');
	if ($holder) {
		$server->until_true("SELECT count(*) = 1 FROM pg_stat_activity a JOIN csp.run r ON r.pid = a.pid WHERE r.id = $run AND a.wait_event_type = 'Lock'");
	} else {
		$server->until_true("SELECT phase = '$phase' AND epoch IS NOT NULL FROM csp.run WHERE id = $run");
	}
	return ($run, $holder);
}

my %state = (TERM => 'cancelled|57P01', INT => 'cancelled|57014', KILL => 'crashed|', QUIT => 'crashed|');
for my $phase ('reading', 'loading', 'pretraining', 'supervised', 'publishing') {
	for my $signal ('TERM', 'INT', 'KILL', 'QUIT') {
		my ($run, $holder) = run_in($phase);
		kill $signal, $server->pid_of($run);
		$server->until_it_is_up if $state{$signal} eq 'crashed|';
		eval { $holder->quit } if $holder;
		$server->is_well("SIG$signal while $phase", $run, $state{$signal});
	}
}
is(sql("SELECT count(*) FROM csp.model WHERE name = 'held'"), '0', 'none of them has made a model');

# ---- the training library throws ----------------------------------------------------------------------------------------

my %sqlstate = (error => 'XX000', bad_alloc => '53200', runtime_error => 'XX000', int => 'XX000');
my $checkpoints = $small =~ s/\{/{"checkpoint_seconds": 0.001, /r;
sub throws {
	my ($call, $what, $options) = @_;
	fault('throw', "$call $what");
	my $run = $server->start('thrown', $options // $small);
	$server->is_well("$call throws $what", $run, "failed|$sqlstate{$what}");
	no_fault('throw');
	return $run;
}
fault('training_library', "$libraries/faulty_training.so");
my $run = $server->start('thrown', $small);
$server->is_well('a library that throws nothing', $run, 'succeeded|');
for my $call ('make_trainer', 'advance') {
	$run = throws($call, $_) for 'error', 'bad_alloc', 'runtime_error', 'int';
	is(sql("SELECT message FROM csp.runs WHERE id = $run"), 'unknown C++ exception', 'an exception that tells nothing');
}
$run = throws('finish', 'runtime_error');
is(sql("SELECT message FROM csp.runs WHERE id = $run"), 'thrown as std::runtime_error', 'one that tells something');
throws('device', 'int');
throws('torch_version', 'bad_alloc');
throws('blas_name', 'error');
throws('blas_warning', 'runtime_error');
throws('checkpoint', 'error', $checkpoints);

# A checkpoint for which there is no memory: the run goes on; a cancelled one is cancelled all the same.
fault('throw', 'checkpoint bad_alloc');
$run = $server->start('thrown', $checkpoints);
$server->is_well('no memory for checkpoints', $run, 'succeeded|');
$run = $server->start('thrown', $endless);
$server->until_it_trains($run);
sql("SELECT csp_cancel($run)");
$server->is_well('no memory for the last checkpoint', $run, 'cancelled|57014');
no_fault('throw');

fault('throw', 'version');
$run = $server->start('thrown', $small);
$server->is_well('a library of another version', $run, 'failed|0A000');
no_fault('throw');
no_fault('training_library');
fault('training_library', "$libraries/none.so");
$run = $server->start('thrown', $small);
$server->is_well('a library that is not there', $run, 'failed|0A000');
no_fault('training_library');

# ---- the disk is full ---------------------------------------------------------------------------------------------------

my $large = q({"pretrain_epochs": 1000000, "epochs": 0, "hidden_dim": 256, "embedding_dim": 64, "frequencies": 16, "batch_size": 64, "checkpoint_seconds": 0.2});
sql('SET allow_in_place_tablespaces = on; CREATE TABLESPACE little LOCATION \'\'');
sql('ALTER TABLE csp.run_checkpoint SET TABLESPACE little');
fault('disk_full');
$run = $server->start('full', $large);
$server->until_it_trains($run);
my $log = $node->logfile;
$node->wait_for_log(qr/training run $run goes on without writing a checkpoint: could not extend file.*No space left on device/, 0);
pass('a full disk is told in the log');
is(sql("SELECT state, checkpoint IS NULL FROM csp.runs WHERE id = $run"), 'running|t', 'the run goes on');
no_fault('disk_full');
$server->until_true("SELECT checkpoint IS NOT NULL FROM csp.runs WHERE id = $run");
pass('with space again, checkpoints are written again');
my $checkpoint = sql("SELECT checkpoint FROM csp.runs WHERE id = $run");
fault('disk_full');
sql("SELECT csp_cancel($run)");
$server->is_well('a full disk at the last checkpoint', $run, 'cancelled|57014');
is(sql("SELECT count(*) > 0 FROM csp.run_checkpoint WHERE run = $run"), 't', 'the checkpoint before it is still there');
no_fault('disk_full');
sql("CALL csp_resume($run, wait => false)");
$server->until_it_trains($run);
sql("SELECT csp_cancel($run)");
$server->is_well('and good to go on from', $run, 'cancelled|57014');

# For the model itself.
sql('ALTER TABLE csp.model_weights SET TABLESPACE little');
fault('disk_full');
my $published = $large =~ s/1000000/3/r;
$run = $server->start('good', $published);
$server->is_well('a full disk when publishing', $run, 'failed|53100');
no_fault('disk_full');
sql("CALL csp_resume($run)");
is($server->state_of($run), 'succeeded', 'with space again it is published');
isnt($server->answer, $server->{answer}, 'and deployed');
$server->{answer} = $server->answer;

# ---- memory is short ----------------------------------------------------------------------------------------------------

sub address_space { my ($pid) = @_; return (split ' ', slurp_file("/proc/$pid/statm"))[0] * 4096; }
sub leave_memory { my ($pid, $bytes) = @_; PostgreSQL::Test::Utils::system_or_bail('prlimit', "--pid=$pid", '--as=' . ($bytes eq 'all' ? 'unlimited' : address_space($pid) + $bytes) . ':unlimited'); }

# For the library: while the rows are read.
my $holder;
($run, $holder) = run_in('reading');
leave_memory($server->pid_of($run), 20_000_000);
$holder->quit;
$server->is_well('no memory to load the library', $run, 'failed|0A000');
like(sql("SELECT detail FROM csp.runs WHERE id = $run"), qr/failed to map segment|cannot allocate memory/i, 'it says so');

# For training: once the library is loaded. The batch size that the hint names fits.
sql('CREATE TABLE many AS SELECT p.* FROM places p, generate_series(1, 30) ORDER BY id');
sub train_with_little_memory {
	my ($batch) = @_;
	$holder = $node->background_psql('postgres');
	$holder->query_safe($hold{loading});
	$run = $server->start('tight', qq({"pretrain_epochs": 1, "epochs": 0, "hidden_dim": 512, "embedding_dim": 16, "frequencies": 8, "batch_size": $batch}), 'many');
	$server->until_true("SELECT count(*) = 1 FROM pg_stat_activity a JOIN csp.run r ON r.pid = a.pid WHERE r.id = $run AND a.wait_event_type = 'Lock'");
	leave_memory($server->pid_of($run), 500_000_000);
	$holder->quit;
}
train_with_little_memory(9000);
$server->is_well('no memory for a batch', $run, 'failed|53200');
my ($fits) = sql("SELECT hint FROM csp.runs WHERE id = $run") =~ /^By estimate batch_size of (\d+) would have fitted\.$/;
cmp_ok($fits // 0, '>', 100, 'the hint names a batch size');
train_with_little_memory($fits);
$server->is_well('that batch size', $run, 'succeeded|');

# For queries: the session lives on.
sql(q{CALL csp_train('wide', 'places', 'geom', 'features', NULL, '{"pretrain_epochs": 1, "hidden_dim": 4096, "hidden_layers": 2, "embedding_dim": 1024}')});
my $session = $node->background_psql('postgres', on_error_stop => 0);
my $pid = $session->query_safe('SELECT pg_backend_pid()');
$session->query_safe(q{SELECT csp_embed(geom, 'good') FROM places LIMIT 1});
leave_memory($pid, 10_000_000);
$session->query(q{SELECT csp_embed(geom, 'wide') FROM places LIMIT 1});
like($session->{stderr}, qr/ERROR:  out of memory/, 'a query without memory is an error');
leave_memory($pid, 'all');
$session->{stderr} = '';
is($session->query_safe(q{SELECT array_length(csp_embed(geom, 'wide'), 1) FROM places LIMIT 1}), '1024', 'and with memory again, in the same session, it answers');
$session->quit;

# ---- the waiting caller -------------------------------------------------------------------------------------------------

my ($out, $err);
sub waiting_caller {
	my ($options, @before) = @_;
	($out, $err) = ('', '');
	my $caller = $server->start_psql(\$out, \$err, @before, $server->train('awaited', $options));
	$server->until_true("SELECT model = 'awaited' AND epoch IS NOT NULL FROM csp.run ORDER BY id DESC LIMIT 1");
	return ($caller, sql("SELECT max(id) FROM csp.run"));
}
my $sessions = q{SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'CALL csp_train(''awaited''%'};
my $caller;

# His client is killed: the session finds out when it next tells of the progress, the run goes on.
($caller, $run) = waiting_caller($endless);
$caller->kill_kill;
$server->until_true("SELECT ($sessions) = 0");
is($server->state_of($run), 'running', 'a run outlives the client that waits for it');
sql("SELECT csp_cancel($run)");
$server->is_well('lost client', $run, 'cancelled|57014');

# Likewise where his session is terminated.
($caller, $run) = waiting_caller($endless);
sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'CALL csp_train(''awaited''%'");
$caller->finish;
$server->until_true("SELECT ($sessions) = 0");
is($server->state_of($run), 'running', 'and a session that is terminated');
sql("SELECT csp_cancel($run)");
$server->is_well('terminated session', $run, 'cancelled|57014');

# One that is cancelled takes the run along.
($caller, $run) = waiting_caller($endless);
sql("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE 'CALL csp_train(''awaited''%'");
$caller->finish;
like($err, qr/ERROR:  canceling statement due to user request/, 'a cancelled caller is told so');
$server->is_well('cancelled caller', $run, 'cancelled|57014');

# Who waits is not idle; and the caller's and his role's timeouts are not the worker's.
my $seconds = $endless =~ s/1000000/2000/r;
$out = sql("SET idle_in_transaction_session_timeout = '100ms'; SET idle_session_timeout = '100ms'; SET lock_timeout = '1ms'; SET client_min_messages = warning; " . $server->train('timeouts', $seconds));
is($server->state_of($out), 'succeeded', 'idle and lock timeouts do not end a run');

# ---- drops while it reads and while it publishes ------------------------------------------------------------------------

# What it reads from cannot be dropped meanwhile.
sql('CREATE TABLE doomed AS SELECT * FROM places; CREATE VIEW gated_doomed AS SELECT * FROM doomed WHERE id < 200 OR gate()');
$holder = $node->background_psql('postgres');
$holder->query_safe($hold{reading});
$run = $server->start('doomed', $small, 'gated_doomed');
$server->until_true("SELECT count(*) = 1 FROM pg_stat_activity a JOIN csp.run r ON r.pid = a.pid WHERE r.id = $run AND a.wait_event_type = 'Lock'");
($out, $err) = ('', '');
my $drop = $server->start_psql(\$out, \$err, 'DROP TABLE doomed CASCADE');
$server->until_true(q{SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE 'DROP TABLE doomed%' AND wait_event_type = 'Lock'});
$holder->quit;
$drop->finish;
$server->is_well('its table is dropped while it reads', $run, 'succeeded|');
is(sql("SELECT to_regclass('doomed') IS NULL"), 't', 'and is gone');

# The extension, and the database, of another run.
sub in_other { return $node->safe_psql('other', $_[0]); }
sub other_run {
	my ($hold) = @_;
	my $holder = $node->background_psql('other', on_error_stop => 0);
	$holder->query_safe($hold);
	in_other("CALL csp_train('m', 'SELECT * FROM places WHERE i <> 50 OR gate()', 'geom', 'features', options => '$small', wait => false)");
	$node->poll_query_until('other', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'csp_ext training worker' AND wait_event_type = 'Lock'}) or die;
	return $holder;
}
my $no_worker = q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type LIKE 'csp_ext%'};
sub make_other {
	sql('CREATE DATABASE other');
	in_other(q{
		SET client_min_messages = warning;
		CREATE EXTENSION csp_ext CASCADE;
		CREATE TABLE places AS SELECT i, ST_SetSRID(ST_MakePoint(i % 18 * 10, i % 9 * 10), 4326) AS geom, ARRAY[i % 18, i % 9]::real[] AS features FROM generate_series(1, 100) i;
		CREATE FUNCTION gate() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN true; END $$;
	});
}
make_other();
$holder = other_run($hold{reading});
in_other('DROP EXTENSION csp_ext');
$holder->quit;
$server->until_true($no_worker);
pass('DROP EXTENSION while it reads: no worker is left');
in_other('CREATE EXTENSION csp_ext');
$holder = other_run($hold{publishing});
($out, $err) = ('', '');
$drop = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('other'), '-c', 'DROP EXTENSION csp_ext' ], '>', \$out, '2>', \$err);
$server->until_true(q{SELECT count(*) = 1 FROM pg_stat_activity WHERE query = 'DROP EXTENSION csp_ext' AND wait_event_type = 'Lock'});
$holder->quit;
$drop->finish;
is($err, '', 'DROP EXTENSION while it publishes waits for that');
$server->until_true($no_worker);
sql('DROP DATABASE other');
for my $phase ('reading', 'publishing') {
	make_other();
	$holder = other_run($hold{$phase});
	sql('DROP DATABASE other WITH (FORCE)');
	eval { $holder->quit };
	$server->until_true($no_worker);
	pass("DROP DATABASE WITH (FORCE) while $phase: no worker is left");
}
is($server->answer, $server->{answer}, 'the model of this database answers');

# ---- no worker is free ---------------------------------------------------------------------------------------------------

# One slot for both: the launcher of logical replication takes the other.
$node->append_conf('postgresql.conf', "max_worker_processes = 2\nmax_parallel_workers = 0\n");
$node->restart;
$run = $server->start('slots', $endless);
my $second = $server->start('slots', $small);
is($server->state_of($second), 'queued', 'where no worker is free a run is queued behind one that goes on');
my ($out2, $err2) = ('', '');
my $third = $server->start_psql(\$out2, \$err2, $server->train('slots', $small));
$server->until_true("SELECT count(*) = 2 FROM csp.run WHERE model = 'slots' AND state = 'queued'");
sql("SELECT csp_cancel($run)");
$third->finish;
like($err2, qr/NOTICE:  model "slots" version 2 is deployed/, 'and begins when that has ended, in order');
$server->is_well('one slot', $second, 'succeeded|');
$node->append_conf('postgresql.conf', "max_worker_processes = 16\n");
$node->restart;

# ---- shutdown ------------------------------------------------------------------------------------------------------------

# Smart: whoever waits for a run may wait to its end; a run that nobody waits for is cancelled.
($caller, $run) = waiting_caller($seconds);
$node->stop('smart');
$caller->finish;
like($err, qr/NOTICE:  model "awaited" version 1 is deployed/, 'a smart shutdown lets a waiting caller wait');
$node->start;
$server->is_well('smart shutdown with a caller', $run, 'succeeded|');
$run = $server->start('smart', $endless);
$server->until_it_trains($run);
$node->stop('smart');
$node->start;
$server->is_well('smart shutdown', $run, 'cancelled|57P01');

# Fast and immediate, with a caller, while it reads and publishes.
for my $mode ('fast', 'immediate') {
	for my $phase ('reading', 'publishing') {
		($run, $holder) = run_in($phase);
		$node->stop($mode);
		eval { $holder->quit };
		$node->start;
		$server->is_well("$mode shutdown while $phase", $run, $mode eq 'fast' ? 'cancelled|57P01' : 'crashed|');
	}
	($caller, $run) = waiting_caller($endless);
	$node->stop($mode);
	$caller->finish;
	$node->start;
	$server->is_well("$mode shutdown with a caller", $run, $mode eq 'fast' ? 'cancelled|57P01' : 'crashed|');
}

# The postmaster is killed: all that it started ends, and it can start again.
($caller, $run) = waiting_caller($endless);
$pid = $server->pid_of($run);
$node->kill9;
$caller->finish;
my $deadline = time() + 20;
sleep 0.1 while kill(0, $pid) && time() < $deadline;
ok(!kill(0, $pid), 'a worker ends with the postmaster');
$node->start;
$server->is_well('killed postmaster', $run, 'crashed|');

unlike(slurp_file($log), qr/PANIC|TRAP|segfault|signal 6|signal 11/, 'no process has crashed but for those that were killed');
$node->stop;
done_testing();

# Searches for options: trials side by side, what interrupts them, and what vanishes under them.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use CspServer;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $tiny = '"hidden_dim": 16, "embedding_dim": 8, "frequencies": 4';
my $short = qq('{"pretrain_epochs": 1, "epochs": 1, $tiny}');
my $long = qq('{"pretrain_epochs": 150, "epochs": 150, "batch_size": 64, "fine_tune_batch_size": 32, "checkpoint_seconds": 0.1, $tiny}');
my $endless = qq('{"pretrain_epochs": 1000000, $tiny}');
my $space = q('{"learning_rate": {"min": 1e-4, "max": 0.1, "scale": "log"}}');
my $workers = q(SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'csp_ext%');

my $node = PostgreSQL::Test::Cluster->new('tune');
$node->init;
$node->append_conf('postgresql.conf', "restart_after_crash = on\nlog_min_messages = warning\nmax_worker_processes = 16\n");
$node->start;

$node->safe_psql('postgres', $CspServer::extension . $CspServer::places);

sub sql { my ($query) = @_; return $node->safe_psql('postgres', $query); }
sub tune { my ($model, $options, $more) = @_; return "CALL csp_tune('$model', 'places', 'geom', 'features', 'label', $space, options => $options" . ($more // '') . ')'; }
sub start { my ($model, $options, $more) = @_; return sql(tune($model, $options, ($more // '') . ', wait => false')); }
sub state_of { my ($search) = @_; return sql("SELECT state FROM csp.search WHERE id = $search"); }
sub states { my ($search) = @_; return sql("SELECT string_agg(state, ',' ORDER BY rung, trial) FROM csp.trials WHERE search = $search"); }
sub waits { my ($search) = @_; return sql("SELECT csp_wait_search($search)"); }
sub error_of { my ($query) = @_; my ($rc, $out, $err) = $node->psql('postgres', '\set VERBOSITY verbose' . "\n" . $query); return $err; }
sub until_true { my ($query) = @_; CspServer::poll_until_true($node, $query); }
sub no_worker_is_left { my ($what) = @_; until_true("SELECT ($workers) = 0"); pass("$what: no worker is left"); }
sub limit { my ($most) = @_; $node->append_conf('postgresql.conf', "csp.max_training_workers = $most"); $node->reload; }

# In which the first two trials compute.
sub under_way { my ($search) = @_; until_true("SELECT count(*) = 2 FROM csp.run WHERE search = $search AND state = 'running' AND phase = 'pretraining' AND epoch > 3"); }

sub start_psql {
	my ($out, $err) = @_;
	my @command = ('psql', '-XAtq', '-d', $node->connstr('postgres'));
	push @command, '-c', $_ for @_[2 .. $#_];
	return IPC::Run::start(\@command, '>', $out, '2>', $err);
}

# ---- side by side ---------------------------------------------------------------------------------------------------

my $search = start('side', $endless, ', trials => 4');
under_way($search);
is(sql("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'csp_ext training worker'"), '2', 'two trials have a process each');
is(states($search), 'running,running,waiting,waiting', 'and the others wait');
is(sql("SELECT trials, runs, done, state FROM csp.searches WHERE id = $search"), '4|4|0|running', 'csp.searches counts them');
my $first = sql("SELECT run FROM csp.trials WHERE search = $search AND trial = 1");
is(sql("SELECT csp_cancel($first)"), 't', 'a trial can be cancelled');
until_true("SELECT count(*) = 2 FROM csp.run WHERE search = $search AND state = 'running'");
is(states($search), 'cancelled,running,running,waiting', 'another takes its turn, the search goes on');
sql("BEGIN; SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT csp_cancel_search($search); COMMIT");
is(state_of($search), 'cancelled', 'csp_cancel_search ends the search');
no_worker_is_left('csp_cancel_search');
is(states($search), 'cancelled,cancelled,cancelled,cancelled', 'and its trials');
is(sql("SELECT count(*) FROM csp.search_trial WHERE search = $search AND state = 'started'"), '0', 'whose end is written down');
is(sql("SELECT csp_cancel_search($search)"), 'f', 'twice it has nothing to do');
is(sql("SELECT sqlstate FROM csp.searches WHERE id = $search"), '57014', 'the search tells why');

# A cancel that is rolled back: the trials have been told, the search goes on with the next.
$search = start('rolled', $endless, ', trials => 3, parallel => 1');
until_true("SELECT count(*) = 1 FROM csp.run WHERE search = $search AND epoch > 3");
sql("BEGIN; SELECT csp_cancel_search($search); SELECT pg_sleep(1); ROLLBACK");
until_true("SELECT state = 'running' FROM csp.trials WHERE search = $search AND trial = 2");
pass('a cancel that is rolled back ends a trial and not the search');
sql("SELECT csp_cancel_search($search)");
no_worker_is_left('second cancel');

my $most_at_once = 'SELECT max((SELECT count(*) FROM csp.runs o WHERE o.search = r.search AND o.started <= r.started AND r.started < o.finished)) FROM csp.runs r WHERE search = ';
sql(tune('one', $short, ', trials => 4, parallel => 1'));
is(sql($most_at_once . sql('SELECT max(id) FROM csp.search')), '1', 'parallel => 1: one at a time');
sql(tune('two', $long, ', trials => 4'));
is(sql($most_at_once . sql('SELECT max(id) FROM csp.search')), '2', 'parallel => 2: two at a time');
limit(1);
like(error_of(tune('limited', $short, ', trials => 3')), qr/NOTICE:  .*no more than 1 of the trials are trained at a time/, 'a lower csp.max_training_workers is told');
is(sql($most_at_once . sql('SELECT max(id) FROM csp.search')), '1', 'and holds');
limit(0);
$search = start('none', $short, ', trials => 2');
is(sql("SELECT csp_wait_search($search, '0.5 s')"), 'running', 'with a limit of 0 none begins');
limit(2);
is(waits($search), 'succeeded', 'but once it is raised');

# ---- interruptions --------------------------------------------------------------------------------------------------

sub result { my ($search) = @_; return sql("SELECT string_agg((trial, state, value, validation_loss)::text, ',' ORDER BY trial) FROM csp.trials WHERE search = $search"); }
sub model { my ($name) = @_; return sql("SELECT md5(csp_export('$name'))"); }

sql(tune('whole', $long, ', trials => 3'));
my $whole = model('whole');
my $figures = result(sql('SELECT max(id) FROM csp.search'));

sub ends_the_same {
	my ($search, $model, $what) = @_;
	is(waits($search), 'succeeded', "$what: the search comes to its end");
	is(model($model), $whole, "$what: with the same model, to the bit");
	is(result($search), $figures, "$what: and the same trials");
}

my %interruptions = (
	killed => sub { kill 'KILL', sql("SELECT min(pid) FROM csp.run WHERE search = $_[0] AND state = 'running'"); sleep 0.5; until_true('SELECT true'); },
	immediate => sub { $node->stop('immediate'); $node->start; },
	fast => sub { $node->restart; });
for my $how ('killed', 'immediate', 'fast') {
	$search = start($how, $long, ', trials => 3');
	under_way($search);
	$interruptions{$how}->($search);
	is(state_of($search), 'running', "$how: the search is not over");
	sql('SELECT count(*) FROM csp.searches WHERE state IS NOT NULL');
	until_true("SELECT count(*) = 2 FROM csp.run WHERE search = $search AND resumed = 1");
	pass("$how: a look at csp.searches has its trials go on");
	ends_the_same($search, $how, $how);
}

# One worker is told to end: its search goes on with it by itself.
$search = start('terminated', $long, ', trials => 3');
under_way($search);
sql("SELECT pg_terminate_backend(min(pid)) FROM csp.run WHERE search = $search AND state = 'running'");
until_true("SELECT state <> 'running' FROM csp.search WHERE id = $search");
is(sql("SELECT sum(resumed) FROM csp.run WHERE search = $search"), '1', 'a terminated trial goes on');
ends_the_same($search, 'terminated', 'terminated');

# The process of a caller who waits is killed, and a look at csp.trials has his search go on.
my ($out, $err) = ('', '');
my $caller = start_psql(\$out, \$err, tune('driver', $long, ', trials => 3'));
until_true("SELECT count(*) = 1 FROM csp.search WHERE model = 'driver'");
$search = sql("SELECT id FROM csp.search WHERE model = 'driver'");
under_way($search);
kill 'KILL', sql("SELECT pid FROM pg_stat_activity WHERE query LIKE '%csp_tune%' AND backend_type = 'client backend' AND pid <> pg_backend_pid()");
eval { $caller->finish };
until_true('SELECT true');
sql('SELECT count(*) FROM csp.trials WHERE state IS NOT NULL');
until_true("SELECT count(*) = 2 FROM csp.run WHERE search = $search AND resumed = 1");
ends_the_same($search, 'driver', 'caller killed');

# His connection is lost.
$caller = start_psql(\$out, \$err, tune('lost', $long, ', trials => 3'));
until_true("SELECT count(*) = 1 FROM csp.search WHERE model = 'lost'");
$search = sql("SELECT id FROM csp.search WHERE model = 'lost'");
under_way($search);
$caller->kill_kill;
ends_the_same($search, 'lost', 'connection lost');

# He is interrupted.
($out, $err) = ('', '');
like(error_of("SET statement_timeout = '1s'; SET default_transaction_isolation = 'serializable'; " . tune('impatient', $endless)), qr/ERROR:  57014: canceling statement due to statement timeout/, 'a caller is interrupted');
is(sql("SELECT state FROM csp.search WHERE model = 'impatient'"), 'cancelled', 'his search is cancelled');
is(sql("SELECT count(*) FROM csp.run WHERE model = 'impatient' AND state <> 'cancelled'"), '0', 'and so are its trials');
no_worker_is_left('interrupted caller');

# A search that was cancelled is resumed.
$search = start('resumed', $long, ', trials => 3');
until_true("SELECT count(*) = 1 FROM csp.searches WHERE id = $search AND done > 0");
like(error_of("CALL csp_resume_search($search)"), qr/ERROR:  55000: search $search is running/, 'a search that goes on has nothing to resume');
sql("SELECT csp_cancel_search($search)");
no_worker_is_left('cancel');
like(states($search), qr/succeeded/, 'a trial has ended, the search is cancelled');
like(error_of("BEGIN; CALL csp_resume_search($search)"), qr/ERROR:  25001: csp_resume_search cannot run inside a transaction block/, 'not in a transaction block');
sql("CALL csp_resume_search($search)");
ends_the_same($search, 'resumed', 'resumed');
is(sql("SELECT count(*) FROM csp.run WHERE search = $search"), '3', 'with the runs that it had');
like(error_of("CALL csp_resume_search($search)"), qr/ERROR:  55000: search $search has succeeded/, 'nor has one that has succeeded');
like(error_of('CALL csp_resume_search(987654)'), qr/ERROR:  42704/, 'nor one that is not there');
$search = start('unresumed', $long, ', trials => 3');
until_true("SELECT count(*) = 1 FROM csp.searches WHERE id = $search AND done > 0");
sql("SELECT csp_cancel_search($search)");
no_worker_is_left('cancel');
sql("DELETE FROM csp.run WHERE id = (SELECT best_run FROM csp.searches WHERE id = $search)");
like(error_of("CALL csp_resume_search($search)"), qr/ERROR:  55000: search $search cannot be resumed any more/, 'without the best model so far it cannot be resumed');

# A trial that always brings down the server ends.
$search = start('fatal', $endless, ', trials => 1');
my $run = sql("SELECT run FROM csp.trials WHERE search = $search");
for my $round (0 .. 3) {
	until_true("SELECT state = 'running' AND resumed = $round FROM csp.runs WHERE id = $run");
	sql("SELECT pg_terminate_backend(pid) FROM csp.run WHERE id = $run");
}
is(waits($search), 'failed', 'a trial that does not get to its end is given up');
is(sql("SELECT count(*) FROM csp.models WHERE name = 'fatal'"), '0', 'no model is deployed');

# ---- history --------------------------------------------------------------------------------------------------------

$node->append_conf('postgresql.conf', 'csp.keep_runs = 1');
$node->reload;
$search = start('kept', $short, ', trials => 5');
is(waits($search), 'succeeded', 'a search with csp.keep_runs = 1');
no_worker_is_left('search');
is(sql("SELECT count(*) FROM csp.run WHERE search = $search"), '5', 'has all its runs at its end');
my $values = result($search);
sql("CALL csp_train('other', 'places', 'geom', 'features', options => $short)");
is(sql("SELECT count(*) FROM csp.run WHERE search = $search"), '1', 'later they are deleted as others');
is(result($search), $values, 'what came of the trials stays');
is(sql("SELECT count(*) FROM csp.search WHERE id < $search"), '0', 'searches without runs are gone');
sql("CALL csp_train('other', 'places', 'geom', 'features', options => $short)") for 1 .. 2;
is(sql('SELECT count(*) FROM csp.search_trial'), '0', 'and so is this one in its turn');
$node->append_conf('postgresql.conf', 'csp.keep_runs = 1000');
$node->reload;

# ---- things that vanish under a search ------------------------------------------------------------------------------

# The search itself.
$search = start('deleted', $endless, ', trials => 3');
under_way($search);
sql("DELETE FROM csp.search WHERE id = $search");
no_worker_is_left('deleted search');
is(sql("SELECT count(*) FROM csp.run WHERE model = 'deleted'"), '0', 'its runs have gone with it');

# The run of a trial.
$search = start('runless', $endless, ', trials => 2, parallel => 1');
until_true("SELECT count(*) = 1 FROM csp.run WHERE search = $search AND epoch > 3");
sql("DELETE FROM csp.run WHERE search = $search");
until_true("SELECT state = 'running' FROM csp.trials WHERE search = $search AND trial = 2");
is(states($search), 'failed,running', 'a trial without a run has failed, the next goes on');
sql("SELECT csp_cancel_search($search)");
no_worker_is_left('deleted run');

# The table: trials that have read it end well, the others fail.
$search = start('tableless', $long, ', trials => 4');
under_way($search);
sql('ALTER TABLE places RENAME TO moved');
is(waits($search), 'succeeded', 'a search outlives its table');
is(sql("SELECT string_agg(t.state || COALESCE(' ' || r.sqlstate, ''), ',' ORDER BY trial) FROM csp.trials t LEFT JOIN csp.runs r ON r.id = t.run WHERE t.search = $search"),
	'succeeded,succeeded,failed 42P01,failed 42P01', 'with the trials that had read it');
sql('ALTER TABLE moved RENAME TO places');

# The name of the model: another has taken it by the time that the best is known.
sql('CREATE ROLE tuner LOGIN; GRANT EXECUTE ON PROCEDURE csp_tune TO tuner; GRANT SELECT ON places TO tuner');
$search = sql('SET ROLE tuner; ' . tune('taken', $long, ', trials => 2, wait => false'));
under_way($search);
sql("SELECT csp_import('taken', csp_export('whole'))");
is(waits($search), 'failed', 'a search whose name is taken by another fails');
is(sql("SELECT sqlstate, message FROM csp.searches WHERE id = $search"), '42501|must be owner of model "taken"', 'and says why');
no_worker_is_left('name taken');
$run = sql("SELECT best_run FROM csp.searches WHERE id = $search");
is(sql('SELECT string_agg(run::text, \',\') FROM csp.trial_model'), $run, 'it keeps the model of its best trial');
sql("DELETE FROM csp.model_version WHERE model = 'taken'; DELETE FROM csp.model WHERE name = 'taken'");
sql("CALL csp_resume_search($search)");
is(sql("SELECT state, best_run FROM csp.searches WHERE id = $search"), "succeeded|$run", 'and deploys it when it is resumed');
is(sql("SELECT owner FROM csp.models WHERE name = 'taken'") . sql('SELECT count(*) FROM csp.trial_model'), 'tuner0', 'for the role that began it');

# A dump of a search that goes on: the copy goes on with it when it is looked at.
$search = start('dumped', $long, ', trials => 3');
under_way($search);
my $dump = $node->basedir . '/dump.sql';
$node->command_ok([ 'pg_dump', '-f', $dump, '-d', $node->connstr('postgres') ], 'pg_dump');
sql("SELECT csp_cancel_search($search)");
sql('CREATE DATABASE restored');
$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', $dump, '-d', $node->connstr('restored') ], 'restore');
is($node->safe_psql('restored', "SELECT csp_wait_search($search)"), 'succeeded', 'the restored search comes to its end');
is($node->safe_psql('restored', "SELECT md5(csp_export('dumped'))"), $whole, 'with the same model');
sql('DROP DATABASE restored WITH (FORCE)');
no_worker_is_left('restored');

# The extension; the database.
sql('CREATE DATABASE dropped');
sub in_dropped { return $node->safe_psql('dropped', $_[0]); }
in_dropped($CspServer::extension . $CspServer::places);
for my $how ('DROP EXTENSION', 'DROP DATABASE') {
	my $there = in_dropped(tune('m', $endless, ', trials => 4, wait => false'));
	$node->poll_query_until('dropped', "SELECT count(*) = 2 FROM csp.run WHERE search = $there AND epoch > 1") or die;
	in_dropped("DROP EXTENSION csp_ext; $CspServer::extension") if $how eq 'DROP EXTENSION';
	sql('DROP DATABASE dropped WITH (FORCE)') if $how eq 'DROP DATABASE';
	no_worker_is_left($how);
}

# A single worker is free: the logical replication launcher has the other.
$node->append_conf('postgresql.conf', 'max_worker_processes = 2');
$node->restart;
sql(tune('single', $short, ', trials => 3'));
is(sql("SELECT state, trials, done FROM csp.searches WHERE model = 'single'"), 'succeeded|3|3', 'a single free worker does one trial after the other');

# No worker at all.
my $searches = sql('SELECT count(*) FROM csp.search');
$node->append_conf('postgresql.conf', 'max_worker_processes = 0');
$node->restart;
like(error_of(tune('slotless', $short)), qr/ERROR:  53400: no background worker is free for training/, 'without a free worker csp_tune says so');
is(sql('SELECT count(*) FROM csp.search') . sql("SELECT count(*) FROM csp.run WHERE model = 'slotless'"), $searches . '0', 'and leaves nothing behind');

is(sql('SELECT 1'), '1', 'the server is up');
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|segfault/, 'and has been, but for the kills');
$node->stop;
done_testing();

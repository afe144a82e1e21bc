# Runs that are interrupted and resumed; the queue of runs; what vanishes under a run.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use CspServer;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

# Both stages, some thousand batches, checkpoints all the time.
my $long = q('{"seed": 5, "pretrain_epochs": 300, "epochs": 300, "fine_tune_batch_size": 32, "hidden_dim": 32, "embedding_dim": 16, "frequencies": 8, "batch_size": 64, "checkpoint_seconds": 0.1, "keep_best": true}');
my $endless = q('{"pretrain_epochs": 1000000, "hidden_dim": 32, "embedding_dim": 16, "frequencies": 8}');
my $small = q('{"pretrain_epochs": 1, "epochs": 1, "hidden_dim": 32, "embedding_dim": 16, "frequencies": 8}');
my $workers = q(SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'csp_ext%');

my $node = PostgreSQL::Test::Cluster->new('jobs');
$node->init;
$node->append_conf('postgresql.conf', "restart_after_crash = on\nlog_min_messages = warning\nmax_worker_processes = 16\n");
$node->start;
$node->safe_psql('postgres', $CspServer::extension . $CspServer::places);

sub sql { my ($query) = @_; return $node->safe_psql('postgres', $query); }
sub train { my ($model, $options, $more) = @_; $more //= ''; return "CALL csp_train('$model', 'places', 'geom', 'features', 'label', $options$more)"; }
sub start { my ($model, $options) = @_; return sql(train($model, $options, ', wait => false')); }
sub state_of { my ($run) = @_; return sql("SELECT state FROM csp.runs WHERE id = $run"); }
sub error_of { my ($query) = @_; my ($rc, $out, $err) = $node->psql('postgres', '\set VERBOSITY verbose' . "\n" . $query); return $err; }
sub until_true { my ($query) = @_; CspServer::poll_until_true($node, $query); }

# What tells a model: its file, and the figures of its epochs but for the time they took.
sub model { my ($name) = @_; return sql("SELECT md5(csp_export('$name'))"); }
sub metrics { my ($run) = @_; return sql("SELECT md5(string_agg((stage, epoch, learning_rate, loss, loss_in_batch, validation_loss, validation_top1)::text, ',' ORDER BY stage, epoch)) FROM csp.metrics WHERE run = $run"); }

# ---- resuming -------------------------------------------------------------------------------------------------------

sql(train('whole', $long));
my $whole = model('whole');
my $figures = metrics(sql('SELECT max(id) FROM csp.run'));

# In the given stage, after a checkpoint there; the first epoch's figures are marked, which only a start anew would undo.
sub interrupted_run {
	my ($model, $stage, $interrupt) = @_;
	my $run = start($model, $long);
	until_true("SELECT phase = '$stage' AND epoch > 3 FROM csp.run WHERE id = $run");
	my $seen = sql("SELECT checkpoint FROM csp.run WHERE id = $run");
	until_true("SELECT checkpoint IS NOT NULL AND checkpoint::text <> '$seen' FROM csp.run WHERE id = $run");
	$interrupt->($run);
	until_true('SELECT true');
	sql("UPDATE csp.run_metric SET seconds = -1 WHERE run = $run AND stage = '$stage' AND epoch = 1");
	return $run;
}

sub resumes_to_the_same_model {
	my ($run, $model, $stage, $what) = @_;
	cmp_ok(sql("SELECT count(*) FROM csp.run_checkpoint WHERE run = $run"), '>', 0, "$what: a checkpoint is there");
	my ($rc, $out, $err) = $node->psql('postgres', "CALL csp_resume($run)");
	is($rc, 0, "$what: csp_resume succeeds") or diag($err);
	is(sql("SELECT seconds FROM csp.metrics WHERE run = $run AND stage = '$stage' AND epoch = 1"), '-1', "$what: it has not begun anew");
	is(model($model), $whole, "$what: the model is the uninterrupted one to the bit");
	is(metrics($run), $figures, "$what: so are the figures of its epochs");
	is(sql("SELECT count(*) FROM csp.run_checkpoint WHERE run = $run"), '0', "$what: the checkpoint is gone");
	is(sql("SELECT state, resumed FROM csp.runs WHERE id = $run"), 'succeeded|1', "$what: the run tells");
}

for my $stage ('pretraining', 'supervised') {
	my $run = interrupted_run("killed_$stage", $stage, sub { kill 'KILL', sql("SELECT pid FROM csp.run WHERE id = $_[0]"); sleep 0.5; });
	is(state_of($run), 'crashed', "kill -9 in $stage: the run has crashed");
	resumes_to_the_same_model($run, "killed_$stage", $stage, "kill -9 in $stage");
}
my $run = interrupted_run('immediate', 'pretraining', sub { $node->stop('immediate'); $node->start; });
resumes_to_the_same_model($run, 'immediate', 'pretraining', 'immediate restart');
$run = interrupted_run('fast', 'supervised', sub { $node->restart; });
is(state_of($run), 'cancelled', 'a fast restart cancels the run');
resumes_to_the_same_model($run, 'fast', 'supervised', 'fast restart');
$run = interrupted_run('cancelled', 'pretraining', sub { sql("SELECT csp_cancel($_[0])"); sql("SELECT csp_wait($_[0])"); });
resumes_to_the_same_model($run, 'cancelled', 'pretraining', 'csp_cancel');

# Again and again, without waiting.
$run = start('often', $long);
for my $round (1 .. 3) {
	until_true("SELECT csp.current_state(r) <> 'running' OR epoch IS NOT NULL AND phase IN ('pretraining', 'supervised') FROM csp.run r WHERE id = $run");
	sleep 0.3;
	sql("SELECT csp_cancel($run)");
	last if sql("SELECT csp_wait($run)") eq 'succeeded';
	sql("CALL csp_resume($run, wait => false)");
}
is(sql("SELECT csp_wait($run)"), 'succeeded', 'interrupted three times a run ends');
is(model('often'), $whole, 'with the same model');

# Without checkpoints a run starts anew.
my $none = $long =~ s/"checkpoint_seconds": 0.1/"checkpoint_seconds": 0/r;
$run = start('anew', $none);
until_true("SELECT epoch > 3 FROM csp.run WHERE id = $run");
sql("SELECT csp_cancel($run)");
is(sql("SELECT csp_wait($run)"), 'cancelled', 'a run without checkpoints is cancelled');
is(sql("SELECT count(*) FROM csp.run_checkpoint WHERE run = $run"), '0', 'it leaves none');
sql("UPDATE csp.run_metric SET seconds = -1 WHERE run = $run");
sql("CALL csp_resume($run)");
is(sql("SELECT count(*) FROM csp.metrics WHERE run = $run AND seconds = -1"), '0', 'resumed, it begins anew');
is(model('anew'), $whole, 'and ends the same');

# Other rows than those it began with.
$run = interrupted_run('other', 'pretraining', sub { sql("SELECT csp_cancel($_[0])"); sql("SELECT csp_wait($_[0])"); });
sql('CREATE TABLE kept AS SELECT * FROM places ORDER BY id; UPDATE places SET label = label WHERE id = 3');
like(error_of("CALL csp_resume($run)"), qr/ERROR:  22000: the rows of the source are not those that the training run began with/,
	'rows in another order are told');
sql('DELETE FROM places WHERE id = 3');
like(error_of("CALL csp_resume($run)"), qr/DETAIL:  There were 360 and are now 359\./, 'and so are fewer rows');
is(state_of($run), 'failed', 'the run has failed');
sql('TRUNCATE places; INSERT INTO places SELECT * FROM kept ORDER BY id');
sql("CALL csp_resume($run)");
is(model('other'), $whole, 'with the rows back it ends the same');

# A checkpoint that is damaged.
$run = interrupted_run('damaged', 'pretraining', sub { sql("SELECT csp_cancel($_[0])"); sql("SELECT csp_wait($_[0])"); });
sql("UPDATE csp.run_checkpoint SET data = set_byte(data, 3000, 255 - get_byte(data, 3000)) WHERE run = $run");
like(error_of("CALL csp_resume($run)"), qr/ERROR:  XX001: the checkpoint of the training run cannot be used/, 'a damaged checkpoint is an error');

# Who may not, and what cannot be resumed.
sql('CREATE ROLE other LOGIN; GRANT EXECUTE ON PROCEDURE csp_resume TO other');
like(error_of("SET ROLE other; CALL csp_resume($run)"), qr/ERROR:  42704: training run $run does not exist/, 'the run of another is not seen');
like(error_of('CALL csp_resume(987654)'), qr/ERROR:  42704/, 'nor one that is not there');
like(error_of('CALL csp_resume(' . sql("SELECT max(id) FROM csp.run WHERE state = 'succeeded'") . ')'), qr/ERROR:  55000: training run \d+ has succeeded/,
	'a run that succeeded has nothing to resume');
like(error_of("BEGIN; CALL csp_resume($run)"), qr/ERROR:  25001: csp_resume cannot run inside a transaction block/, 'not in a transaction block');
until_true("SELECT ($workers) = 0");

# ---- the queue ------------------------------------------------------------------------------------------------------

sub limit { my ($most) = @_; $node->append_conf('postgresql.conf', "csp.max_training_workers = $most"); $node->reload; }
sub waits { my ($run) = @_; return sql("SELECT csp_wait($run)"); }
sub cancel { my ($run) = @_; is(sql("SELECT csp_cancel($run)"), 't', "run $run is told to end"); is(waits($run), 'cancelled', 'and does'); }
sub runs_as_stored { return sql("SELECT string_agg(state::text, ',' ORDER BY id) FROM csp.run WHERE id IN (" . join(',', @_) . ')'); }

# psql on its own, with these statements.
sub start_psql {
	my ($out, $err) = @_;
	my @command = ('psql', '-XAtq', '-d', $node->connstr('postgres'));
	push @command, '-c', $_ for @_[2 .. $#_];
	return IPC::Run::start(\@command, '>', $out, '2>', $err);
}

limit(1);
my $first = start('first', $endless);
my @queued = map { start("queued$_", $small) } 1 .. 3;
is(sql("SELECT string_agg(state::text, ',' ORDER BY id) FROM csp.runs WHERE id >= $first"), 'running,queued,queued,queued', 'one run goes on, the others are queued');
is(sql("SELECT csp_wait($queued[0], '0.1 s')"), 'queued', 'csp_wait says so');
is(sql("SELECT csp_cancel($queued[1])"), 't', 'a queued run can be cancelled');
is(state_of($queued[1]), 'cancelled', 'and is at once');
is(sql("SELECT sqlstate FROM csp.runs WHERE id = $queued[1]"), '57014', 'as if it had been cancelled later');
is(state_of($first), 'running', 'the run before it goes on');
cancel($first);
until_true("SELECT state = 'succeeded' FROM csp.run WHERE id = $queued[2]");
is(runs_as_stored(@queued), 'succeeded,cancelled,succeeded', 'then the queued ones run by themselves');
is(sql("SELECT a.finished <= b.started FROM csp.runs a, csp.runs b WHERE a.id = $queued[0] AND b.id = $queued[2]"), 't', 'one after the other, in order');
sql("CALL csp_resume($queued[1])");
is(state_of($queued[1]), 'succeeded', 'a run that was cancelled in the queue can be resumed');

# A caller waits through the queue; an interrupted one takes his run out of it.
$first = start('first', $endless);
my ($out, $err) = ('', '');
my $caller = start_psql(\$out, \$err, train('patient', $small));
until_true("SELECT count(*) = 1 FROM csp.run WHERE model = 'patient' AND state = 'queued'");
my $stopped = error_of("SET statement_timeout = '1s'; " . train('impatient', $small));
like($stopped, qr/ERROR:  57014: canceling statement due to statement timeout/, 'a caller can be interrupted in the queue');
is(sql("SELECT state FROM csp.run WHERE model = 'impatient'"), 'cancelled', 'his run is cancelled');
cancel($first);
$caller->finish;
like($err, qr/NOTICE:  run \d+: queued/, 'a patient one is told that his run is queued');
like($err, qr/NOTICE:  model "patient" version 1 is deployed/, 'and waits through the queue');

# With the rights and settings of the role that queued it, whoever starts it.
sql(q{
	CREATE ROLE trainer LOGIN; CREATE ROLE leaver LOGIN;
	GRANT EXECUTE ON PROCEDURE csp_train TO trainer, leaver; GRANT SELECT ON places TO trainer, leaver;
	CREATE SCHEMA drawer AUTHORIZATION trainer; CREATE VIEW drawer.mine AS SELECT geom, features FROM places; GRANT SELECT ON drawer.mine TO trainer;
});
$first = start('first', $endless);
my $gone = sql("SET ROLE leaver; CALL csp_train('gone', 'places', 'geom', 'features', options => $small, wait => false)");
my $theirs = sql("SET ROLE trainer; SET search_path = drawer, public; CALL csp_train('theirs', 'SELECT * FROM mine WHERE current_user = ''trainer''', 'geom', 'features', options => $small, wait => false)");
sql('ALTER ROLE leaver NOLOGIN');
cancel($first);
is(waits($theirs), 'succeeded', "a role's run runs as that role");
is(sql("SELECT owner, rows_read FROM csp.runs WHERE id = $theirs"), 'trainer|360', 'and reads what it sees');
is(sql("SELECT state, sqlstate FROM csp.runs WHERE id = $gone"), 'failed|28000', 'one that can no longer log in does not hold up the queue');
like(error_of("SET ROLE trainer; SELECT csp_cancel($gone)"), qr/ERROR:  42704/, 'nobody cancels what he does not see');

# The worker is killed with others queued: the server restarts, and nobody is left who would start them.
$first = start('first', $endless);
my $next = start('next', $small);
kill 'KILL', sql("SELECT pid FROM csp.run WHERE id = $first");
sleep 0.5;
until_true('SELECT true');
is(runs_as_stored($first, $next), 'running,queued', 'after kill -9 nothing moves');
is(sql("SELECT string_agg(state::text, ',' ORDER BY id) FROM csp.runs WHERE id IN ($first, $next)"), 'crashed,queued', 'a look at csp.runs');
until_true("SELECT state = 'succeeded' FROM csp.run WHERE id = $next");
pass('starts the next');

# Restarts of the server.
for my $mode ('fast', 'immediate') {
	$first = start('first', $endless);
	$next = start('next', $small);
	$node->stop($mode);
	$node->start;
	is(sql("SELECT state FROM csp.run WHERE id = $next"), 'queued', "a queued run outlives a restart ($mode)");
	is(waits($next), 'succeeded', 'csp_wait has it started');
}

# Limits that change; none at all.
limit(2);
my @three = map { start("three$_", $endless) } 1 .. 3;
is(runs_as_stored(@three), 'running,running,queued', 'two run at a time');
limit(3);
until_true("SELECT state = 'running' FROM csp.runs WHERE id = $three[2]");
pass('a higher limit lets the third begin');
limit(0);
$next = start('next', $small);
cancel($_) for @three;
is(runs_as_stored($next), 'queued', 'none begins with a limit of 0');
limit(1);
is(waits($next), 'succeeded', 'but once it is raised');

# Many at once, under an isolation level that sees what was: never more than two, and all get their turn.
limit(2);
my @words = map { '' } 1 .. 4;
my @callers = map {
	my $n = $_;
	start_psql(\$words[$n], \$words[$n], "SET client_min_messages = warning", "SET default_transaction_isolation = 'repeatable read'", map { train("many$n", $small) } 1 .. 3)
} 0 .. 3;
$_->finish for @callers;
is(sql("SELECT state, count(*) FROM csp.run WHERE model LIKE 'many%' GROUP BY state"), 'succeeded|12', 'four sessions queue three runs each, and all succeed');
is(sql("SELECT max((SELECT count(*) FROM csp.run o WHERE o.model LIKE 'many%' AND o.started <= r.started AND r.started < o.finished)) <= 2 FROM csp.run r WHERE r.model LIKE 'many%'"), 't', 'no more than two at a time');
until_true("SELECT ($workers) = 0");

# ---- progress and history -------------------------------------------------------------------------------------------

limit(1);
$first = start('first', $endless);
@queued = (start('second', $small), start('third', $small));
until_true("SELECT phase = 'pretraining' AND epoch > 1 FROM csp.run WHERE id = $first");
is(sql('SELECT id, model, state, queue_position FROM csp.progress ORDER BY queue_position NULLS FIRST'),
	"$first|first|running|\n$queued[0]|second|queued|1\n$queued[1]|third|queued|2", 'csp.progress shows what goes on and the queue');
is(sql("SELECT batch BETWEEN 0 AND batches, batches > 0, epochs, loss > 0, rows_per_second > 0, time_left > interval '1 s', elapsed >= interval '0', device IS NOT NULL, memory > 10000000, pid IN (SELECT pid FROM pg_stat_activity) FROM csp.progress WHERE id = $first"),
	't|t|1000000|t|t|t|t|t|t|t', 'with figures');
is(sql("SET ROLE trainer; SELECT count(*) FROM csp.progress"), '0', 'to those who may see the runs');
sql("GRANT EXECUTE ON PROCEDURE csp_train TO trainer");
my $position = sql("SET ROLE trainer; CALL csp_train('theirs', 'places', 'geom', 'features', options => $small, wait => false); SELECT queue_position FROM csp.progress");
like($position, qr/^3$/m, 'a place in the queue counts the runs of others');
cancel($first);
until_true('SELECT count(*) = 0 FROM csp.progress');
pass('runs that have ended are not in csp.progress');

$node->append_conf('postgresql.conf', 'csp.keep_runs = 3');
$node->reload;
my $versions = sql('SELECT count(*) FROM csp.models');
my $last = start('last', $small);
waits($last);
is(sql('SELECT count(*) FROM csp.run'), '4', 'a run that begins deletes all but the last three that have ended');
is(sql("SELECT count(*) FROM csp.run WHERE id = $last"), '1', 'not itself');
is(sql('SELECT count(*) FROM csp.run_metric WHERE run NOT IN (SELECT id FROM csp.run)'), '0', 'their figures go with them');
is(sql('SELECT count(*) FROM csp.models'), $versions + 1, 'all models stay');
$node->append_conf('postgresql.conf', 'csp.keep_runs = 0');
$node->reload;
$last = start('last', $small);
is(waits($last), 'succeeded', 'where none is kept a run still ends');
is(sql('SELECT string_agg(id::text, \',\') FROM csp.run'), $last, 'and is there until the next');
$node->append_conf('postgresql.conf', 'csp.keep_runs = 1000');
$node->reload;

# ---- things that vanish under a run ---------------------------------------------------------------------------------

sub until_it_trains { my ($run) = @_; until_true("SELECT phase = 'pretraining' AND epoch IS NOT NULL FROM csp.run WHERE id = $run"); }
sub no_worker_is_left { my ($what) = @_; until_true("SELECT ($workers) = 0"); pass("$what: no worker is left"); }

# Its table: it has been read by then. A queued run has not.
$run = start('tableless', $long);
$next = start('too_late', $small);
until_it_trains($run);
sql('DROP TABLE places CASCADE');
is(waits($run), 'succeeded', 'a run outlives its table');
is(model('tableless'), $whole, 'and gives the same model');
is(waits($next), 'failed', 'a queued run without a table fails');
is(sql("SELECT sqlstate FROM csp.runs WHERE id = $next"), '42P01', 'and says why');
sql('CREATE TABLE places AS SELECT * FROM kept ORDER BY id');

# Its model.
sql(train('model', $small));
$run = start('model', $long);
until_it_trains($run);
sql("DELETE FROM csp.model_version WHERE model = 'model'; DELETE FROM csp.model WHERE name = 'model'");
is(waits($run), 'succeeded', 'a run outlives the versions before it');
is(sql("SELECT version, deployed FROM csp.models WHERE name = 'model'"), '1|t', 'and makes the name anew');

# Itself, while somebody waits.
($out, $err) = ('', '');
$caller = start_psql(\$out, \$err, train('deleted', $endless));
until_true("SELECT epoch IS NOT NULL FROM csp.run WHERE model = 'deleted'");
sql("DELETE FROM csp.run WHERE model = 'deleted'");
$caller->finish;
like($err, qr/ERROR:  training run is no longer there\nDETAIL:  It has been deleted/, 'a caller is told that his run was deleted');
no_worker_is_left('deleted run');

# The extension, made again at once: the old worker keeps off the new run of its number.
($out, $err) = ('', '');
sql("CREATE DATABASE dropped");
sub in_dropped { return $node->safe_psql('dropped', $_[0]); }
my $make = q(SET client_min_messages = warning; CREATE EXTENSION csp_ext CASCADE;);
in_dropped("$make CREATE TABLE places AS SELECT ST_SetSRID(ST_MakePoint(i % 18 * 10, i % 9 * 10), 4326) AS geom, ARRAY[i % 18, i % 9]::real[] AS features FROM generate_series(1, 100) i");
my $train_there = "CALL csp_train('m', 'places', 'geom', 'features', options => %s, wait => false)";
is(in_dropped(sprintf($train_there, $endless)), '1', 'a run in another database');
$node->poll_query_until('dropped', 'SELECT epoch IS NOT NULL FROM csp.run') or die;
in_dropped('DROP EXTENSION csp_ext');
in_dropped($make);
is(in_dropped(sprintf($train_there, $small)), '1', 'DROP and CREATE EXTENSION during it: there is a run of the same number');
is(in_dropped('SELECT csp_wait(1)'), 'succeeded', 'which succeeds');
no_worker_is_left('DROP EXTENSION');

# The database.
is(in_dropped(sprintf($train_there, $endless)), '2', 'a run');
in_dropped(sprintf($train_there, $endless)) for 1 .. 2;
$node->poll_query_until('dropped', 'SELECT epoch IS NOT NULL FROM csp.run WHERE id = 2') or die;
like(error_of('DROP DATABASE dropped'), qr/ERROR:  55006: database "dropped" is being accessed by other users/, 'holds off DROP DATABASE');
sql('DROP DATABASE dropped WITH (FORCE)');
pass('but not WITH (FORCE)');
no_worker_is_left('DROP DATABASE');
is(sql('SELECT 1'), '1', 'the server is up');
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|segfault/, 'and has been, but for the kills');

$node->stop;
done_testing();

# Training runs that several workers share: the same figures as with one, and the loss of a worker at any time.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use CspServer;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $size = '"hidden_dim": 32, "embedding_dim": 16, "frequencies": 8, "dropout": 0.3, "fine_tune_batch_size": 32, "batch_size": 64';
my $every_term = qq({"seed": 3, "pretrain_epochs": 3, "epochs": 3, "objective": "mc_symmetric", "weight_contrastive": 0.2, "loss": "full_loss", "negatives": 2, $size});
my $long = qq({"seed": 5, "pretrain_epochs": 120, "epochs": 60, "checkpoint_seconds": 0.1, "keep_best": true, $size});
my $endless = qq({"pretrain_epochs": 1000000, $size});
my $processes = q(SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'csp_ext%');

sub new_node {
	my ($name, $slots) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);
	$node->init;
	$node->append_conf('postgresql.conf', "restart_after_crash = on\nlog_min_messages = log\nmax_worker_processes = $slots\n");
	$node->start;
	$node->safe_psql('postgres', q{
		SET client_min_messages = warning;
		CREATE EXTENSION csp_ext CASCADE;
		CREATE TABLE places AS
		SELECT id, ST_SetSRID(ST_MakePoint(lon, lat), 4326) AS geom,
		       ARRAY(SELECT (sin(lon / 40 + k) + cos(lat / 20 + k / 2.0))::real FROM generate_series(1, 8) k) AS features,
		       CASE WHEN lat > 0 THEN 'north' WHEN lat > -40 THEN 'south' END AS label
		FROM (SELECT row_number() OVER () AS id, lon::float8, lat::float8
		      FROM generate_series(-170, 170, 20) lon, generate_series(-76, 76, 8) lat) AS grid;
	});
	return $node;
}

my $node = new_node('workers', 16);
sub sql { my ($query) = @_; return $node->safe_psql('postgres', $query); }
sub until_true { my ($query) = @_; CspServer::poll_until_true($node, $query); }
sub last_run { return sql('SELECT max(id) FROM csp.run'); }
sub train {
	my ($model, $options, $workers, $more, $source) = @_;
	$more //= '';
	$source //= 'places';
	return "CALL csp_train('$model', '$source', 'geom', 'features', 'label', '$options'::jsonb || '{\"workers\": $workers}'$more)";
}
# The run, once all its workers are at work in its first stage.
sub start {
	my ($model, $options, $workers) = @_;
	my $run = sql(train($model, $options, $workers, ', wait => false'));
	until_true("SELECT workers = $workers AND phase = 'pretraining' AND epoch > 2 FROM csp.progress WHERE id = $run");
	return $run;
}
sub leader { my ($run) = @_; return sql("SELECT pid FROM csp.runs WHERE id = $run"); }
sub further_worker { my ($run, $number) = @_; return sql("SELECT pid FROM pg_stat_activity WHERE application_name = 'csp_ext training run $run worker $number'"); }
sub end_of { my ($run) = @_; return sql("SELECT state, sqlstate, message FROM csp.runs WHERE id = $run"); }
sub metrics { my ($run) = @_; return sql("SELECT md5(string_agg((stage, epoch, learning_rate, loss, loss_in_batch, validation_loss, validation_top1)::text, ',' ORDER BY stage, epoch)) FROM csp.metrics WHERE run = $run"); }

# Epochs whose figures differ by more than 1e-4, or that only one of the runs has.
sub different_epochs {
	my ($a, $b) = @_;
	my $figures = join(' OR ', map { "(a.$_ IS NULL) <> (b.$_ IS NULL) OR abs(a.$_ - b.$_) > 1e-4" }
		qw(loss loss_in_batch loss_negative loss_dropout validation_loss validation_top1));
	return sql("SELECT count(*) FROM (SELECT * FROM csp.metrics WHERE run = $a) a FULL JOIN (SELECT * FROM csp.metrics WHERE run = $b) b USING (stage, epoch) WHERE a.run IS NULL OR b.run IS NULL OR $figures");
}

# ---- the same figures -----------------------------------------------------------------------------------------------

my (undef, undef, $refusal) = $node->psql('postgres', train('probe', $every_term, 2));
if ($refusal =~ /compiled without the headers of Gloo/) {
	$node->stop;
	plan skip_all => 'this build has no Gloo';
}

my %run;
for my $workers (1, 2, 3) {
	sql(train("by_$workers", $every_term, $workers));
	$run{$workers} = last_run();
	is(sql("SELECT state, workers FROM csp.runs WHERE id = $run{$workers}"), "succeeded|$workers", "$workers workers have trained");
	is(sql("SELECT count(*), min(provenance->>'workers') FROM csp.models WHERE name = 'by_$workers'"), "1|$workers", 'they have made one version');
}
is(sql("SELECT count(*) FROM csp.metrics WHERE run = $run{1}"), '6', 'six epochs have figures');
is(different_epochs($run{1}, $run{2}), '0', 'two workers make the loss curve of one');
is(different_epochs($run{1}, $run{3}), '0', 'three workers make the loss curve of one');
is(sql($processes), '0', 'all workers have ended');

# Each reading would give other rows.
sql(train('random', $every_term, 3, '', 'SELECT * FROM places WHERE random() < 0.7'));
is(sql('SELECT state, workers FROM csp.runs WHERE id = ' . last_run()), 'succeeded|3', 'a source with random() is read once for all workers');

my ($rc, $out, $err) = $node->psql('postgres', "SET csp.training_memory = '80MB'; " . train('large', $every_term, 3));
like($err, qr/does not fit into csp.training_memory/, 'the memory of all workers counts');
(undef, undef, $err) = $node->psql('postgres', train('none', $every_term, 0));
like($err, qr/"workers"/, 'a run has one worker at least');

# ---- workers that go away -------------------------------------------------------------------------------------------

sql(train('whole', $long, 2));
my $whole = metrics(last_run());
my $whole_model = sql("SELECT md5(csp_export('whole'))");

sub resumes {
	my ($run, $model, $what) = @_;
	my ($rc, $out, $err) = $node->psql('postgres', "CALL csp_resume($run)");
	is($rc, 0, "$what: csp_resume succeeds") or diag($err);
	is(sql("SELECT state, workers, resumed FROM csp.runs WHERE id = $run"), 'succeeded|2|1', "$what: the run tells");
	is(metrics($run), $whole, "$what: its epochs have the figures of the run that was not interrupted");
	is(sql("SELECT md5(csp_export('$model'))"), $whole_model, "$what: it gives the same model, to the bit");
}

# The run ends by itself, its last step is kept, and nobody is left.
sub ends {
	my ($run, $state, $message, $what) = @_;
	until_true("SELECT csp.current_state(r) <> 'running' FROM csp.run r WHERE id = $run");
	my $end = end_of($run);
	like($end, qr/^$state\|/, "$what: the run is $state");
	like($end, $message, "$what: the run says why");
	until_true($processes =~ s/count\(\*\)/count(*) = 0/r);
	cmp_ok(sql("SELECT count(*) FROM csp.run_checkpoint WHERE run = $run"), '>', 0, "$what: a checkpoint is there");
}

my $run = start('terminated', $long, 2);
sql('SELECT pg_terminate_backend(' . further_worker($run, 2) . ')');
ends($run, 'failed', qr/57P01\|worker 2 of the training run failed: terminating training worker due to administrator command/, 'a worker that is terminated');
resumes($run, 'terminated', 'after a worker was terminated');

$run = start('cancelled', $long, 2);
is(sql("SELECT csp_cancel($run)"), 't', 'a run with several workers can be cancelled');
ends($run, 'cancelled', qr/57014/, 'a cancelled run');
resumes($run, 'cancelled', 'after a cancel');

$run = start('stopped', $endless, 3);
my $stopped = further_worker($run, 3);
kill 'STOP', $stopped;
until_true("SELECT state <> 'running' FROM csp.runs WHERE id = $run");
like(end_of($run), qr/^failed\|57P02\|worker 3 of the training run does not answer/, 'a worker that is stopped fails the run');
kill 'CONT', $stopped;
until_true($processes =~ s/count\(\*\)/count(*) = 0/r);
pass('and ends when it goes on');

$run = start('leaderless', $endless, 3);
my $leader = leader($run);
kill 'STOP', $leader;
until_true($processes =~ s/count\(\*\)/count(*) = 1/r);
pass('workers end when the first of them is stopped');
kill 'CONT', $leader;
ends($run, 'failed', qr/57P02\|worker [23] of the training run ended unexpectedly/, 'the first worker, when it goes on');

# By the rule of PostgreSQL the death of a process restarts the server.
for my $lost ('leader', 'further worker') {
	my $model = $lost eq 'leader' ? 'leader_killed' : 'worker_killed';
	my $run = start($model, $long, 2);
	my $seen = sql("SELECT checkpoint FROM csp.run WHERE id = $run");
	until_true("SELECT checkpoint IS NOT NULL AND checkpoint::text <> '$seen' FROM csp.run WHERE id = $run");
	kill 'KILL', $lost eq 'leader' ? leader($run) : further_worker($run, 2);
	ends($run, 'crashed', qr/^crashed/, "kill -9 of the $lost");
	resumes($run, $model, "after kill -9 of the $lost");
}

is(scalar(glob($node->data_dir . '/base/pgsql_tmp/*csp*')), undef, 'no file is left behind');
$run = start('shut_down', $endless, 3);
$node->stop('fast');
$node->start;
like(end_of($run), qr/^(cancelled|failed)\|57P01/, 'a fast shutdown ends the run');
is(sql($processes), '0', 'and all its workers');
$node->stop;

# ---- too few slots ----------------------------------------------------------------------------------------------------

# One is the server's own.
$node = new_node('slots', 3);
sql(train('one', $every_term, 1));
my $one = last_run();
sql(train('four', $every_term, 4));
is(sql('SELECT state, workers FROM csp.runs WHERE id = ' . last_run()), 'succeeded|2', 'a run goes on with the workers that have found a slot');
is(different_epochs($one, last_run()), '0', 'and makes the same loss curve');
like(slurp_file($node->logfile), qr/training run \d+ goes on with 2 of 4 workers/, 'the log says so');
$node->stop;

done_testing();

# A physical standby: it answers to the same bits, follows deploys, refuses what writes, and trains once it is promoted.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use CspServer;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $small = $CspServer::small;
my $primary = CspServer->new('primary', 'wal_level = replica', 'max_wal_senders = 4', 'hot_standby_feedback = on', 'csp.max_training_workers = 1');
# CspServer sets up no replication: initdb's pg_hba.conf trusts local connections for it too.
$primary->node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary->node, 'base', has_streaming => 1);
$standby->start;

sub sql { return $primary->sql(@_); }
sub standby { my ($query) = @_; return $standby->safe_psql('postgres', $query); }
sub error_of { my ($query) = @_; my ($rc, $out, $err) = $standby->psql('postgres', "\\set VERBOSITY verbose\n$query"); return $err; }
sub caught_up { $primary->node->wait_for_catchup($standby, 'replay', $primary->node->lsn('flush')); }

my $answers = q{SELECT md5(string_agg(concat(csp_embed(geom, 'good'), csp_probabilities(geom, 'good'), (SELECT string_agg(c::text, ' ') FROM csp_classify(geom, 2, 'good') c)), ' ' ORDER BY id))
	FROM places};
caught_up();
is(standby($answers), sql($answers), 'a standby answers to the same bits');
is(standby("SET csp.enable_batch = off; $answers"), sql($answers), 'row by row too');
my $parallel = 'SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; ';
is(standby($parallel . $answers), sql($answers), 'and in parallel workers');

# ---- deploys ------------------------------------------------------------------------------------------------------------------

my $place = 'ST_SetSRID(ST_MakePoint(12.5, 41.9), 4326)';
my $embed = "SELECT csp_embed($place, 'good')";
my $session = $standby->background_psql('postgres');
$session->query_safe("PREPARE p AS $embed");
my $first = $session->query_safe($embed);
is($first, $primary->{answer}, 'a session has the model loaded');
sql($primary->train('good', $small =~ s/}/, "seed": 7}/r));
caught_up();
my $second = sql($embed);
isnt($second, $first, 'another version is deployed on the primary');
is($session->query_safe($embed), $second, 'and in that session of the standby');
is($session->query_safe('EXECUTE p'), $second, 'prepared before it');
sql(q{SELECT csp_import('good', csp_export('good@1'))});
caught_up();
is($session->query_safe($embed), $first, 'an import too');
# A transaction goes on with what it began with.
$session->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ');
$session->query_safe($embed);
sql(q{SELECT csp_rollback('good')});
caught_up();
is($session->query_safe($embed), $first, 'a deploy does not change a transaction under its snapshot');
$session->query_safe('COMMIT');
is($session->query_safe($embed), $second, 'but the next');
is(standby("SELECT csp_embed_version($place, csp_model_version('good\@1'))"), $first, 'csp_embed_version');

# ---- views, with a run under way ------------------------------------------------------------------------------------------------

my $run = $primary->start('long', $CspServer::endless);
$primary->until_it_trains($run);
my $queued = $primary->start('queued', $small);
caught_up();
is(standby("SELECT state, phase FROM csp.runs WHERE id = $run"), 'running|pretraining', 'csp.runs shows a run of the primary');
is(standby("SELECT count(*), count(epoch) FROM csp.progress WHERE id = $run"), '1|1', 'csp.progress too');
is(standby("SELECT count(*) FROM csp.metrics WHERE run < $run"), sql("SELECT count(*) FROM csp.metrics WHERE run < $run"), 'csp.metrics');
standby("SELECT * FROM csp.$_") for qw(models classes searches trials bulk_runs);

# ---- what writes ----------------------------------------------------------------------------------------------------------------

for (
	[ $primary->train('new', $small), 'csp_train' ],
	[ $primary->train('new', '{"no such option": 1}', '', 'no_such_table'), 'csp_train, whatever else is wrong' ],
	[ "SELECT csp_import('new', csp_export('good'))", 'csp_import' ],
	[ "CALL csp_tune('new', 'places', 'geom', 'features', 'label', trials => 2)", 'csp_tune' ],
	[ "CALL csp_resume($run)", 'csp_resume' ],
	[ 'CALL csp_resume_search(1)', 'csp_resume_search' ],
	[ "SELECT csp_cancel($run)", 'csp_cancel' ],
	[ "CALL csp_embed_table('places', 'id', 'geom', model => 'good')", 'csp_embed_table' ],
	[ "SELECT csp_deploy('good\@1')", 'csp_deploy' ],
	[ "SELECT csp_rollback('good')", 'csp_rollback' ],
	[ "SELECT csp_rename('good', 'better')", 'csp_rename' ],
	[ "SELECT csp_comment('good', 'a comment')", 'csp_comment' ],
	[ "SELECT csp_drop_model('good')", 'csp_drop_model' ],
	[ "SELECT csp_grant('good', 'public')", 'csp_grant' ],
	[ "SELECT csp_revoke('good', 'public')", 'csp_revoke' ],
	[ "SELECT csp_set_owner('good', 'postgres')", 'csp_set_owner' ],
	[ "UPDATE csp.model SET deployed = NULL", 'UPDATE of the catalogue' ],
) {
	my ($statement, $what) = @$_;
	like(error_of($statement), qr/^psql:<stdin>:2: ERROR:  25006: cannot execute [\w ()]+ (during recovery|in a read-only transaction)/, "$what is refused");
}
is(standby('SELECT state FROM csp.runs WHERE model = \'queued\''), 'queued', 'nobody there starts a run that is queued');
like(error_of($primary->train('new', $small)), qr/HINT:  Train on the primary/, 'with a hint');
is(standby("SELECT csp_wait($run, '0.2 s')"), 'running', 'csp_wait sees what the primary does');
is(sql("SELECT csp_cancel($run)"), 't', 'cancelled on the primary');
is(standby("SELECT csp_wait($run, '60 s')"), 'cancelled', 'csp_wait on the standby hears of it');
is(standby("SELECT count(*) FROM csp_info()"), sql('SELECT count(*) FROM csp_info()'), 'csp_info');

# ---- promotion ------------------------------------------------------------------------------------------------------------------

$run = $primary->start('lost', $CspServer::endless);
$primary->until_it_trains($run);
caught_up();
$primary->node->stop('immediate');
$standby->promote;
is($session->query_safe($embed), $second, 'a session goes on across the promotion');
is(standby("SELECT state FROM csp.runs WHERE id = $run"), 'crashed', 'a run that was lost with the primary has crashed');
my $last = standby('SELECT max(id) FROM csp.model_version');
my $trained = $primary->train('good', $small =~ s/}/, "seed": 8}/r);
standby("SET client_min_messages = warning; $trained");
my ($id, $version) = split /\|/, standby(q{SELECT id, version FROM csp.models WHERE name = 'good' AND deployed});
cmp_ok($id, '>', $last, 'the promoted server trains, with numbers that nobody had');
is($version, 4, 'the next version');
isnt($session->query_safe($embed), $second, 'and the session follows');
standby("SET client_min_messages = warning; CALL csp_resume($run, wait => false)");
$standby->poll_query_until('postgres', "SELECT state = 'running' AND phase = 'pretraining' FROM csp.run WHERE id = $run") or die;
is(standby("SELECT csp_cancel($run)"), 't', 'the lost run is resumed there');
is(standby("SELECT csp_wait($run, '60 s')"), 'cancelled', 'as any other');

$session->quit;
$standby->stop;
done_testing();

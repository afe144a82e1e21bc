# Logical replication of models: a subscriber answers to the same bits and follows deploys; what it does not get.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use CspServer;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $small = $CspServer::small;
my $publisher = CspServer->new('publisher', 'wal_level = logical', 'csp.max_training_workers = 1', 'max_wal_senders = 10', 'max_replication_slots = 10');
my $node = PostgreSQL::Test::Cluster->new('subscriber');
$node->init;
$node->append_conf('postgresql.conf', "max_worker_processes = 16\nlog_min_messages = warning\nwal_retrieve_retry_interval = 100ms\n");
$node->start;
my $connection = $publisher->node->connstr . ' dbname=postgres';
my $place = 'ST_SetSRID(ST_MakePoint(12.5, 41.9), 4326)';
my $embed = "SELECT csp_embed($place, 'good')";

sub sql { return $publisher->sql(@_); }
sub there { my ($query) = @_; return $node->safe_psql('postgres', $query); }
sub error_there { my ($query) = @_; my ($rc, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$query"); return $err; }
sub caught_up { $publisher->node->wait_for_catchup('csp'); }
sub subscribe {
	my ($what) = @_;
	sql("CREATE PUBLICATION csp $what");
	there("CREATE SUBSCRIPTION csp CONNECTION '$connection' PUBLICATION csp");
	$node->poll_query_until('postgres', q(SELECT count(*) > 0 AND bool_and(srsubstate IN ('r', 's')) FROM pg_subscription_rel)) or die 'no synchronization';
	caught_up();
}
sub unsubscribe { there('DROP SUBSCRIPTION csp'); sql('DROP PUBLICATION csp'); }

is(sql(q(SELECT string_agg(c.oid::regclass::text, ', ') FROM pg_class c WHERE relnamespace = 'csp'::regnamespace AND relkind = 'r'
	AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary))), '', 'every table has a primary key, by which rows are found again');

# ---- models ------------------------------------------------------------------------------------------------------------------

sql(q{CREATE ROLE keeper; SELECT csp_import('kept', csp_export('good')); UPDATE csp.model SET owner = 'keeper' WHERE name = 'kept'});
there($CspServer::extension . $CspServer::places . 'CREATE ROLE keeper');
my $models = 'csp.model, csp.model_version, csp.model_weights, csp.model_class';
subscribe("FOR TABLE $models");
my $answers = q{SELECT md5(string_agg(concat(csp_embed(geom, 'good'), csp_probabilities(geom, 'good'), (SELECT string_agg(c::text, ' ') FROM csp_classify(geom, 2, 'good') c)), ' ' ORDER BY id))
	FROM places};
is(there($answers), sql($answers), 'a subscriber answers to the same bits');
is(there('SELECT name, version, deployed, owner FROM csp.models ORDER BY id'), sql('SELECT name, version, deployed, owner FROM csp.models ORDER BY id'), 'it has the models, with their owners');

my $session = $node->background_psql('postgres');
my $first = $session->query_safe($embed);
$session->query_safe("PREPARE p AS $embed");
is($session->query_safe('EXECUTE p'), $publisher->{answer}, 'a session has the model loaded');
sql($publisher->train('good', $small =~ s/}/, "seed": 7}/r));
my $second = sql($embed);
isnt($second, $first, 'another version is deployed on the publisher');
caught_up();
is($session->query_safe($embed), $second, 'and in that session of the subscriber');
is($session->query_safe('EXECUTE p'), $second, 'prepared before it');
sql(q{UPDATE csp.model SET deployed = (SELECT min(id) FROM csp.model_version WHERE model = 'good') WHERE name = 'good'});
caught_up();
is($session->query_safe($embed), $first, 'back to the first');
sql(q{UPDATE csp.model SET name = 'better' WHERE name = 'good'});
caught_up();
is($session->query_safe("SELECT csp_embed($place, 'better')"), $first, 'a new name');
like(error_there($embed), qr/model "good" does not exist/, 'and not the old one');
sql(q{UPDATE csp.model SET name = 'good' WHERE name = 'better'});
sql(q{DELETE FROM csp.model_version WHERE model = 'kept'; DELETE FROM csp.model WHERE name = 'kept'});
caught_up();
is(there('SELECT string_agg(name, \',\') FROM csp.models'), 'good,good', 'a model that was deleted is gone');
is(there('SELECT count(*) FROM csp.model_weights w WHERE NOT EXISTS (SELECT FROM csp.model_version v WHERE v.id = w.version)'), '0', 'with its weights');

# Rights at the subscriber are its own.
there('CREATE ROLE stranger LOGIN');
like(error_there("SET ROLE stranger; $embed"), qr/model "good" does not exist/, 'row-level security holds there');

# Sequences are not replicated.
is(there('SELECT last_value, is_called FROM csp.model_version_id_seq'), '1|f', 'numbers are not handed on');
like(error_there(q{SELECT csp_import('own', csp_export('good'))}), qr/duplicate key value violates unique constraint "model_version_pkey"/, 'so that models made there would meet those that come');
unsubscribe();
there(q{SELECT setval('csp.model_version_id_seq', (SELECT max(id) FROM csp.model_version))});
is(there(q{SELECT csp_import('own', csp_export('good')) > (SELECT max(id) FROM csp.model_version WHERE model = 'good')}), 't', 'after the switch, with the sequence set, it goes on by itself');
there("SET client_min_messages = warning; " . $publisher->train('good', $small =~ s/}/, "seed": 8}/r));
isnt($session->query_safe($embed), $first, 'and trains');

# ---- the whole schema ------------------------------------------------------------------------------------------------------------

# Other versions under the numbers that the subscriber has given meanwhile.
sql(q{SELECT csp_import('other', csp_export('good@1'))});
sql($publisher->train('good', $small =~ s/}/, "seed": 9}/r));
is(sql(q(SELECT deployed FROM csp.model WHERE name = 'good')), there(q(SELECT deployed FROM csp.model WHERE name = 'good')), 'the same number in both places');
isnt(sql($embed), $session->query_safe($embed), 'for different versions');
there("TRUNCATE csp.model CASCADE");
like(error_there($embed), qr/there|does not exist/, 'an empty catalogue');
there('TRUNCATE csp.run CASCADE; TRUNCATE csp.search CASCADE');
subscribe('FOR TABLES IN SCHEMA csp');
is(there($answers), sql($answers), 'all tables of schema csp: the same bits');
is($session->query_safe($embed), sql($embed), 'in a session from before');
is(there('SELECT id, model, state FROM csp.runs ORDER BY id'), sql('SELECT id, model, state FROM csp.runs ORDER BY id'), 'and the runs');
my $run = $publisher->start('long', $CspServer::endless);
$publisher->until_it_trains($run);
my $queued = $publisher->start('queued', $small);
caught_up();
is(there("SELECT string_agg(state::text, ' ' ORDER BY id) FROM csp.runs WHERE id IN ($run, $queued)"), 'running queued', 'a run that goes on there, and one that is queued');
is(there("SELECT count(*) FROM csp.progress"), '2', 'have not crashed');
is(there(q(SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'csp_ext%')), '0', 'and nobody here starts them');
like(error_there($_), qr/ERROR:  55000: cannot execute \w+ where csp.run comes by logical replication.*HINT:  Train there; or/s, 'what would meddle is refused')
	for $publisher->train('own', $small), "SELECT csp_cancel($run)", "CALL csp_resume($run)", "CALL csp_tune('own', 'places', 'geom', 'features', 'label', trials => 2)";
sql("SELECT csp_cancel($queued); SELECT csp_cancel($run); SELECT csp_wait($run)");
caught_up();
is(there("SELECT csp_wait($run)"), 'cancelled', 'csp_wait hears of the end');
sql('TRUNCATE csp.model, csp.model_version, csp.model_weights, csp.model_class, csp.run, csp.run_metric, csp.run_checkpoint, csp.search, csp.search_trial, csp.trial_model, csp.trial_weights, csp.bulk_run');
caught_up();
like(error_there($embed), qr/model "good" does not exist/, 'TRUNCATE is followed');
$session->quit;
unsubscribe();

$node->stop;
$publisher->node->stop;
done_testing();

# The registry on real servers: names that change under a run or a search, what keeps a model from being dropped, answers by
# version on a foreign server and in parallel workers, an extension that is made anew.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use CspServer;
use PostgreSQL::Test::Utils;
use Test::More;

my $server = CspServer->new('registry', 'csp.max_training_workers = 1');
my $small = $CspServer::small;
my $long = $small =~ s/"pretrain_epochs": 1,/"pretrain_epochs": 300,/r;
my $id = sql("SELECT csp_model_version('good')");
sub sql { return $server->sql(@_); }
sub error_of { return $server->error_of(@_); }
sub versions { my ($model) = @_; return sql("SELECT string_agg(version || CASE WHEN deployed THEN ' deployed' ELSE '' END, ', ' ORDER BY version) FROM csp.models WHERE name = '$model'"); }
sub ends { my ($run, $what) = @_; is(sql("SELECT csp_wait($run, '120 s')"), 'succeeded', $what); }

# ---- names that change ---------------------------------------------------------------------------------------------------

my $run = $server->start('before', $long);
$server->until_it_trains($run);
my $queued = $server->start('good', $small);
is(sql("SELECT csp_rename('good', 'after')"), '', 'a model is renamed while a run of it is queued');
ends($run, 'the run that goes on ends');
ends($queued, 'and the queued one');
is(versions('after'), '1, 2 deployed', 'which publishes under the new name');
is(versions('good') . versions('before'), '1 deployed', 'and the other model is its own');

$run = $server->start('after', $long);
$server->until_it_trains($run);
sql("SELECT csp_rename('after', 'good')");
ends($run, 'a run whose model is renamed meanwhile ends');
is(versions('good'), '1, 2, 3 deployed', 'and publishes under the new name');
is(versions('after'), '', 'not under the old one');
is(sql("SELECT model FROM csp.runs WHERE id = $run"), 'good', 'which its run has forgotten too');

# Renaming is the other's transaction; that it is open holds the run up, but no more.
$run = $server->start('good', $long);
$server->until_it_trains($run);
my $renaming = $server->node->background_psql('postgres');
$renaming->query_safe("BEGIN; SELECT csp_rename('good', 'never')");
$server->until_true("SELECT count(*) > 0 FROM pg_stat_activity WHERE backend_type LIKE 'csp_ext%' AND wait_event_type = 'Lock'");
$renaming->query_safe('ROLLBACK');
ends($run, 'a run that waited for a renaming, which was rolled back, ends');
is(versions('good'), '1, 2, 3, 4 deployed', 'and publishes under the name that stayed');
$renaming->quit;

sql(q{CALL csp_tune('good', 'places', 'geom', 'features', 'label', '{"learning_rate": [0.1, 0.01, 0.001]}', trials => 3,
	options => '{"pretrain_epochs": 50, "epochs": 1, "embedding_dim": 8}', wait => false)});
my $search = sql('SELECT max(id) FROM csp.searches');
like(error_of("SELECT csp_drop_model('good')"), qr/ERROR:  55006: model "good" is in use\nDETAIL:  Search $search goes on or is queued/, 'a model is not dropped during a search');
sql("SELECT csp_rename('good', 'found')");
is(sql("SELECT csp_wait_search($search, '120 s')"), 'succeeded', 'a search whose model is renamed meanwhile ends');
is(versions('found'), '1, 2, 3, 4, 5 deployed', 'and publishes under the new name');
sql("SELECT csp_rename('found', 'good'), csp_deploy('good', 1)");

# ---- what keeps a model from being dropped -------------------------------------------------------------------------------

$run = $server->start('good', $CspServer::endless);
$server->until_it_trains($run);
like(error_of("SELECT csp_drop_model('good')"), qr/ERROR:  55006: .*\nDETAIL:  Training run $run goes on or is queued/, 'a model is not dropped while it is trained');
is(sql("BEGIN; SELECT csp_drop_model('good\@2'); ROLLBACK; SELECT csp_cancel($run)"), "\nt", 'a version that is not deployed is');
sql("SELECT csp_wait($run)");
$run = $server->start('killed', $CspServer::endless);
$server->until_it_trains($run);
sql("SELECT csp_import('killed', csp_export('good'))");
kill 'KILL', $server->pid_of($run);
$server->until_it_is_up;
is($server->state_of($run), 'crashed', 'a run has crashed');
is(sql("SELECT csp_drop_model('killed')"), '', 'which keeps no model from being dropped');

# A view that was made after the snapshot of a transaction that drops.
my $dropping = $server->node->background_psql('postgres', on_error_stop => 0);
$dropping->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM places');
sql("CREATE VIEW later AS SELECT csp_embed(geom, 'good') FROM places");
like(($dropping->query("SELECT csp_drop_model('good')"))[0] . $dropping->{stderr}, qr/view later depends on model "good"/, 'a drop sees what depends on the model now');
$dropping->quit;
sql('DROP VIEW later');

sql('CREATE TABLE held AS SELECT id, geom FROM places; ALTER TABLE held ADD PRIMARY KEY (id), ADD embedding real[], ADD embedding_version bigint');
my $holder = $server->node->background_psql('postgres');
$holder->query_safe('BEGIN; SELECT FROM held WHERE id = 100 FOR UPDATE');
my $embedding = $server->start_psql(\my $out, \my $err, "CALL csp_embed_table('held', model => 'good\@2')");
$server->until_true("SELECT count(*) > 0 FROM csp.bulk_runs WHERE state = 'running'");
like(error_of("SELECT csp_drop_model('good\@2')"), qr/ERROR:  55006: model "good" is in use\nDETAIL:  Call of csp_embed_table 1 goes on/, 'nor is a version with which a table is filled');
$holder->query_safe('COMMIT');
$embedding->finish;
$holder->quit;
is(sql("SELECT count(*) FROM held WHERE embedding = csp_embed(geom, 'good\@2')"), 360, 'which is then');

# ---- answers by version --------------------------------------------------------------------------------------------------

# Two partitions of an index, a column of a partitioned table: all parts go.
sql(qq{
	CREATE TABLE parts (id bigint, geom geometry, embedding real[] GENERATED ALWAYS AS (csp_embed_version(geom, $id)) STORED) PARTITION BY HASH (id);
	CREATE TABLE part_0 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 0);
	CREATE TABLE part_1 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 1);
	CREATE INDEX parts_embedding ON parts ((csp_embed_version(geom, $id)));
	CREATE TABLE keeps_apart (geom geometry, EXCLUDE USING btree ((csp_embed_version(geom, $id)) WITH =));
	INSERT INTO parts (id, geom) SELECT id, geom FROM places;
});
is(sql("SELECT count(*) FROM parts WHERE embedding = csp_embed(geom, 'good\@1')"), 360, 'generated columns of partitions');
is(sql("SELECT string_agg(object, ', ' ORDER BY object COLLATE \"C\") FROM csp.dependents"),
	'column embedding of table part_0, column embedding of table part_1, column embedding of table parts, '
	. 'constraint keeps_apart_csp_embed_version_excl on table keeps_apart, index parts_embedding', 'what depends on a version');
my ($rc, $stdout, $stderr) = $server->node->psql('postgres', "BEGIN; SELECT csp_deploy('good', 2), csp_drop_model('good\@1', true); SELECT count(*) FROM csp.dependents; ROLLBACK");
is($rc, 0, 'all of it is dropped') or diag($stderr);
like($stdout, qr/^0$/m, 'so that nothing depends on it');
sql('DROP TABLE parts, keeps_apart');

# A foreign server that has the version under the same id evaluates it there.
SKIP: {
	skip 'postgres_fdw is not installed', 4 unless sql("SELECT count(*) FROM pg_available_extensions WHERE name = 'postgres_fdw'");
	my $node = $server->node;
	sql('CREATE DATABASE remote');
	$node->safe_psql('remote', $CspServer::extension . $CspServer::places);
	my $file = sql("SELECT encode(csp_export('good\@1'), 'hex')");
	is($node->safe_psql('remote', "SELECT csp_import('good', decode('$file', 'hex'))"), $id, 'another database has the version under the same id');
	my ($host, $port) = ($node->host, $node->port);
	sql(qq{
		CREATE EXTENSION postgres_fdw;
		CREATE SERVER remote FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '$host', port '$port', dbname 'remote', extensions 'csp_ext, postgis');
		CREATE USER MAPPING FOR CURRENT_USER SERVER remote;
		CREATE FOREIGN TABLE far (id bigint, geom geometry) SERVER remote OPTIONS (table_name 'places');
	});
	my $where = 'FROM far WHERE (csp_embed_version(geom, %s))[1] > 0';
	like(sql('EXPLAIN (VERBOSE, COSTS OFF) SELECT count(*) ' . sprintf($where, $id)), qr/Remote SQL: SELECT count\(\*\) FROM public\.places WHERE .*csp_embed_version\(geom, /,
		'a filter by version is evaluated by a foreign server');
	unlike(sql("EXPLAIN (VERBOSE, COSTS OFF) SELECT count(*) FROM far WHERE (csp_embed(geom, 'good'))[1] > 0"), qr/Remote SQL:.*csp_embed/, 'one by name is not: names mean something else there');
	is(sql('SELECT count(*) ' . sprintf($where, $id)), sql("SELECT count(*) FROM places WHERE (csp_embed(geom, 'good\@1'))[1] > 0"), 'with the same answers');
}

# Parallel workers answer by the snapshot of their leader.
sql('CREATE TABLE many AS SELECT ST_SetSRID(ST_MakePoint(i % 360 - 180, i % 170 - 85), 4326) AS geom FROM generate_series(1, 20000) i; ANALYZE many');
my $parallel = 'SET min_parallel_table_scan_size = 0; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET max_parallel_workers_per_gather = 2; SET parallel_leader_participation = off;';
my $digest = "SELECT count(*) FILTER (WHERE csp_embed(geom, 'good') = csp_embed_version(geom, $id)) FROM many";
like(sql("$parallel EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) $digest"), qr/Workers Launched: 2/, 'parallel workers');
my $reader = $server->node->background_psql('postgres');
$reader->query_safe("$parallel BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM places");
sql("SELECT csp_deploy('good', 3)");  # trained for longer than 1 and 2, which are equal
is($reader->query_safe($digest), 20000, 'in a snapshot from before a deploy');
is($reader->query_safe("COMMIT; $digest"), 0, 'and after it');
$reader->quit;

# ---- an extension that is made anew ---------------------------------------------------------------------------------------

# Ids begin anew: a session must not answer from what it has loaded of other models.
my $file = sql("SELECT encode(csp_export('good\@3'), 'hex')");
my $embed = 'SELECT md5(csp_embed_version(geom, 1)::text) FROM places WHERE id = 7';
my $second = sql("SELECT md5(csp_embed(geom, 'good\@3')::text) FROM places WHERE id = 7");
my $session = $server->node->background_psql('postgres');
isnt($session->query_safe($embed), $second, 'a session has loaded version 1');
$session->query_safe('SET client_min_messages = warning; DROP EXTENSION csp_ext CASCADE; CREATE EXTENSION csp_ext');
is($session->query_safe("SELECT csp_import('good', decode('$file', 'hex'))"), 1, 'another model has its id');
is($session->query_safe($embed), $second, 'and answers');
$session->quit;

done_testing();

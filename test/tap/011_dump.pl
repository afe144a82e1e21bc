# pg_dump and pg_restore: models answer to the same bits, numbers go on, what users build on csp functions is restored.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use CspServer;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $files = PostgreSQL::Test::Utils::tempdir();
my $node = PostgreSQL::Test::Cluster->new('source');
$node->init;
$node->append_conf('postgresql.conf', "max_worker_processes = 16\nlog_min_messages = warning\n");
$node->start;
my $bare = PostgreSQL::Test::Cluster->new('bare');
$bare->init;
$bare->append_conf('postgresql.conf', "max_worker_processes = 16\nlog_min_messages = warning\n");
$bare->start;

sub sql { my ($database, $query) = @_; return $node->safe_psql($database, "SET search_path = public, geo, gis; SET client_min_messages = warning; $query"); }
sub tool { my ($name, $database, @arguments) = @_; return [ $name, '-d', $node->connstr($database), @arguments ]; }
sub dump_to { my ($file, $database, @options) = @_; command_ok(tool('pg_dump', $database, '-f', "$files/$file", @options), "pg_dump @options"); }
sub new_database { my ($database) = @_; sql('postgres', "CREATE DATABASE $database"); return $database; }

# ---- a database in which csp_ext is in a schema of its own -----------------------------------------------------------------------

my $small = $CspServer::small;
my $train = "CALL csp_train('birds', 'places', 'geom', 'features', 'label', '$small')";
sql('postgres', 'CREATE ROLE keeper LOGIN; CREATE ROLE "Odd, name" LOGIN');
new_database('source');
my $new_extension = q{CREATE SCHEMA gis; CREATE SCHEMA geo; GRANT USAGE ON SCHEMA gis, geo TO PUBLIC; CREATE EXTENSION postgis SCHEMA gis; CREATE EXTENSION csp_ext SCHEMA geo;};
$node->safe_psql('source', $new_extension);
sql('source', $CspServer::places . qq{
	GRANT EXECUTE ON PROCEDURE csp_train, csp_tune TO keeper, "Odd, name";
	GRANT EXECUTE ON FUNCTION csp_import TO keeper, "Odd, name";
	ALTER TABLE places OWNER TO keeper;
	GRANT SELECT ON places TO PUBLIC;
});
my $as_keeper = 'SET ROLE keeper;';
sql('source', "$as_keeper $train");
sql('source', "$as_keeper " . $train =~ s/}/, "seed": 7}/r);
sql('source', q{
	CREATE TABLE file AS SELECT csp_export('birds@1') AS model;
	GRANT SELECT ON file TO PUBLIC;
	SELECT csp_import('mine', model) FROM file;
	SELECT csp_grant('mine', 'keeper'), csp_grant('mine', 'public'), csp_comment('mine', 'kept for comparisons');
	SET ROLE "Odd, name";
	SELECT csp_import('odd', model) FROM file;
});
sql('source', "$as_keeper CALL csp_tune('trees', 'places', 'geom', 'features', 'label', search => '{\"learning_rate\": [0.001, 0.01]}', trials => 2, options => '$small')");
sql('source', "SELECT csp_import('again', csp_export('birds'))");
sql('source', "$as_keeper CALL csp_embed_table('places', 'id', 'geom', model => 'birds');");
sql('source', "CREATE TRIGGER current_embedding BEFORE INSERT OR UPDATE ON places FOR EACH ROW EXECUTE FUNCTION csp_embed_trigger('geom', 'embedding', 'birds')");
# A run that was cancelled, with its checkpoint, and one that had no rows to go by.
my $run = sql('source', 'CALL csp_train(\'late\', \'places\', \'geom\', \'features\', \'label\', \'{"pretrain_epochs": 1000000, "hidden_dim": 32, "embedding_dim": 16, "frequencies": 8}\', wait => false)');
$node->poll_query_until('source', "SELECT phase = 'pretraining' AND epoch > 0 FROM csp.run WHERE id = $run") or die;
sql('source', "SELECT csp_cancel($run), csp_wait($run)");
is(sql('source', 'SELECT count(*) > 0 FROM csp.run_checkpoint'), 't', 'there is a checkpoint');
# What users build on it, in schemas that come before and after csp.
sql('source', q{
	CREATE SCHEMA aaa;
	CREATE VIEW aaa.shown AS SELECT id, csp_embed(geom, 'birds') AS embedding, csp_probability(geom, 'north', 'birds@1') AS north FROM places;
	CREATE MATERIALIZED VIEW aaa.stored AS SELECT * FROM aaa.shown;
	CREATE TABLE aaa.indexed AS SELECT id, geom FROM places;
	CREATE INDEX by_embedding ON aaa.indexed ((csp_embed_version(geom, 1)));
	CREATE TABLE aaa.checked (id bigint, geom geometry CHECK (csp_location_error(geom) IS NULL));
	INSERT INTO aaa.checked SELECT id, geom FROM places;
});

# Everything that a dump must bring, as text.
my @tables = split /\n/, sql('source', q(SELECT relname FROM pg_class WHERE relnamespace = 'csp'::regnamespace AND relkind = 'r' AND relname <> 'run_checkpoint' ORDER BY 1));
cmp_ok(scalar @tables, '>=', 11, "tables of csp: @tables");
my $embeddings = q{SELECT v.model, v.version, md5(string_agg(concat(csp_embed(p.geom, v.model || '@' || v.version), csp_probabilities(p.geom, v.model || '@' || v.version)), ' ' ORDER BY p.id))
	FROM places p, csp.model_version v GROUP BY v.model, v.version ORDER BY v.model, v.version;};
my $catalogue = join(' UNION ALL ', map { "SELECT '$_', count(*), md5(string_agg(t::text, ' ' ORDER BY t::text)) FROM csp.$_ t" } @tables) . ';';
my $sequences = q{SELECT sequencename, last_value FROM pg_sequences WHERE schemaname = 'csp' ORDER BY 1;};
my $built = join ' ', map { "SELECT '$_', count(*), md5(string_agg(t::text, ' ' ORDER BY id)) FROM $_ t;" } 'places', map { "aaa.$_" } qw(shown stored indexed checked);
sub contents { my ($database) = @_; return sql($database, $embeddings . $catalogue . $sequences . $built); }
my $contents = contents('source');

# Restored it answers, and goes on.
sub is_restored {
	my ($database, $what) = @_;
	is(contents($database), $contents, "$what: models, embeddings to the bit, runs, numbers, and what was built on them");
	is(sql($database, 'SELECT count(*) FROM csp.run_checkpoint'), '0', "$what: no checkpoints");
	is(sql($database, 'SET enable_seqscan = off; SELECT count(*) FROM aaa.indexed i JOIN places p USING (id) WHERE csp_embed_version(i.geom, 1) = csp_embed(p.geom, \'birds@1\')'), '360', "$what: the index on an expression");
	is(sql($database, q{UPDATE places SET geom = ST_SetSRID(ST_MakePoint(1, 2), 4326), embedding = NULL WHERE id = 7 RETURNING embedding = csp_embed(geom, 'birds')}), 't', "$what: the trigger");
	is(sql($database, q(SELECT max(id) + 1 FROM csp.model_version)), sql($database, q(SELECT csp_import('again', csp_export('again')))), "$what: an import takes the next number");
	is(sql($database, 'SET ROLE keeper; SELECT count(*) FROM csp.models WHERE name = \'mine\''), '1', "$what: grants");
	return if $what eq 'custom';
	sql($database, "$as_keeper $train");
	is(sql($database, q(SELECT id, version FROM csp.models WHERE name = 'birds' AND deployed)), sql($database, q(SELECT max(id), 3 FROM csp.model_version)), "$what: so does a training, by the owner");
	is(sql($database, "SELECT state FROM csp.runs ORDER BY id DESC LIMIT 1"), 'succeeded', "$what: its run too");
}

dump_to('plain.sql', 'source');
dump_to('custom', 'source', '-Fc');
dump_to('directory', 'source', '-Fd', '-j', '2');
unlike(slurp_file("$files/plain.sql"), qr/^COPY csp\.run_checkpoint/m, 'checkpoints are not in the dump');

new_database('plain');
command_ok(tool('psql', 'plain', '-Xq', '-v', 'ON_ERROR_STOP=1', '-o', '/dev/null', '-f', "$files/plain.sql"), 'a plain dump is restored without an error');
is_restored('plain', 'plain');
new_database('custom');
command_ok(tool('pg_restore', 'custom', '--exit-on-error', "$files/custom"), 'so is a custom one');
is_restored('custom', 'custom');
new_database('directory');
# An index on an expression may be made before the data of csp are there: see below.
my ($list) = run_command([ 'pg_restore', '-l', "$files/directory" ]);
PostgreSQL::Test::Utils::append_to_file("$files/list", join "\n", grep { !/INDEX aaa by_embedding/ } split /\n/, $list);
command_ok(tool('pg_restore', 'directory', '--exit-on-error', '-j', '2', '-L', "$files/list", "$files/directory"), 'and a directory, in parallel');
sql('directory', 'CREATE INDEX by_embedding ON aaa.indexed ((csp_embed_version(geom, 1)))');
is_restored('directory', 'directory');

# ---- over what is there ---------------------------------------------------------------------------------------------------------

dump_to('clean.sql', 'source', '--clean', '--if-exists');
command_ok(tool('psql', 'plain', '-Xq', '-v', 'ON_ERROR_STOP=1', '-o', '/dev/null', '-f', "$files/clean.sql"), 'a dump with --clean is restored over a database that has it all');
is(contents('plain'), $contents, 'and leaves what was dumped');

# Models of others under the same numbers.
new_database('other');
$node->safe_psql('other', $new_extension);
sql('other', $CspServer::places . 'CREATE TABLE kept AS SELECT 1 AS one; ' . $train =~ s/birds/theirs/r);
my $theirs = sql('other', q(SELECT csp_embed(geom, 'theirs') FROM places WHERE id = 1));
command_fails_like(tool('pg_restore', 'other', '--data-only', '-n', 'csp', '--single-transaction', "$files/custom"), qr/duplicate key value violates unique constraint/,
	'where there are models, a restore in one transaction fails');
is(sql('other', q(SELECT csp_embed(geom, 'theirs') FROM places WHERE id = 1)), $theirs, 'and leaves them alone');
my ($out, $err);
run_log(tool('pg_restore', 'other', '--data-only', '-n', 'csp', "$files/custom"), '>', \$out, '2>', \$err);
is(sql('other', q(SELECT csp_embed(geom, 'theirs') FROM places WHERE id = 1)), $theirs, 'one that goes on after errors, too');
my ($rc, $output, $error) = $node->psql('other', q(SELECT geo.csp_embed(geom, 'birds') FROM places));
like($error, qr/no version of model "birds" is deployed/, 'a name whose version could not be restored does not mean the version of another model');

# ---- parts -------------------------------------------------------------------------------------------------------------------------

new_database('parts');
$node->safe_psql('parts', $new_extension);
command_ok(tool('pg_restore', 'parts', '--data-only', '--exit-on-error', '-n', 'csp', "$files/custom"), 'the data of schema csp alone');
sql('parts', $CspServer::places);
is(sql('parts', $embeddings), sql('source', $embeddings), 'bring the models');
dump_to('table.sql', 'source', '-t', 'aaa.checked');
sql('parts', 'CREATE SCHEMA aaa');
command_ok(tool('psql', 'parts', '-Xq', '-v', 'ON_ERROR_STOP=1', '-o', '/dev/null', '-f', "$files/table.sql"), 'one table alone');
unlike(slurp_file("$files/table.sql"), qr/csp\./, 'brings no models');

# Generated columns are computed while their tables are loaded. pg_dump orders by names of schemas, and in parallel not at all.
sql('source', qq{
	CREATE TABLE $_ AS SELECT id, geom FROM places;
	ALTER TABLE $_ ADD embedding real[] GENERATED ALWAYS AS (csp_embed_version(geom, 1)) STORED}) for 'aaa.generated', 'zzz';
sub generated { my ($database) = @_; return sql($database, join ';', map { "SELECT count(*), md5(string_agg(t::text, ' ' ORDER BY id)) FROM $_ t" } 'aaa.generated', 'zzz'); }
dump_to('generated', 'source', '-Fc');
new_database('generated');
command_fails_like(tool('pg_restore', 'generated', "$files/generated"), qr/model version with id 1 does not exist.*COPY generated/s, 'a generated column whose table is loaded before the models');
is(generated('generated'), generated('source') =~ s/^360\|.*/0|/r, 'leaves the table empty, and others not');
new_database('sections');
command_ok(tool('pg_restore', 'sections', '--exit-on-error', @$_, "$files/generated"), "restored in sections: @$_")
	for [ '--section=pre-data' ], [ '--section=data', '-n', 'csp' ], [ '--section=data', '-N', 'csp', '-j', '2' ], [ '--section=post-data', '-j', '2' ];
is(generated('sections'), generated('source'), 'it has its values');
is(contents('sections'), $contents, 'like all else');
sql('source', 'DROP TABLE aaa.generated; DROP TABLE zzz');

# ---- roles ----------------------------------------------------------------------------------------------------------------------------

# On a server that has none of the roles.
$bare->safe_psql('postgres', 'CREATE DATABASE restored');
command_ok([ 'pg_restore', '-d', $bare->connstr('restored'), '--no-owner', '--no-acl', "$files/custom" ], 'restored where its roles are missing');
is($bare->safe_psql('restored', "SET search_path = public, geo, gis; $embeddings"), sql('source', $embeddings), 'the same bits, for a superuser');
is($bare->safe_psql('restored', 'SELECT count(*), count(DISTINCT name) FROM csp.models'), sql('source', 'SELECT count(*), count(DISTINCT name) FROM csp.models'), 'all models are there');
is($bare->safe_psql('restored', 'SELECT count(*) FROM csp.runs'), sql('source', 'SELECT count(*) FROM csp.runs'), 'and runs');

# Who may dump: policies hide rows, and pg_dump will not have that.
sql('source', 'CREATE ROLE dumper LOGIN; CREATE ROLE backup LOGIN BYPASSRLS; GRANT pg_read_all_data TO dumper, backup');
command_fails_like([ 'pg_dump', '-U', 'dumper', '-d', $node->connstr('source'), '-f', "$files/dumper.sql" ], qr/query would be affected by row-level security policy for table "\w+"/,
	'a role that policies apply to cannot dump everything');
command_ok([ 'pg_dump', '-U', 'dumper', '-d', $node->connstr('source'), '-N', 'csp', '-f', "$files/dumper.sql" ], 'but everything except schema csp');
unlike(slurp_file("$files/dumper.sql"), qr/^COPY csp\./m, 'whose data are left out then');
command_ok([ 'pg_dump', '-U', 'keeper', '-d', $node->connstr('source'), '--enable-row-security', '--data-only', '-n', 'csp', '-e', 'csp_ext', '-f', "$files/keeper.sql" ], 'or what it sees');
like(slurp_file("$files/keeper.sql"), qr/^birds\tkeeper\t/m, 'its own models');
unlike(slurp_file("$files/keeper.sql"), qr/^odd\t/m, 'and no others');
command_ok([ 'pg_dump', '-U', 'backup', '-d', $node->connstr('source'), '-Fc', '-f', "$files/backup" ], 'a role with BYPASSRLS and pg_read_all_data dumps all');
new_database('backup');
command_ok(tool('pg_restore', 'backup', '--exit-on-error', "$files/backup"), 'which is restored');
is(contents('backup'), $contents, 'like that of a superuser');

$node->stop;
$bare->stop;
done_testing();

# Updates: of the extension, from what 0.1.0 left in a database; of the server, by pg_upgrade.
use strict;
use warnings;
use Cwd qw(abs_path);
use File::Path qw(make_path);
use FindBin;
use lib $FindBin::RealBin;
use CspServer;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $tests = "$FindBin::RealBin/..";
my $place = q(ST_SetSRID(ST_MakePoint(12.5, 41.9), 4326));
my $import = q(SELECT csp_import('again', csp_export('birds@1')));

sub configured { my ($what) = @_; my ($out, $err) = run_command([ 'pg_config', "--$what" ]); return abs_path($out); }

# A copy of the server's programs, which look for their share directory beside themselves: one that has the install script of
# 0.1.0 too, where the real one may be nobody's to write to. All else in it are links.
sub installation_with {
	my ($script) = @_;
	my ($bin, $share, $lib) = map { configured($_) } qw(bindir sharedir pkglibdir);
	my $common = "$bin\0$share\0$lib" =~ m{^(/(?:[^\0]*/)?)[^\0]*\0\1[^\0]*\0\1} ? $1 : '/';
	my $root = PostgreSQL::Test::Utils::tempdir();
	my ($new_bin, $new_share, $new_lib) = map { "$root/" . substr($_, length $common) } $bin, $share, $lib;
	make_path("$new_share/extension", $new_lib =~ s{/[^/]*$}{}r);
	system_or_bail('cp', '-rL', $bin, $new_bin);
	symlink($lib, $new_lib) or die $! unless -e $new_lib;
	for my $file (glob("$share/*"), glob("$share/extension/*")) {
		my $link = $new_share . substr($file, length $share);
		symlink($file, $link) or die "$link: $!" unless -e $link;
	}
	system_or_bail('cp', $script, "$new_share/extension/");
	return $new_bin =~ s{/bin$}{}r;
}

my $node = PostgreSQL::Test::Cluster->new('old', install_path => installation_with("$tests/releases/csp_ext--0.1.0.sql"));
$node->init;
$node->append_conf('postgresql.conf', "max_worker_processes = 16\nlog_min_messages = warning\n");
$node->start;
sub sql { my ($query, $database) = @_; return $node->safe_psql($database // 'postgres', $query); }
sub error_of { my ($query) = @_; my ($rc, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$query"); return $err; }
sub create { my ($database, $version) = @_; return sql(qq{CREATE SCHEMA gis; CREATE SCHEMA geo; GRANT USAGE ON SCHEMA gis, geo TO PUBLIC; CREATE EXTENSION postgis SCHEMA gis; CREATE EXTENSION csp_ext SCHEMA geo $version;
	ALTER DATABASE $database SET search_path = public, geo, gis}, $database); }

# ---- a library that is newer than the catalogue -------------------------------------------------------------------------------

sql('CREATE ROLE keeper LOGIN; CREATE ROLE alice LOGIN');
create('postgres', q(VERSION '0.1.0'));
system_or_bail('psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-o', '/dev/null', '-d', $node->connstr('postgres'), '-f', "$tests/releases/csp_ext--0.1.0.data.sql");
my @models = split /\n/, sql(q(SELECT model || '@' || version FROM csp.model_version ORDER BY id));
is("@models", 'birds@1 birds@2 trees@1 alices@1', 'the models of 0.1.0 are there');
sub answers { return sql(join ';', map { "SELECT csp_embed($place, '$_'), csp_probabilities($place, '$_')" } @models, 'birds'); }
my $before = answers();
is(sql(qq{SELECT max(abs(a - b)) < 1e-5 FROM unnest(csp_embed($place, 'birds'), '{1.6616455,1.4120139,0.25957236,-0.14896621,0.36454168,0.30786055,-0.016670773,-0.16306318}'::real[]) AS of (a, b)}),
	't', 'and answer what they answered there');
my $runs = q(SELECT id, model, version, state, source, owner, message FROM csp.runs ORDER BY id);
my $runs_before = sql($runs);
like($runs_before, qr/^5\|broken\|\|failed\|.*division by zero$/m, 'views show the runs of 0.1.0');
sql(q{UPDATE csp.run SET state = 'queued' WHERE id = 5});
is(sql('SELECT state FROM csp.runs WHERE id = 5'), 'queued', 'a queued run waits for the update');
sql(q{UPDATE csp.run SET state = 'failed' WHERE id = 5});
sql($CspServer::places . 'GRANT SELECT ON places TO PUBLIC');
my $train = "CALL csp_train('birds', 'places', 'geom', 'features', 'label', '$CspServer::small')";
like(error_of($_), qr/ERROR:  55000: this needs csp_ext \d+\.\d+\.\d+, and the database has version 0\.1\.0\n.*HINT:  Run ALTER EXTENSION csp_ext UPDATE/s, 'what writes asks for the update')
	for $import, $train, q(CALL csp_resume(5)), q(CALL csp_embed_table('places', 'id', 'geom', model => 'birds'));

# ---- the update ----------------------------------------------------------------------------------------------------------------

my $session = $node->background_psql('postgres');
my $embed = "SELECT csp_embed($place, 'birds')";
my $answer = $session->query_safe($embed);
sql('ALTER EXTENSION csp_ext UPDATE');
my $version = sql(q(SELECT extversion FROM pg_extension WHERE extname = 'csp_ext'));
cmp_ok($version, 'ne', '0.1.0', "updated to $version");
is($session->query_safe($embed), $answer, 'a session that has the model loaded goes on');
$session->quit;
is(answers(), $before, 'the same embeddings and probabilities, to the bit');
is(sql($runs), $runs_before, 'the same runs');
is(sql('SELECT count(*), count(value), max(best_trial) FROM csp.trials t JOIN csp.searches s ON s.id = t.search'), '2|2|1', 'and searches');
is(sql('SELECT rows_done, state, owner FROM csp.bulk_runs'), '360|succeeded|keeper', 'and calls of csp_embed_table');
is(sql($import), '5', 'an import takes the next number');
sql('GRANT EXECUTE ON PROCEDURE csp_train TO keeper');
sql("SET ROLE keeper; SET client_min_messages = warning; $train");
is(sql(q(SELECT max(r.id), max(v.id), max(v.version) FROM csp.run r, csp.model_version v WHERE v.model = 'birds')), '6|6|3', 'so does a training, by the owner of the model');
is(sql($embed =~ s/birds/birds\@2/r), $answer, 'the earlier version still answers');
sql(q{CALL csp_embed_table('places', 'id', 'geom', model => 'birds')});
is(sql(q(SELECT count(*) FROM places WHERE embedding = csp_embed(geom, 'birds'))), '360', 'csp_embed_table works');

# ---- as a fresh installation ------------------------------------------------------------------------------------------------------

sql('REVOKE EXECUTE ON PROCEDURE csp_train FROM keeper');
sql("CREATE DATABASE $_") for 'fresh', 'public_fresh', 'public_old';
create('fresh', '');
sql('SET client_min_messages = warning; CREATE EXTENSION csp_ext CASCADE', 'public_fresh');
sql(q(SET client_min_messages = warning; CREATE EXTENSION csp_ext VERSION '0.1.0' CASCADE; ALTER EXTENSION csp_ext UPDATE), 'public_old');
my $catalogue = slurp_file("$FindBin::RealBin/catalogue.sql");
sub catalogue { my ($database) = @_; return [ split /^(?=\S+ [^|\n]*\|)/m, sql("SET search_path = pg_catalog; $catalogue", $database) . "\n" ]; }
sub differences {
	my ($updated, $fresh) = @_;
	my %seen;
	$seen{$_} += 1 for @$fresh;
	$seen{$_} -= 1 for @$updated;
	return map { ($seen{$_} > 0 ? 'missing: ' : 'too much: ') . $_ } grep { $seen{$_} } sort keys %seen;
}
sub same_catalogue {
	my ($updated, $fresh, $what) = @_;
	my $expected = catalogue($fresh);
	cmp_ok(scalar @$expected, '>', 500, 'a catalogue has been read');
	is(join('', differences(catalogue($updated), $expected)), '', $what);
}
same_catalogue('postgres', 'fresh', 'an updated catalogue is that of a fresh installation');
same_catalogue('public_old', 'public_fresh', 'in schema public too');

# ---- pg_upgrade ---------------------------------------------------------------------------------------------------------------------

sql("DROP DATABASE $_") for 'fresh', 'public_fresh', 'public_old';
sql(q{
	GRANT EXECUTE ON PROCEDURE csp_train TO keeper;
	CREATE VIEW shown AS SELECT id, csp_embed(geom, 'birds@2') AS embedding FROM places WHERE id < 10;
	CREATE MATERIALIZED VIEW stored AS SELECT * FROM shown;
	CREATE TABLE owners (owner) AS SELECT DISTINCT owner FROM csp.models;
	CREATE TABLE typed AS SELECT name, owner FROM csp.model;
	CREATE TABLE indexed AS SELECT id, geom FROM places;
	ALTER TABLE indexed ADD embedding real[] GENERATED ALWAYS AS (csp_embed_version(geom, 1)) STORED;
	CREATE INDEX ON indexed ((csp_embed_version(geom, 2)));
	SELECT csp_grant('birds', 'alice');
});
my $check = q{SELECT md5(string_agg(embedding::text, ' ' ORDER BY id)) FROM shown; SELECT md5(string_agg(embedding::text, ' ' ORDER BY id)) FROM stored;
	SELECT string_agg(owner::text, ' ' ORDER BY owner::text) FROM owners; SELECT string_agg(t::text, ' ' ORDER BY name) FROM typed t;
	SELECT md5(string_agg(i::text, ' ' ORDER BY id)) FROM indexed i; SELECT * FROM csp.model ORDER BY name; SELECT id, name, version, owner FROM csp.models ORDER BY id};
my $everything = answers() . sql($check) . sql($runs);
# Expressions are read from text anew, with other parentheses; and pg_upgrade does not know what is disabled inside of a
# constraint (the next CREATE EXTENSION does).
sub comparable_catalogue { return [ map { s/[()\s]+//gr } grep { !/\|enforced by / } @{ catalogue('postgres') } ]; }
my $old_catalogue = comparable_catalogue();

sub pg_upgraded {
	my ($old, $name, @options) = @_;
	my $new = PostgreSQL::Test::Cluster->new($name);
	$new->init;
	$new->append_conf('postgresql.conf', "max_worker_processes = 16\nlog_min_messages = warning\n");
	$old->stop;
	my $directory = PostgreSQL::Test::Utils::tempdir();
	my $ok = system_log('sh', '-c', 'cd "$1" && shift && exec "$@"', 'sh', $directory, configured('bindir') . '/pg_upgrade', '--no-sync', @options,
		'-b', configured('bindir'), '-B', configured('bindir'), '-d', $old->data_dir, '-D', $new->data_dir, '-s', $new->host, '-p', $old->port, '-P', $new->port);
	is($ok, 0, "pg_upgrade @options");
	$new->start;
	$node = $new;
	is(answers() . sql($check) . sql($runs), $everything, 'the same models, embeddings to the bit, and runs');
	is(join("\n", differences(comparable_catalogue(), $old_catalogue)), '', 'the same catalogue');
	return $new;
}
pg_upgraded($node, 'copied');
is(sql(q(SELECT max(id) + 1 FROM csp.model_version)), sql($import), 'an import goes on with the numbers');
$everything = answers() . sql($check) . sql($runs);
pg_upgraded($node, 'linked', '--link');
sql("SET client_min_messages = warning; SET ROLE keeper; $train");
is(sql('SELECT state FROM csp.runs ORDER BY id DESC LIMIT 1'), 'succeeded', 'and it trains');

$node->stop;
done_testing();

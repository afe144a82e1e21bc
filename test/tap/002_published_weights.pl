# Published checkpoints, imported through SQL, give the published numbers: 1e-5 for embeddings (rff 2e-5), 3e-6 for
# probabilities, at twelve places. Where the
# reference files are not at hand (CSP_REFERENCE), the test says so and is skipped. Runs that go on from them begin with them.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $reference = $ENV{CSP_REFERENCE} // '';
plan skip_all => "the reference checkpoints are not here" unless -e "$reference/checkpoints.json";

my $node = PostgreSQL::Test::Cluster->new('published');
$node->init;
$node->start;
$node->safe_psql('postgres', qq{
	SET client_min_messages = warning;
	CREATE EXTENSION csp_ext CASCADE;
	CREATE TABLE reference AS SELECT pg_read_file('$reference/checkpoints.json')::jsonb AS j;
	CREATE TABLE place AS
	SELECT n, ST_SetSRID(ST_MakePoint((p ->> 0)::float8, (p ->> 1)::float8), 4326) AS geom
	FROM reference, jsonb_array_elements(j -> 'locations_f32') WITH ORDINALITY AS t (p, n);
	CREATE TABLE checkpoint AS
	SELECT c ->> 'file' AS file, c -> 'params' ->> 'spa_enc_type' AS encoding, c -> 'embedding' AS embedding, c -> 'class_prob' AS class_prob
	FROM reference, jsonb_array_elements(j -> 'checkpoints') AS c;
	CREATE TABLE own_places AS
	SELECT ST_SetSRID(ST_MakePoint(20.0 * i - 170, 8.0 * j - 76), 4326) AS geom, CASE WHEN j > 9 THEN 'north' ELSE 'south' END AS label
	FROM generate_series(0, 17) i, generate_series(0, 19) j;
	CREATE FUNCTION largest_difference(given real[], expected jsonb) RETURNS real LANGUAGE SQL AS
		'SELECT max(abs(g - e::real)) FROM unnest(given, ARRAY(SELECT jsonb_array_elements_text(expected))) AS t (g, e)';
});

opendir(my $directory, "$reference/checkpoints") or die $!;
my @files = sort grep { /\.tar$/ } readdir $directory;
cmp_ok(scalar @files, '>', 0, 'there are checkpoints');
for my $file (@files) {
	my $encoding = $node->safe_psql('postgres', "SELECT encoding FROM checkpoint WHERE file = '$file'");
	next if $encoding eq '';
	my $tolerance = $encoding eq 'rff' ? '2e-5' : '1e-5';
	$node->safe_psql('postgres', "SELECT csp_import('m', pg_read_binary_file('$reference/checkpoints/$file'))");
	is($node->safe_psql('postgres', qq{
		SELECT bool_and(largest_difference(csp_embed(geom, 'm'), embedding -> (n - 1)::int) <= $tolerance),
		       bool_and(largest_difference(csp_probabilities(geom, 'm'), class_prob -> (n - 1)::int) <= 3e-6), count(*)
		FROM place, checkpoint WHERE file = '$file'}),
		't|t|12', "$encoding: $file");
	is($node->safe_psql('postgres', q{
		SELECT csp_import('copy', csp_export('m')) > 0;
		SELECT bool_and(csp_embed(geom, 'copy') = csp_embed(geom, 'm')) AND bool_and(csp_probabilities(geom, 'copy') = csp_probabilities(geom, 'm'))
		FROM place}),
		"t\nt", "$encoding: exported and imported again, equal to the bit");

	# A head for classes of one's own on the published encoder as it is; then the encoder goes on learning too.
	$node->safe_psql('postgres', q{CALL csp_train('own', 'own_places', 'geom', label => 'label',
		options => '{"from_model": "m", "encoder_learning_rate": 0, "epochs": 40, "learning_rate": 0.01}')});
	is($node->safe_psql('postgres', q{
		SELECT (SELECT bool_and(csp_embed(geom, 'own') = csp_embed(geom, 'm')) FROM place),
		       (SELECT array_agg(c.label ORDER BY c.class) FROM csp.classes c JOIN csp.models m ON (m.name, m.version) = (c.model, c.version) WHERE m.name = 'own' AND m.deployed),
		       (SELECT avg((c.label = p.label)::int) > 0.8 FROM own_places p, csp_classify(p.geom, 1, 'own') c)}),
		't|{north,south}|t', "$encoding: classes of one's own on the published encoder");
	$node->safe_psql('postgres', q{CALL csp_train('own', 'own_places', 'geom', label => 'label', options => '{"from_model": "m", "epochs": 2}')});
	is($node->safe_psql('postgres', q{
		SELECT bool_or(csp_embed(geom, 'own') <> csp_embed(geom, 'm')), bool_and(csp_cosine(csp_embed(geom, 'own'), csp_embed(geom, 'm')) > 0.5) FROM place}),
		't|t', "$encoding: goes on learning from where it was");
}
is($node->safe_psql('postgres', "SELECT min(label::int), max(label::int) + 1 = count(*) FROM csp.classes WHERE model = 'm' AND version = 1"),
	'0|t', 'labels are the numbers of the classes');

done_testing();

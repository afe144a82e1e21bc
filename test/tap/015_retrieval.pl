# The recipes of doc/retrieval.md: the nearest places to an image and the nearest images to a place, exact in SQL, and with
# pgvector's HNSW where it is installed.
use strict;
use warnings;
use Test::More;
use CspServer;

my $server = CspServer->new('retrieval');
$server->sql(q{
	SET client_min_messages = warning;
	CREATE TABLE gallery AS
	SELECT id, ST_SetSRID(ST_MakePoint(lon, lat), 4326) AS geom,
	       ARRAY(SELECT (sin(lon / 40 + k) + cos(lat / 20 + k / 2.0))::real FROM generate_series(1, 8) k) AS features
	FROM (SELECT i AS id, i * 137.508 - 360 * round(i * 137.508 / 360) AS lon, degrees(asin(2 * (i - 0.5) / 5000 - 1)) AS lat
	      FROM generate_series(1, 5000) i) spiral;
	ALTER TABLE gallery ADD PRIMARY KEY (id);
	CALL csp_embed_table('gallery', model => 'good');
	ALTER TABLE gallery ADD image real[];
	UPDATE gallery SET image = csp_embed_image(features, 'good');
	ANALYZE gallery;
});

# Exact: stored embeddings, and the model asked for each row.
my $query = 'SELECT features FROM gallery WHERE id = 77';
my $exact = $server->sql("SELECT string_agg(id::text, ' ') FROM (SELECT id FROM gallery ORDER BY csp_cosine(embedding, (SELECT csp_embed_image(($query), 'good'))) DESC, id LIMIT 10) n");
is(scalar(split(' ', $exact)), 10, 'ten places for an image');
is($server->sql("SELECT string_agg(id::text, ' ') FROM (SELECT id FROM gallery ORDER BY csp_similarity(geom, ($query), 'good') DESC, id LIMIT 10) n"),
	$exact, 'the same without a column of embeddings');
like($server->sql("EXPLAIN SELECT id FROM gallery ORDER BY csp_similarity(geom, ($query), 'good') DESC LIMIT 10"), qr/CspBatch/, 'in batches');
is($server->sql("SET csp.enable_batch = off; SELECT string_agg(id::text, ' ') FROM (SELECT id FROM gallery ORDER BY csp_similarity(geom, ($query), 'good') DESC, id LIMIT 10) n"),
	$exact, 'and row by row');
my $place = 'SELECT geom FROM gallery WHERE id = 99';
is($server->sql("SELECT string_agg(id::text, ' ') FROM (SELECT id FROM gallery ORDER BY csp_cosine(image, (SELECT csp_embed(($place), 'good'))) DESC, id LIMIT 10) n"),
	$server->sql("SELECT string_agg(id::text, ' ') FROM (SELECT id FROM gallery ORDER BY csp_similarity(($place), features, 'good') DESC, id LIMIT 10) n"),
	'images for a place, both ways');

SKIP: {
	skip 'pgvector is not installed', 6 if $server->sql("SELECT count(*) FROM pg_available_extensions WHERE name = 'vector'") == 0;
	my $dim = $server->sql("SELECT embedding_dim FROM csp.models WHERE name = 'good'");
	$server->sql(qq{
		SET client_min_messages = warning;
		CREATE EXTENSION vector;
		CREATE TABLE place_embedding (id int PRIMARY KEY, embedding vector($dim));
		CALL csp_embed_table('gallery', target => 'place_embedding', model => 'good');
		CREATE INDEX place_embedding_hnsw ON place_embedding USING hnsw (embedding vector_cosine_ops);
		CREATE TABLE image_embedding AS SELECT id, image::vector($dim) AS embedding FROM gallery;
		CREATE INDEX image_embedding_hnsw ON image_embedding USING hnsw (embedding vector_cosine_ops);
		ANALYZE place_embedding, image_embedding;
	});
	# Found by the index and found by looking at all, over 50 queries; hnsw.ef_search as it is by default.
	for my $case (
		[ 'place_embedding', "csp_embed_image((SELECT features FROM gallery WHERE id = q), 'good')", 'places for an image' ],
		[ 'image_embedding', "csp_embed((SELECT geom FROM gallery WHERE id = q), 'good')", 'images for a place' ])
	{
		my ($table, $of, $what) = @$case;
		$server->sql(qq{
			CREATE FUNCTION nearest_$table(q int) RETURNS int[] LANGUAGE plpgsql AS \$\$
			DECLARE v vector($dim) := $of;
			BEGIN RETURN ARRAY(SELECT id FROM $table ORDER BY embedding <=> v LIMIT 10); END \$\$;
		});
		like($server->sql("SET enable_seqscan = off; EXPLAIN SELECT id FROM $table ORDER BY embedding <=> (SELECT embedding FROM $table LIMIT 1) LIMIT 10"),
			qr/Index Scan using ${table}_hnsw/, "$what: by HNSW");
		my $recall = $server->sql(qq{
			CREATE TEMP TABLE by_index (q int, ids int[]);
			SET enable_seqscan = off;
			INSERT INTO by_index SELECT q, nearest_$table(q) FROM generate_series(100, 5000, 100) q;
			SET enable_seqscan = on; SET enable_indexscan = off;
			SELECT avg(cardinality(ARRAY(SELECT unnest(ids) INTERSECT SELECT unnest(nearest_$table(q))))) / 10 FROM by_index});
		cmp_ok($recall, '>=', 0.9, "$what: nine of ten that HNSW finds are the nearest ($recall)");
		my $column = $table eq 'place_embedding' ? 'embedding' : 'image';
		cmp_ok($server->sql(qq{
			SET enable_indexscan = off;
			SELECT max(abs((1 - (e.embedding <=> v.embedding)) - csp_cosine(a.$column, b.$column)))
			FROM $table e JOIN gallery a USING (id), $table v JOIN gallery b USING (id) WHERE e.id % 100 = 0 AND v.id % 500 = 0}),
			'<', 1e-5, "$what: pgvector's distance is 1 - csp_cosine");
	}
}

done_testing();

# Batched execution on whole servers: the first query of a session, what clients see, parallel workers, foreign tables, a
# standby, cancelling, memory. Answers are compared with those of csp.enable_batch = off.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $node = PostgreSQL::Test::Cluster->new('batch');
$node->init(allows_streaming => 1);
$node->append_conf('postgresql.conf', "log_min_messages = warning\nmax_worker_processes = 16\nmax_parallel_workers = 8\njit = off\n");
$node->start;
my $options = q('{"seed": 1, "pretrain_epochs": 1, "epochs": 1, "hidden_dim": 32, "embedding_dim": 16, "frequencies": 8}');
$node->safe_psql('postgres', q{
	SET client_min_messages = warning;
	CREATE EXTENSION csp_ext CASCADE;
	CREATE TABLE places AS
	SELECT id::int, ST_SetSRID(ST_MakePoint(lon, lat), 4326) AS geom,
	       ARRAY(SELECT (sin(lon / 40 + k) + cos(lat / 20 + k / 2.0))::real FROM generate_series(1, 8) k) AS features,
	       CASE WHEN lat > 0 THEN 'north' ELSE 'south' END AS label
	FROM (SELECT row_number() OVER () AS id, lon::float8, lat::float8
	      FROM generate_series(-170, 170, 5) lon, generate_series(-76, 76, 5) lat) AS grid;
	ALTER TABLE places ADD PRIMARY KEY (id);
	ANALYZE places;
	CREATE VIEW embedded AS SELECT id, csp_embed(geom, 'm') AS e FROM places;
	CREATE FUNCTION sum_of_first(n int) RETURNS float8 LANGUAGE plpgsql STABLE AS $$
	DECLARE total float8 := 0; r record;
	BEGIN
		FOR r IN SELECT csp_embed(geom, 'm') AS e FROM places ORDER BY id LOOP
			total := total + r.e[1];
			n := n - 1;
			EXIT WHEN n = 0;
		END LOOP;
		RETURN total;
	END $$;
});
$node->safe_psql('postgres', "CALL csp_train('m', 'places', 'geom', 'features', 'label', $options)");
my $version = $node->safe_psql('postgres', 'SHOW server_version_num');

sub explained { my ($sql, $more) = @_; $more //= 'COSTS OFF'; return $node->safe_psql('postgres', "EXPLAIN ($more) $sql"); }

# ---- the first query of a session -----------------------------------------------------------------------------------

like(explained("SELECT csp_embed(geom, 'm') FROM places"), qr/CspBatch/, 'the very first statement of a session is batched');
like(explained("SELECT id FROM places WHERE csp_probability(geom, 'north', 'm') > 0.5"), qr/CspBatch/, 'with its only call in a filter');
like(explained('SELECT * FROM embedded'), qr/CspBatch/, 'through a view');
like(explained("SELECT id, c.* FROM places, csp_classify(geom, 2, 'm') c"), qr/CspBatch/, 'with csp_classify');
like(explained("UPDATE places SET label = csp_embed(geom, 'm')::text"), qr/CspBatch/, 'when it writes');
like($node->safe_psql('postgres', "PREPARE q AS SELECT csp_embed(geom, 'm') FROM places; EXPLAIN (COSTS OFF) EXECUTE q"), qr/CspBatch/,
	'as a prepared statement');
unlike($node->safe_psql('postgres', "SET csp.enable_batch = off; EXPLAIN (COSTS OFF) SELECT csp_embed(geom, 'm') FROM places"), qr/CspBatch/,
	'a setting made before the library is loaded counts');
{
	local $ENV{PGOPTIONS} = '-c csp.enable_batch=off';
	unlike(explained("SELECT csp_embed(geom, 'm') FROM places"), qr/CspBatch/, 'and so does one from the connection');
}
unlike(explained('SELECT id FROM places'), qr/CspBatch/, 'a query without calls has no batch node');

SKIP: {
	my $libraries = $node->config_data('--pkglibdir');
	skip 'auto_explain is not installed', 3 unless -e "$libraries/auto_explain.so";
	local $ENV{PGOPTIONS} = '-c session_preload_libraries=auto_explain -c auto_explain.log_min_duration=0 -c auto_explain.log_nested_statements=on -c client_min_messages=log';
	for my $first (
		[ 'SELECT sum_of_first(3)', 'PL/pgSQL' ],
		[ "BEGIN; DECLARE c SCROLL CURSOR FOR SELECT csp_embed(geom, 'm') FROM places; FETCH 3 FROM c; COMMIT", 'a scrollable cursor' ],
		[ "CREATE TEMP TABLE made AS SELECT csp_embed(geom, 'm') FROM places", 'CREATE TABLE AS' ])
	{
		my ($rc, $out, $err) = $node->psql('postgres', $first->[0]);
		like($err, qr/CspBatch/, "$first->[1] as the first statement is batched");
	}
}

# ---- what clients see ---------------------------------------------------------------------------------------------

# Runs a psql script with and without batches; they must not differ in anything.
sub both {
	my ($name, $script, %more) = @_;
	my @answers;
	for my $enable (qw(on off)) {
		local $ENV{PGOPTIONS} = join ' ', "-c csp.enable_batch=$enable", '-c synchronize_seqscans=off', @{ $more{options} // [] };
		my ($rc, $out, $err) = $node->psql('postgres', $script, on_error_stop => 0);
		push @answers, "$rc\n$out\n$err";
	}
	is($answers[0], $answers[1], $name);
	like($answers[0], $more{like}, "$name: as expected") if $more{like};
}

my $embed = "SELECT id, csp_embed(geom, 'm') FROM places";
my $filter = "SELECT id FROM places WHERE csp_probability(geom, 'north', 'm') > 0.5";
both('all rows', "$embed;");
both('COPY to the client', "COPY ($embed) TO STDOUT; COPY ($filter) TO STDOUT WITH (FORMAT csv);");
both('COPY of what UPDATE returns', "BEGIN; COPY (UPDATE places SET label = 'x' WHERE csp_probability(geom, 'north', 'm') > 0.5 RETURNING id) TO STDOUT; ROLLBACK;");
both('a few rows at a time', "\\set FETCH_COUNT 7\n$embed;\n$filter;");
both('cursors', qq{
	BEGIN;
	DECLARE c CURSOR FOR $embed; FETCH 3 FROM c; FETCH 20 FROM c; FETCH BACKWARD 5 FROM c; FETCH ABSOLUTE 2 FROM c; FETCH LAST FROM c; CLOSE c;
	DECLARE c SCROLL CURSOR FOR $filter; FETCH 3 FROM c; MOVE 100 FROM c; FETCH BACKWARD 60 FROM c; FETCH RELATIVE 0 FROM c; FETCH FIRST FROM c; CLOSE c;
	DECLARE c NO SCROLL CURSOR FOR $embed; FETCH 3 FROM c; SAVEPOINT s; FETCH BACKWARD 1 FROM c; ROLLBACK TO s; CLOSE c;
	DECLARE c CURSOR FOR $embed LIMIT 30; SAVEPOINT s; FETCH 3 FROM c; ROLLBACK TO s; FETCH 3 FROM c; CLOSE c;
	DECLARE h SCROLL CURSOR WITH HOLD FOR $filter; FETCH 3 FROM h;
	DECLARE g CURSOR WITH HOLD FOR $embed LIMIT 9;
	COMMIT;
	FETCH ALL FROM g; FETCH 3 FROM h; FETCH LAST FROM h; FETCH PRIOR FROM h; CLOSE ALL;
});
both('rows before an error', qq{
	\\set FETCH_COUNT 5
	SELECT id, csp_embed(CASE WHEN id = 1000 THEN ST_Buffer(geom, 1) ELSE geom END, 'm') FROM places;
	SELECT id, csp_embed(CASE WHEN id = 1000 THEN ST_Buffer(geom, 1) ELSE geom END, 'm') FROM places LIMIT 999;
}, like => qr/location must be a point/);
both('context of an error', qq{
	\\set VERBOSITY verbose
	DO \$\$ BEGIN PERFORM csp_embed(ST_Buffer(geom, id % 5), 'm') FROM places; END \$\$;
	SELECT csp_embed(geom, 'nobody') FROM places;
}, like => qr/42809.*42704/s);
both('prepared statements', qq{
	PREPARE p (text, int) AS SELECT id, csp_embed(geom, \$1) FROM places WHERE id > \$2 ORDER BY id LIMIT 40;
	EXECUTE p('m', 1); EXECUTE p('m', 2); EXECUTE p('m', 3); EXECUTE p('m', 4); EXECUTE p('m', 5); EXECUTE p('m', 6); EXECUTE p('m', 7); EXECUTE p('nobody', 1);
	SET plan_cache_mode = force_generic_plan; EXECUTE p('m', 8); EXECUTE p(NULL, 8);
});
both('the extended protocol', "$embed WHERE id < \$1 \\bind 50 \\g\n$filter AND id < \$1 \\bind 500 \\g\n") if $version >= 160000;
both('PL/pgSQL', 'SELECT sum_of_first(1); SELECT sum_of_first(5); SELECT sum_of_first(700); SELECT sum_of_first(-1);');
both('a transaction that failed', "BEGIN; SELECT csp_embed(ST_Buffer(geom, 1), 'm') FROM places; SELECT 1; ROLLBACK; $embed LIMIT 2;", like => qr/aborted/);
both('settings in the middle of a session', qq{
	$embed LIMIT 3; SET csp.batch_size = 2; $embed LIMIT 9; SET csp.model = 'm'; SELECT csp_embed(geom) FROM places LIMIT 3; DISCARD ALL; $embed LIMIT 3;
	SET csp.batch_size = 0;
}, like => qr/outside the valid range/);
SKIP: {
	skip 'this server has no JIT compiler', 1 if $node->safe_psql('postgres', 'SET jit = on; SELECT pg_jit_available()') eq 'f';
	both('JIT', "$embed; $filter; SELECT label, count(csp_embed(geom, 'm')) FROM places WHERE csp_probability(geom, 'north', 'm') > 0.3 GROUP BY 1 ORDER BY 1;",
		options => [ '-c jit=on', '-c jit_above_cost=0', '-c jit_inline_above_cost=0', '-c jit_optimize_above_cost=0' ]);
}

# In a fresh session the plan of the first statements is made before the library is there.
my $sum = "SELECT sum(e[1]::numeric) FROM (SELECT csp_embed(geom, 'm') AS e FROM places OFFSET 0) x";
for my $first (
	[ $embed, 'SELECT' ], [ $filter, 'a filter' ], [ "SELECT csp_embed(geom, 'm') FROM places WHERE id = 7", 'one row' ],
	[ "SELECT id, c.* FROM places, csp_classify(geom, 2, 'm') c", 'csp_classify' ], [ "EXPLAIN (ANALYZE, TIMING OFF, SUMMARY OFF, COSTS OFF) SELECT 1", 'EXPLAIN' ],
	[ "CREATE TEMP TABLE t AS $embed; TABLE t", 'CREATE TABLE AS' ], [ "CREATE TEMP TABLE t (id int, e real[]); INSERT INTO t $embed RETURNING *", 'INSERT' ],
	[ "BEGIN; UPDATE places SET label = csp_embed(geom, 'm')::text WHERE csp_probability(geom, 'north', 'm') > 0.4 RETURNING id, label; ROLLBACK", 'UPDATE' ],
	[ "BEGIN; DELETE FROM places WHERE csp_probability(geom, 'north', 'm') > 0.4 RETURNING csp_embed(geom, 'm'); ROLLBACK", 'DELETE' ],
	[ "BEGIN; MERGE INTO places p USING ($embed) s (id, e) ON p.id = s.id WHEN MATCHED AND s.e[1] > 0 THEN DELETE; SELECT id FROM places ORDER BY id; ROLLBACK", 'MERGE' ],
	[ "DO \$\$ BEGIN CREATE TEMP TABLE t AS SELECT sum_of_first(9) AS s; END \$\$; TABLE t", 'a DO block' ],
	[ "PREPARE p AS $embed; EXECUTE p; EXECUTE p", 'a prepared statement' ],
	[ "BEGIN; DECLARE c SCROLL CURSOR FOR $embed; FETCH 3 FROM c; FETCH LAST FROM c; FETCH FIRST FROM c; COMMIT", 'a cursor' ],
	[ "BEGIN; SAVEPOINT s; $embed LIMIT 3; ROLLBACK TO s; $filter; SELECT csp_embed(ST_Buffer(geom, 1), 'm') FROM places; ROLLBACK TO s; $sum; COMMIT; $sum", 'a savepoint' ],
	[ "SELECT csp_embed(ST_Buffer(geom, 1), 'm') FROM places; $sum", 'an error' ],
	[ "SELECT csp_embed(geom, 'nobody') FROM places; $sum", 'an unknown model' ],
	[ "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY; $sum; $filter; COMMIT", 'a serializable transaction' ])
{
	both("the first statement: $first->[1]", "$first->[0];");
}
# Arguments that may fail are computed in subtransactions, which must cost no transaction number.
both('a read-only transaction', "BEGIN READ ONLY; SELECT csp_embed(ST_Translate(geom, 1 / (id + 1), 0), 'm') FROM places;
	SELECT pg_current_xact_id_if_assigned() IS NULL; COMMIT;", like => qr/\nt$/m);

# ---- parallel workers -----------------------------------------------------------------------------------------------

my $parallel = 'SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SET max_parallel_workers_per_gather = 2; ';
for my $query ([ "SELECT count(csp_embed(geom, 'm')) FROM places", 'a count' ], [ "SELECT id FROM places WHERE csp_probability(geom, 'north', 'm') > 0.5", 'a filter' ],
	[ "SELECT id, csp_embed(geom, 'm') FROM places ORDER BY id", 'ordered rows' ])
{
	my $plan = $node->safe_psql('postgres', "$parallel EXPLAIN (ANALYZE, VERBOSE, COSTS OFF, TIMING OFF) $query->[0]");
	like($plan, qr/Workers Launched: 2\n.*CspBatch/s, "$query->[1]: the workers batch");
	my ($loops) = $plan =~ /CspBatch\)[^\n]*loops=(\d+)/;
	is($loops, 3, "$query->[1]: two of them, and the leader");
}
both('parallel workers', "$parallel SELECT count(csp_embed(geom, 'm')) FROM places; $embed ORDER BY id; SELECT sum(id) FROM ($filter) x;
	SELECT label, count(*), max(csp_probability(geom, 'north', 'm')) FROM places GROUP BY 1 ORDER BY 1;");
both('workers without their leader', "$parallel SET parallel_leader_participation = off; SELECT count(csp_embed(geom, 'm')) FROM places; SELECT sum(id) FROM ($filter) x;");
both('an error in a worker', "$parallel SET parallel_leader_participation = off;
	SELECT count(csp_embed(CASE WHEN id = 1000 THEN ST_Buffer(geom, 1) ELSE geom END, 'm')) FROM places;", like => qr/location must be a point/);

# ---- foreign tables ---------------------------------------------------------------------------------------------------

SKIP: {
	skip 'postgres_fdw is not installed', 8
		if $node->safe_psql('postgres', "SELECT count(*) FROM pg_available_extensions WHERE name = 'postgres_fdw'") eq '0';
	$node->safe_psql('postgres', sprintf(q{
		SET client_min_messages = warning;
		CREATE EXTENSION postgres_fdw;
		CREATE SERVER loopback FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '%s', port '%s', dbname 'postgres', fetch_size '10');
		CREATE USER MAPPING FOR CURRENT_USER SERVER loopback;
		CREATE FOREIGN TABLE far (id int, geom geometry, features real[], label text) SERVER loopback OPTIONS (table_name 'places');
		CREATE TABLE kept (id int PRIMARY KEY, e real[]);
		CREATE FOREIGN TABLE far_kept (id int, e real[]) SERVER loopback OPTIONS (table_name 'kept');
	}, $node->host, $node->port));
	like(explained("SELECT csp_embed(geom, 'm') FROM far"), qr/CspBatch/, 'rows of a foreign table are batched');
	like(explained("SELECT id FROM far WHERE csp_probability(geom, 'north', 'm') > 0.5"), qr/CspBatch/, 'in a filter, too');
	both('rows of a foreign table', "SELECT id, csp_embed(geom, 'm') FROM far ORDER BY id; SELECT count(*) FROM far WHERE csp_probability(geom, 'north', 'm') > 0.5;
		SELECT f.id, csp_similarity(p.geom, f.features, 'm') FROM far f JOIN places p USING (id) WHERE p.id < 100 ORDER BY 1;
		SELECT id, csp_embed(geom, 'm') FROM far ORDER BY id LIMIT 3; SELECT label, count(csp_embed(geom, 'm')) FROM far GROUP BY 1 ORDER BY 1;");
	both('rows into a foreign table', "BEGIN; INSERT INTO far_kept SELECT id, csp_embed(geom, 'm') FROM places; COMMIT; SELECT * FROM kept ORDER BY id; TRUNCATE kept;");
	both('rows of a foreign table, changed', "BEGIN; UPDATE far SET label = csp_embed(geom, 'm')::text WHERE id < 300 RETURNING id;
		COMMIT; SELECT id, label FROM places WHERE id < 300 ORDER BY id; UPDATE places SET label = CASE WHEN ST_Y(geom) > 0 THEN 'north' ELSE 'south' END;");
	both('rows of a foreign table, deleted', "INSERT INTO kept SELECT id, csp_embed(geom, 'm') FROM places;
		DELETE FROM far_kept k USING places p WHERE p.id = k.id AND csp_probability(p.geom, 'north', 'm') > 0.5; SELECT id FROM kept ORDER BY id; TRUNCATE kept;");
	both('a foreign table that fails', "SELECT csp_embed(geom, 'm') FROM far ORDER BY id LIMIT 20; ALTER FOREIGN TABLE far OPTIONS (SET table_name 'nowhere');
		SELECT csp_embed(geom, 'm') FROM far; ALTER FOREIGN TABLE far OPTIONS (SET table_name 'places');", like => qr/nowhere/);
}

# ---- cancelling -------------------------------------------------------------------------------------------------------

my $endless = "SELECT count(csp_embed(ST_SetSRID(ST_MakePoint(n %% 360 - 180, n %% 160 - 80), 4326), 'm')) FROM (SELECT generate_series(1, %d) AS n OFFSET 0) x";
my $worker_mode = $node->safe_psql('postgres', 'SHOW server_version_num') >= 160000 ? 'debug_parallel_query' : 'force_parallel_mode';
for my $mode ([ '', 'a long query' ], [ "$parallel SET $worker_mode = on; ", 'a long query in a worker' ]) {
	my $session = $node->background_psql('postgres', on_error_stop => 0);
	$session->query("$mode->[0] SET statement_timeout = '500ms';");
	my $started = time();
	$session->query(sprintf($endless, 2000000000) . ';');
	like($session->{stderr}, qr/canceling statement due to statement timeout/, "$mode->[1] is cancelled");
	cmp_ok(time() - $started, '<', 10, 'soon');
	$session->{stderr} = '';
	is($session->query(sprintf($endless, 5000) . ';'), '5000', 'and the session goes on');
	$session->quit;
}

# ---- memory -----------------------------------------------------------------------------------------------------------

# Anonymous memory of the session's backend after each query, in kB.
SKIP: {
	skip 'this system tells no RssAnon', 2 unless -e '/proc/self/status' && slurp_file('/proc/self/status') =~ /RssAnon/;
	my $memory = q{SELECT substring(pg_read_file(format('/proc/%s/status', pg_backend_pid())) FROM 'RssAnon:\s+(\d+)');};
	# PostgreSQL itself keeps some bytes of every call of a function in FROM until the query ends.
	for my $query ([ $endless, 'csp_embed', 4096 ],
		[ "SELECT count(*) FROM (SELECT generate_series(1, %d) AS n OFFSET 0) x, csp_classify(ST_SetSRID(ST_MakePoint(n %% 360 - 180, n %% 160 - 80), 4326), 1, 'm') c", 'csp_classify', 16384 ])
	{
		my $session = $node->background_psql('postgres');
		my @used;
		for my $rows (20000, 400000) {
			$session->query_safe(sprintf($query->[0], $rows) . ';');
			push @used, $session->query_safe($memory);
		}
		cmp_ok(abs($used[1] - $used[0]), '<', $query->[2], "$query->[1]: 400,000 rows take the memory of 20,000 ($used[0] kB, $used[1] kB)");
		$session->quit;
	}
}

# Rows of 8 kB in the largest batches: work_mem holds.
SKIP: {
	skip 'this system tells no RssAnon', 1 unless -e '/proc/self/status' && slurp_file('/proc/self/status') =~ /RssAnon/;
	my $memory = q{SELECT substring(pg_read_file(format('/proc/%s/status', pg_backend_pid())) FROM 'RssAnon:\s+(\d+)');};
	my $wide = "SELECT sum(length(t)), count(csp_embed(geom, 'm')) FROM (SELECT geom, repeat('x', 8000 + id % 7) AS t FROM places, generate_series(1, 20) OFFSET 0) x;";
	my $session = $node->background_psql('postgres');
	$session->query_safe("SET csp.batch_size = 65536; SET work_mem = '1MB'; SET max_parallel_workers_per_gather = 0; $embed LIMIT 1;");
	my $before = $session->query_safe($memory);
	$session->query_safe($wide);
	my $after = $session->query_safe($memory);
	cmp_ok($after - $before, '<', 16384, "wide rows keep to work_mem ($before kB, $after kB)");
	$session->quit;
}

# ---- a deploy, a standby ----------------------------------------------------------------------------------------------

my $session = $node->background_psql('postgres');
my $digest = "SELECT md5(string_agg(csp_embed(geom, 'm')::text, ' ' ORDER BY id)) FROM places;";
my $first = $session->query_safe($digest);
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
like($standby->safe_psql('postgres', "EXPLAIN (COSTS OFF) SELECT csp_embed(geom, 'm') FROM places"), qr/CspBatch/, 'a standby batches');
my $reader = $standby->background_psql('postgres');
is($reader->query_safe($digest), $first, 'its answers are the same');
(my $other = $options) =~ s/"seed": 1/"seed": 2/;
$node->safe_psql('postgres', "CALL csp_train('m', 'places', 'geom', 'features', 'label', $other)");
my $second = $node->safe_psql('postgres', $digest);
isnt($second, $first, 'a new version answers otherwise');
is($session->query_safe($digest), $second, 'a session follows the deploy');
$node->wait_for_catchup($standby);
is($reader->query_safe($digest), $second, 'and so does the standby');
$session->quit;
$reader->quit;
$standby->stop;

# ---- after a restart, nothing was preloaded -------------------------------------------------------------------------------

$node->restart;
is($node->safe_psql('postgres', 'SHOW shared_preload_libraries') . $node->safe_psql('postgres', 'SHOW session_preload_libraries'), '', 'no library is preloaded');
like(explained("SELECT csp_embed(geom, 'm') FROM places"), qr/CspBatch/, 'and the first query after a restart is batched');
$node->stop;
done_testing();

-- What a session pays for its first csp_embed, and what a row costs after that. Run by bench/run.sh in a fresh session:
-- nothing of csp_ext has been loaded yet. Model: 256-d, hidden 512.
\timing off
CREATE TEMP TABLE seen (what text, milliseconds float8, megabytes float8);
CREATE FUNCTION pg_temp.private_memory() RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE line text; total float8 := 0;
BEGIN
    CREATE TEMP TABLE IF NOT EXISTS smaps (line text);
    TRUNCATE smaps;
    EXECUTE format('COPY smaps FROM %L', '/proc/' || pg_backend_pid() || '/smaps_rollup');
    SELECT sum(split_part(regexp_replace(s.line, '\s+', ' ', 'g'), ' ', 2)::float8) / 1024 INTO total FROM smaps s
    WHERE s.line LIKE 'Rss:%';
    RETURN total;
END $$;
SELECT pg_temp.private_memory();  -- loads PL/pgSQL
-- PostGIS is loaded by any query on geometries; it is not what is measured here.
SELECT ST_AsText(ST_Transform(ST_SetSRID(ST_MakePoint(12.5, 41.9), 4326), 3857));
DO $$
DECLARE before float8 := pg_temp.private_memory(); started timestamptz; first float8; second float8; after float8;
BEGIN
    started := clock_timestamp();
    PERFORM csp_embed(ST_SetSRID(ST_MakePoint(12.5, 41.9), 4326), 'bench');
    first := extract(epoch FROM clock_timestamp() - started) * 1000;
    started := clock_timestamp();
    PERFORM csp_embed(ST_SetSRID(ST_MakePoint(12.6, 41.9), 4326), 'bench');
    second := extract(epoch FROM clock_timestamp() - started) * 1000;
    after := pg_temp.private_memory();
    RAISE NOTICE 'first csp_embed % ms, second % ms, resident memory + % MB', round(first::numeric, 2), round(second::numeric, 3),
        round((after - before)::numeric, 1);
END $$;

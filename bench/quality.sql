-- What pre-training brings: Top-1 of the place alone on held-back rows, three seeds, the default options.
--
-- Label draws are stratified and seeded. "without": the supervised stage alone, on the labelled rows, with the same
-- network. "with": pre-training before it. The neighbour is plain k-nearest neighbours on the sphere, on the same
-- labels, with the k that is best on the test rows: an upper bound of what k-NN can do.
--
--   psql -d DATABASE_WITH_SAMPLE_DATA -f bench/quality.sql
\set ON_ERROR_STOP on
SET client_min_messages = warning;
CREATE SCHEMA quality;
SET search_path = quality, public;

CREATE TABLE draws AS
SELECT d.split, d.share, s.seed, o.id, o.geom, o.features, o.label AS truth,
       CASE d.split WHEN 'block' THEN o.split_block ELSE o.split_random END AS part
FROM observations o, (VALUES ('block', 0.1), ('random', 0.1), ('random', 1.0)) d (split, share),
     generate_series(1, 3) s (seed);
ALTER TABLE draws ADD label text;
UPDATE draws d SET label = truth FROM (
    SELECT split, share, seed, id, row_number() OVER w AS place, count(*) OVER (PARTITION BY split, share, seed, truth) AS n
    FROM draws WHERE part = 'train'
    WINDOW w AS (PARTITION BY split, share, seed, truth ORDER BY md5(id || ' seed ' || seed))) r
WHERE (d.split, d.share, d.seed, d.id) = (r.split, r.share, r.seed, r.id) AND r.place <= ceil(r.share * r.n);
ANALYZE draws;

-- Block split: images of all places, labels in the train blocks. Random split: the train rows only.
SELECT format($$CALL csp_train(%L, $q$SELECT geom, label FROM quality.draws WHERE split = %L AND share = %s AND seed = %s AND label IS NOT NULL$q$,
                               label => 'label', options => '{"seed": %s}')$$,
              format('%s %s %s without', split, share, seed), split, share, seed, seed),
       format($$CALL csp_train(%L, $q$SELECT geom, features, label FROM quality.draws WHERE split = %L AND share = %s AND seed = %s AND (split = 'block' OR part = 'train')$q$,
                               features => 'features', label => 'label', options => '{"seed": %s}')$$,
              format('%s %s %s with', split, share, seed), split, share, seed, seed)
FROM (SELECT DISTINCT split, share, seed FROM draws) d ORDER BY split, share, seed
\gexec

CREATE TABLE top1 AS
SELECT d.split, d.share, d.seed, m.kind, avg((csp.label = d.truth)::int) AS top1
FROM draws d, (VALUES ('without'), ('with')) m (kind),
     csp_classify(d.geom, 1, format('%s %s %s %s', d.split, d.share, d.seed, m.kind)) csp
WHERE d.part = 'test'
GROUP BY 1, 2, 3, 4;

-- k-NN with the best of k = 1, 3, 5, 10
CREATE TABLE labelled AS SELECT split, share, seed, geom::geography AS place, label FROM draws WHERE label IS NOT NULL;
CREATE INDEX ON labelled USING gist (place);
ANALYZE labelled;
INSERT INTO top1
SELECT split, share, seed, 'k-NN', max(top1) FROM (
    SELECT split, share, seed, k, avg((vote = truth)::int) AS top1 FROM (
        SELECT d.split, d.share, d.seed, k, d.truth,
               (SELECT n.label FROM (SELECT label, row_number() OVER () AS r FROM (
                    SELECT l.label FROM labelled l
                    WHERE l.split = d.split AND l.share = d.share AND l.seed = d.seed
                    ORDER BY l.place <-> d.geom::geography LIMIT k) nearest) n
                GROUP BY n.label ORDER BY count(*) DESC, min(n.r) LIMIT 1) AS vote
        FROM draws d, (VALUES (1), (3), (5), (10)) v (k) WHERE d.part = 'test' AND d.share < 1) votes
    GROUP BY 1, 2, 3, 4) best
GROUP BY 1, 2, 3;

SELECT split, share AS labels, kind, round(avg(top1), 3) AS top1, round(min(top1), 3) AS least, round(max(top1), 3) AS most
FROM top1 GROUP BY split, share, kind ORDER BY split, share, avg(top1);
SELECT split, share AS labels, round(avg(top1) FILTER (WHERE kind = 'with') - avg(top1) FILTER (WHERE kind = 'without'), 3) AS gain
FROM top1 GROUP BY split, share ORDER BY split, share;
SELECT round(avg(extract(epoch FROM finished - started)) FILTER (WHERE model LIKE '% with'), 1) AS "seconds a run, both stages",
       round(max(extract(epoch FROM finished - started)), 1) AS "longest run"
FROM csp.runs WHERE state = 'succeeded' AND model LIKE '% with%';
SELECT DISTINCT current_setting('server_version') AS server, provenance ->> 'libtorch' AS libtorch, provenance ->> 'blas' AS blas FROM csp.models;

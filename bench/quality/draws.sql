-- Which labels each seed sees. Run once by run.sh, after data/load.sql.
--
-- Drawn class by class from the train rows of a split, ceil(share * rows of the class) of each, in an order that the seed
-- fixes: the same draws for every method, those of a small share being part of those of a larger one.
\set ON_ERROR_STOP on
CREATE SCHEMA quality;

CREATE VIEW quality.places AS
SELECT s.split, o.id, o.geom, o.features, o.label AS truth, s.part
FROM public.observations o, LATERAL (VALUES ('block', o.split_block), ('random', o.split_random)) s (split, part);

CREATE TABLE quality.draws (split text, share float8, seed int, id int, PRIMARY KEY (split, share, seed, id));
INSERT INTO quality.draws
SELECT split, share, seed, id
FROM (SELECT split, seed, id, row_number() OVER w AS place, count(*) OVER (PARTITION BY split, seed, truth) AS n
      FROM quality.places, generate_series(1, 5) seed
      WHERE part = 'train'
      WINDOW w AS (PARTITION BY split, seed, truth ORDER BY md5(id || ' seed ' || seed))) ordered,
     (VALUES (0.05), (0.1), (0.2), (1)) s (share)
WHERE place <= ceil(share * n);

-- Of image classifiers: softmax regressions on the image features alone, fitted by baselines.py on the same draws.
CREATE TABLE quality.image_probabilities (
    split text, share float8, seed int, id int, p real[], PRIMARY KEY (split, share, seed, id));
CREATE FUNCTION quality.raised(probabilities real[], power float8) RETURNS real[] LANGUAGE sql IMMUTABLE
RETURN ARRAY(SELECT (probability ^ power)::real FROM unnest(probabilities) WITH ORDINALITY p (probability, class) ORDER BY class);
ANALYZE quality.draws;

-- Layers: materialized views that GIS tools open without questions, and that follow the deploys of their model.
-- All by a role of its own: it sees the models that are trained here, and no others.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE ROLE csp_test_mapper LOGIN;
CREATE ROLE csp_test_map_reader LOGIN;
GRANT EXECUTE ON PROCEDURE csp_train TO csp_test_mapper;
GRANT SELECT ON places TO csp_test_mapper;
CREATE SCHEMA maps AUTHORIZATION csp_test_mapper;
CREATE SCHEMA hostile AUTHORIZATION csp_test_mapper;
SET ROLE csp_test_mapper;
SET search_path = maps, public;
CALL csp_train('prior', 'places', 'geom', 'features', 'label', '{"pretrain_epochs": 1, "epochs": 4, "embedding_dim": 16, "seed": 1}') \g /dev/null
CALL csp_train('other', 'places', 'geom', 'features', 'label', '{"pretrain_epochs": 0, "epochs": 1, "embedding_dim": 8, "seed": 2}') \g /dev/null
CALL csp_train('images', 'places', 'geom', 'features', NULL, '{"pretrain_epochs": 1, "embedding_dim": 8}') \g /dev/null
SET csp.model = 'prior';

CREATE VIEW layer_columns AS
    SELECT c.relname AS layer, a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type, col_description(c.oid, a.attnum) AS description
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 WHERE c.relkind = 'm' ORDER BY c.oid, a.attnum;
CREATE VIEW layer_indexes AS
    SELECT c.relname AS layer, x.indisunique, m.amname, pg_get_indexdef(x.indexrelid, 1, true) AS key
    FROM pg_index x JOIN pg_class c ON c.oid = x.indrelid AND c.relkind = 'm' JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_am m ON m.oid = i.relam
    ORDER BY c.oid, x.indexrelid;

-- One label, several, none.
CALL csp_create_prior_layer('one', ST_MakeEnvelope(-10, -10, 10, 10, 4326), 2, '{north}');
CALL csp_create_prior_layer('maps."All Three"', ST_MakeEnvelope(500000, 5100000, 900000, 5400000, 32632), 50000, '{north,middle,south}', 'prior', 'hexagon');
CALL csp_create_prior_layer('best', ST_Buffer('SRID=4326;POINT(3 4)'::geometry, 5), 1);
SELECT * FROM layer_columns;
SELECT * FROM layer_indexes;
SELECT f_table_name, f_geometry_column, coord_dimension, srid, type FROM geometry_columns WHERE f_table_name IN ('one', 'All Three', 'best') ORDER BY 1;
SELECT relname, obj_description(oid, 'pg_class'), reltuples > 0 AS analyzed FROM pg_class WHERE relkind = 'm' AND relnamespace <> 'csp'::regnamespace ORDER BY oid;

-- They hold what the grids do.
SELECT count(*), bool_and(l.geom = g.geom AND l.probability = g.probability) AS same
FROM one l FULL JOIN csp_prior_grid(ST_MakeEnvelope(-10, -10, 10, 10, 4326), 2, 'north') g USING (id, i, j);
SELECT count(*), bool_and(l.geom = g.geom AND l.north = n.probability AND l.south = g.probability) AS same, bool_and(abs(l.north + l.middle + l.south - 1) < 1e-5) AS all_classes
FROM "All Three" l FULL JOIN csp_prior_grid(ST_MakeEnvelope(500000, 5100000, 900000, 5400000, 32632), 50000, 'south', shape => 'hexagon') g USING (id, i, j)
JOIN csp_prior_grid(ST_MakeEnvelope(500000, 5100000, 900000, 5400000, 32632), 50000, 'north', shape => 'hexagon') n USING (id, i, j);
SELECT count(*), bool_and(l.geom = g.geom AND l.label = g.label AND l.probability = g.probability AND l.entropy = g.entropy) AS same
FROM best l FULL JOIN csp_class_grid(ST_Buffer('SRID=4326;POINT(3 4)'::geometry, 5), 1) g USING (id, i, j);

-- The model is named, whatever the session means by none: a refresh follows its next version, csp.model does not matter.
SELECT regexp_replace(substring(pg_get_viewdef('one'::regclass) FROM 'csp_probability\([^)]*\)'), '\mg\.', '') AS call;
CREATE TABLE before AS SELECT * FROM one;
SET csp.model = 'other';
REFRESH MATERIALIZED VIEW CONCURRENTLY one;
SELECT count(*) AS changed FROM one JOIN before USING (id) WHERE one.probability <> before.probability;
CALL csp_train('prior', 'places', 'geom', 'features', 'label', '{"pretrain_epochs": 0, "epochs": 2, "embedding_dim": 8, "seed": 99}') \g /dev/null
REFRESH MATERIALIZED VIEW CONCURRENTLY one;
SELECT count(*) AS cells, count(*) FILTER (WHERE one.probability = before.probability) AS unchanged,
       bool_and(one.probability = csp_probability(ST_Centroid(one.geom), 'north', 'prior')) AS current
FROM one JOIN before USING (id);
SET csp.model = 'prior@1';
CALL csp_create_prior_layer('first_version', ST_MakeEnvelope(-10, -10, 10, 10, 4326), 2, '{north}');
SELECT count(*) AS cells, bool_and(f.probability = b.probability) AS same FROM first_version f JOIN before b USING (id);
SET csp.model = 'prior';

-- Names of columns: as the labels, but for what cannot be; what is unique is so without regard to case.
SELECT n, name, octet_length(name) FROM unnest(csp.layer_columns(ARRAY['Turdus merula', 'turdus MERULA', 'id', 'Geom', 'xmin', '', 'a"b''c', 'a', 'a', 'a_2', 'a'])) WITH ORDINALITY u (name, n);
SELECT octet_length(name), right(name, 3) FROM unnest(csp.layer_columns(ARRAY[repeat('x', 70), repeat('x', 80), repeat('ä', 40), repeat('ä', 41)])) name;
CREATE TABLE odd AS SELECT geom, CASE label WHEN 'north' THEN 'it''s "quoted"; DROP TABLE places' WHEN 'south' THEN 'id' ELSE '100% \ sure' END AS label FROM places WHERE label IS NOT NULL;
CALL csp_train('o''dd "model" %s \', 'odd', location => 'geom', label => 'label', options => '{"epochs": 1, "embedding_dim": 8}') \g /dev/null
CALL csp_create_prior_layer('"o''dd ""layer"" %s \"', ST_MakeEnvelope(0, 0, 2, 2, 4326), 1, ARRAY['it''s "quoted"; DROP TABLE places', 'id', '100% \ sure'], 'o''dd "model" %s \');
SELECT name, description FROM layer_columns WHERE layer LIKE 'o''dd%';
SELECT count(*) FROM "o'dd ""layer"" %s \" WHERE abs("it's ""quoted""; DROP TABLE places" + "id_2" + "100% \ sure" - 1) < 1e-5;

-- Polygons with heights, cells of any size to the last bit, and where there are no places.
CALL csp_create_prior_layer('height', 'SRID=4326;POLYGON Z ((0 0 7, 3 0 7, 0 3 7, 0 0 7))', 1, '{north}');
SELECT count(*), min(ST_NDims(geom)) FROM height;
SET extra_float_digits = -15;
CALL csp_create_prior_layer('third', ST_MakeEnvelope(0, 0, 1, 1, 4326), 1 / 3::float8, '{north}');
RESET extra_float_digits;
SELECT count(*), bool_and(t.geom = g.geom) AS same FROM third t JOIN csp_prior_grid(ST_MakeEnvelope(0, 0, 1, 1, 4326), 1 / 3::float8, 'north') g USING (id);

CALL csp_create_prior_layer('beyond', ST_MakeEnvelope(0, 91, 1, 92, 4326), 1, '{north}');
SELECT count(*) FROM beyond;

-- A search_path that means harm: objects that the names would match first are not used.
CREATE FUNCTION hostile.format(text, text, text) RETURNS text LANGUAGE sql AS $$ SELECT 'DROP TABLE places' $$;
CREATE FUNCTION hostile.cardinality(text[]) RETURNS int LANGUAGE sql AS $$ SELECT 1 / 0 $$;
CREATE FUNCTION hostile.csp_probability(geometry, text, text) RETURNS real LANGUAGE sql AS $$ SELECT 1 / 0 $$;
CREATE DOMAIN hostile.geometry AS text CHECK (false);
CREATE DOMAIN hostile.float8 AS text CHECK (false);
SET search_path = hostile, maps, public, pg_catalog;
CALL csp_create_prior_layer('maps.calm', public.ST_MakeEnvelope(0, 0, 1, 1, 4326), 1, '{north}');
CALL csp_create_prior_layer('calm', public.ST_MakeEnvelope(0, 0, 1, 1, 4326), 1, '{north,south}');
SET search_path = '';
CALL public.csp_create_prior_layer('maps.calmer', public.ST_MakeEnvelope(0, 0, 1, 1, 4326), 1);
REFRESH MATERIALIZED VIEW CONCURRENTLY hostile.calm;
CALL public.csp_create_prior_layer('nowhere', public.ST_MakeEnvelope(0, 0, 1, 1, 4326), 1);
SET search_path = maps, public;
SELECT c.relnamespace::regnamespace, c.relname FROM pg_class c WHERE relkind = 'm' AND relname LIKE 'calm%' ORDER BY 2, 1;
DROP SCHEMA hostile CASCADE;

-- The layer is the caller's: he needs the model, readers need the view alone.
GRANT USAGE, CREATE ON SCHEMA maps TO csp_test_map_reader;
GRANT SELECT ON one TO csp_test_map_reader;
SET ROLE csp_test_map_reader;
CALL csp_create_prior_layer('theirs', ST_MakeEnvelope(0, 0, 2, 2, 4326), 1, '{north}', 'prior');
SELECT count(*), count(probability) FROM one;
RESET ROLE;
-- An owner who has no right to the model keeps what the layer holds.
ALTER MATERIALIZED VIEW one OWNER TO csp_test_map_reader;
REFRESH MATERIALIZED VIEW one;
SELECT count(*), count(probability) FROM one;
SET ROLE csp_test_mapper;

-- What cannot be, and leaves nothing behind.
CALL csp_create_prior_layer('one', ST_MakeEnvelope(0, 0, 1, 1, 4326), 1, '{north}');
CALL csp_create_prior_layer('bad', NULL, 1, '{north}');
CALL csp_create_prior_layer(NULL, ST_MakeEnvelope(0, 0, 1, 1, 4326), 1, '{north}');
CALL csp_create_prior_layer('bad', ST_MakeEnvelope(0, 0, 1, 1, 4326), NULL, '{north}');
CALL csp_create_prior_layer('bad', ST_MakeEnvelope(0, 0, 1, 1, 4326), 1, '{}');
CALL csp_create_prior_layer('bad', ST_MakeEnvelope(0, 0, 1, 1, 4326), 1, '{north,NULL}');
CALL csp_create_prior_layer('bad', ST_MakeEnvelope(0, 0, 1, 1, 4326), 1, '{nowhere}');
CALL csp_create_prior_layer('bad', ST_MakeEnvelope(0, 91, 1, 92, 4326), 1, '{nowhere}');
CALL csp_create_prior_layer('bad', ST_MakeEnvelope(0, 0, 1, 1, 4326), 1, '{north}', 'nothing');
CALL csp_create_prior_layer('bad', ST_MakeEnvelope(0, 0, 1, 1, 4326), 1, '{north}', '');
CALL csp_create_prior_layer('bad', ST_MakeEnvelope(0, 0, 1, 1, 4326), 1, NULL, 'images');
CALL csp_create_prior_layer('bad', ST_MakeEnvelope(0, 0, 1, 1, 4326), 1, '{north}', 'images');
CALL csp_create_prior_layer('bad', 'SRID=4326;POLYGON EMPTY', 1, '{north}');
CALL csp_create_prior_layer('bad', ST_MakeEnvelope(0, 0, 1, 1), 1, '{north}');
CALL csp_create_prior_layer('bad', 'SRID=4326;LINESTRING(0 0, 1 1)', 1, '{north}');
CALL csp_create_prior_layer('bad', ST_MakeEnvelope(0, 0, 1, 1, 4326), 0, '{north}');
CALL csp_create_prior_layer('bad', ST_MakeEnvelope(0, 0, 1, 1, 4326), 'NaN', '{north}');
CALL csp_create_prior_layer('bad', ST_MakeEnvelope(0, 0, 1, 1, 4326), 1, '{north}', shape => 'triangle');
CALL csp_create_prior_layer('bad', ST_MakeEnvelope(0, 0, 1, 1, 4326), 1e-5, '{north}');
CALL csp_create_prior_layer('a.b.c', ST_MakeEnvelope(0, 0, 1, 1, 4326), 1, '{north}');
CALL csp_create_prior_layer('not quoted', ST_MakeEnvelope(0, 0, 1, 1, 4326), 1, '{north}');
CALL csp_create_prior_layer('nowhere.bad', ST_MakeEnvelope(0, 0, 1, 1, 4326), 1, '{north}');
RESET csp.model;
CALL csp_create_prior_layer('bad', ST_MakeEnvelope(0, 0, 1, 1, 4326), 1, '{north}');
SELECT count(*) FROM pg_class WHERE relname = 'bad';

RESET ROLE;
DROP MATERIALIZED VIEW one, "All Three", best, first_version, height, third, beyond, "o'dd ""layer"" %s \", calm, calmer;
DROP TABLE before, odd;
DROP VIEW layer_columns, layer_indexes;

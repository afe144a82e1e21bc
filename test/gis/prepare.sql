-- What the tests of GIS tools open: layers and a raster of a model of the sample data, and a role that may read them alone.
\set ON_ERROR_STOP on
SET client_min_messages = warning;
CREATE EXTENSION csp_ext CASCADE;
CREATE EXTENSION csp_ext_raster CASCADE;
\ir ../../data/load.sql
CALL csp_train('places', 'SELECT * FROM observations WHERE split_random = ''train''', 'geom', 'features', 'label',
    '{"pretrain_epochs": 0, "epochs": 15, "embedding_dim": 64, "seed": 1}');

CREATE SCHEMA maps;
CALL csp_create_prior_layer('maps.prior', ST_MakeEnvelope(-30, 34, 40, 72, 4326), 0.5, '{Cf}', 'places');
CALL csp_create_prior_layer('maps."Several Classes"', ST_Buffer(ST_SetSRID(ST_MakePoint(4321000, 3210000), 3035), 1500000), 50000, '{Cf,Dd,ET}', 'places', 'hexagon');
CALL csp_create_prior_layer('maps.most_probable', ST_MakeEnvelope(-30, 34, 40, 72, 4326), 1, NULL, 'places');
CALL csp_create_prior_raster('maps.prior_raster', ST_MakeEnvelope(-30, 34, 40, 72, 4326), 700, 380, '{Cf,ET}', 'places');
CALL csp_create_prior_raster('maps.disc', ST_Buffer(ST_SetSRID(ST_MakePoint(10, 50), 4326), 10), 300, 300, '{Cf}', 'places');

CREATE ROLE map_reader LOGIN;
GRANT USAGE ON SCHEMA maps TO map_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA maps TO map_reader;

-- What the examples of doc/maps.md speak of.
CREATE TABLE countries AS SELECT country AS name, ST_ConvexHull(ST_Collect(geom)) AS geom FROM observations GROUP BY country HAVING count(*) > 10;
CREATE TABLE parks (name, geom) AS VALUES
    ('hills', ST_Buffer(ST_SetSRID(ST_MakePoint(9, 50), 4326), 1.5)), ('coast', ST_MakeEnvelope(-4.2, 42.9, -1.3, 43.4, 4326));
CREATE TABLE routes (name, geom) AS VALUES ('northward', ST_GeomFromText('LINESTRING(9 40, 10 50, 14 68)', 4326));

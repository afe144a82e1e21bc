-- Rasters of a prior (csp_ext_raster). Follows layers: its role and its models.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
SELECT count(*) = 0 AS skip FROM pg_available_extensions WHERE name = 'postgis_raster' \gset
\if :skip
\echo skipped: there is no postgis_raster
\quit
\endif
CREATE EXTENSION csp_ext_raster CASCADE;
SHOW postgis.gdal_enabled_drivers;
SELECT p.oid::regprocedure FROM pg_depend d JOIN pg_proc p ON p.oid = d.objid, pg_extension e
WHERE d.classid = 'pg_proc'::regclass AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND d.refobjid = e.oid AND e.extname = 'csp_ext_raster'
  AND (p.prosecdef OR obj_description(p.oid, 'pg_proc') IS NULL);
SET ROLE csp_test_mapper;
SET search_path = maps, public;
SET csp.model = 'prior';

-- Tiles of 256 pixels, the last ones smaller, north up, of one alignment.
CREATE TABLE tiles AS SELECT * FROM csp_prior_raster(ST_MakeEnvelope(-30, -20, 30, 40, 4326), 300, 600, 'north');
SELECT rid, ST_Width(rast) AS width, ST_Height(rast) AS height, round(ST_UpperLeftX(rast)::numeric, 6) AS x, round(ST_UpperLeftY(rast)::numeric, 6) AS y,
       round(ST_ScaleX(rast)::numeric, 6) AS scale_x, round(ST_ScaleY(rast)::numeric, 6) AS scale_y, ST_SRID(rast) AS srid,
       ST_BandPixelType(rast) AS type, ST_BandNoDataValue(rast) AS nodata, ST_NumBands(rast) AS bands FROM tiles ORDER BY rid;
SELECT ST_SameAlignment(rast) FROM tiles;

-- A pixel's value is that of csp_probability at its centre, to the bit, in any SRID, with batches and without.
CREATE FUNCTION differences(bounds geometry, width int, height int, OUT pixels bigint, OUT different bigint) LANGUAGE SQL AS $$
    SELECT count(*), count(*) FILTER (WHERE c.val IS DISTINCT FROM csp_probability(c.geom, 'south')::float8)
    FROM csp_prior_raster(bounds, width, height, 'south') r, ST_PixelAsCentroids(r.rast, 1, false) c $$;
SELECT * FROM differences(ST_MakeEnvelope(-30.123, -34.7, 40.31, 41.9, 4326), 290, 70);
SELECT * FROM differences(ST_MakeEnvelope(500000.3, 5100000, 900000, 5400000.1, 32632), 70, 60);
SELECT * FROM differences(ST_MakeEnvelope(170, -50, 190, -30, 4326), 20, 20);
SELECT * FROM differences(ST_MakeEnvelope(0, 0, 1, 1, 4326), 1, 1);
SET csp.enable_batch = off;
SELECT * FROM differences(ST_MakeEnvelope(-30.123, -34.7, 40.31, 41.9, 4326), 29, 7);
RESET csp.enable_batch;

-- A band a label, in their order, the same as each alone.
SELECT ST_NumBands(m.rast) AS bands, bool_and(ST_DumpValues(m.rast, b::int) = ST_DumpValues(s.rast, 1)) AS same
FROM csp_prior_raster(ST_MakeEnvelope(-30, -20, 30, 40, 4326), 270, 10, ARRAY['south', 'middle', 'north']) m,
     unnest(ARRAY['south', 'middle', 'north']) WITH ORDINALITY l (label, b), csp_prior_raster(ST_MakeEnvelope(-30, -20, 30, 40, 4326), 270, 10, l.label, 'prior') s
WHERE s.rid = m.rid GROUP BY m.rid, 1 ORDER BY m.rid;

-- No data beyond a polygon, beyond a pole, and where a projection has no places.
SELECT count(*) AS pixels, bool_and((val <> -9999) = ST_Intersects(geom, ST_Buffer('SRID=4326;POINT(3 4)'::geometry, 5))) AS within,
       bool_and(val = csp_probability(geom, 'south')::float8) FILTER (WHERE val <> -9999) AS same
FROM csp_prior_raster(ST_Buffer('SRID=4326;POINT(3 4)'::geometry, 5), 50, 50, 'south') r, ST_PixelAsCentroids(r.rast, 1, false) c;
SELECT bool_and((val <> -9999) = (ST_Y(geom) <= 90)) AS "to the pole", count(*) FROM csp_prior_raster(ST_MakeEnvelope(0, 80, 10, 100, 4326), 10, 20, 'south') r, ST_PixelAsCentroids(r.rast, 1, false) c;
-- (World Robinson: the corners of its box are no places.)
SELECT count(*) AS pixels, count(*) FILTER (WHERE val <> -9999) BETWEEN 1000 AND 2300 AS "some have none" FROM csp_prior_raster(ST_MakeEnvelope(-17e6, -8.5e6, 17e6, 8.5e6, 54030), 68, 34, 'south') r, ST_PixelAsCentroids(r.rast, 1, false) c;
SELECT ST_DumpValues(rast, 1, false) FROM csp_prior_raster(ST_MakeEnvelope(0, 91, 2, 92, 4326), 2, 1, 'south');

-- A table that raster_columns knows about, with comments, of the caller.
CALL csp_create_prior_raster('both_classes', ST_MakeEnvelope(-30, -20, 30, 40, 4326), 300, 300, '{south,north}');
CALL csp_create_prior_raster('maps."All of It"', ST_MakeEnvelope(500000, 5100000, 900000, 5400000, 32632), 40, 30, '{north}', 'prior@1');
SELECT r_table_name, r_raster_column, srid, round(scale_x::numeric, 6) AS scale_x, round(scale_y::numeric, 6) AS scale_y, blocksize_x, blocksize_y, same_alignment,
       regular_blocking, num_bands, pixel_types, nodata_values, out_db, ST_AsText(extent, 3) AS extent, spatial_index FROM raster_columns WHERE r_table_schema = 'maps' AND r_table_name <> 'tiles' ORDER BY 1;
SELECT c.relname, c.relowner::regrole, obj_description(c.oid, 'pg_class') AS "table", col_description(c.oid, 1) AS rid, col_description(c.oid, 2) AS rast FROM pg_class c
WHERE relnamespace = 'maps'::regnamespace AND relname IN ('both_classes', 'All of It') ORDER BY 1;
SELECT c.relname, x.indisprimary, pg_get_indexdef(x.indexrelid, 1, true) AS key FROM pg_class c JOIN pg_index x ON x.indrelid = c.oid
WHERE relnamespace = 'maps'::regnamespace AND relname = 'both_classes' ORDER BY pg_get_indexdef(x.indexrelid);
SELECT count(*) AS tiles, bool_and(ST_DumpValues(t.rast, 2) = ST_DumpValues(r.rast, 1)) AS same
FROM both_classes t JOIN csp_prior_raster(ST_MakeEnvelope(-30, -20, 30, 40, 4326), 300, 300, 'north') r USING (rid);
-- New values of the same raster keep to the constraints.
BEGIN;
TRUNCATE both_classes;
INSERT INTO both_classes SELECT * FROM csp_prior_raster(ST_MakeEnvelope(-30, -20, 30, 40, 4326), 300, 300, ARRAY['south', 'north'], 'other');
COMMIT;
SELECT round(ST_Value(rast, 2, 'SRID=4326;POINT(1.23 4.56)'::geometry)::numeric, 5) = round(csp_probability('SRID=4326;POINT(1.3 4.5)'::geometry, 'north', 'other')::numeric, 5) AS value
FROM both_classes WHERE ST_Intersects(rast, 'SRID=4326;POINT(1.23 4.56)'::geometry);

-- Labels that are anything, a search_path that means harm.
CREATE TABLE hostile_label AS SELECT * FROM csp_prior_raster(ST_MakeEnvelope(0, 0, 2, 2, 4326), 2, 2, ARRAY['it''s "quoted"; DROP TABLE places', '100% \ sure'], 'o''dd "model" %s \');
SELECT ST_NumBands(rast) FROM hostile_label;
RESET ROLE;
CREATE SCHEMA hostile AUTHORIZATION csp_test_mapper;
SET ROLE csp_test_mapper;
CREATE FUNCTION hostile.cardinality(text[]) RETURNS int LANGUAGE sql AS $$ SELECT 1 / 0 $$;
CREATE FUNCTION hostile.st_width(raster) RETURNS int LANGUAGE sql AS $$ SELECT 1 / 0 $$;
CREATE FUNCTION hostile.csp_probability(geometry, text, text) RETURNS real LANGUAGE sql AS $$ SELECT 1 / 0 $$;
SET search_path = hostile, maps, public, pg_catalog;
CALL csp_create_prior_raster('calm', ST_MakeEnvelope(0, 0, 2, 2, 4326), 2, 2, '{north}');
SET search_path = '';
CALL public.csp_create_prior_raster('maps.calmer', public.ST_MakeEnvelope(0, 0, 2, 2, 4326), 2, 2, '{north}');
SELECT pg_catalog.count(*) FROM public.csp_prior_raster(public.ST_MakeEnvelope(0, 0, 2, 2, 4326), 2, 2, 'north');
SET search_path = maps, public;
SELECT r_table_schema, r_table_name, num_bands FROM raster_columns WHERE r_table_name LIKE 'calm%' ORDER BY 1;
RESET ROLE;
DROP SCHEMA hostile CASCADE;
SET ROLE csp_test_mapper;

-- Nothing in, nothing out.
SELECT count(*) FROM csp_prior_raster(NULL, 1, 1, 'north');
SELECT count(*) FROM csp_prior_raster(ST_MakeEnvelope(0, 0, 1, 1, 4326), NULL, 1, 'north');
SELECT count(*) FROM csp_prior_raster(ST_MakeEnvelope(0, 0, 1, 1, 4326), 1, 1, NULL::text);
SELECT count(*) FROM csp_prior_raster(ST_MakeEnvelope(0, 0, 1, 1, 4326), 1, 1, NULL::text[]);

-- What cannot be, and leaves nothing behind.
SELECT * FROM csp_prior_raster('SRID=4326;POLYGON EMPTY', 1, 1, 'north');
SELECT * FROM csp_prior_raster(ST_MakeEnvelope(0, 0, 1, 1), 1, 1, 'north');
SELECT * FROM csp_prior_raster('SRID=4326;LINESTRING(0 0, 1 1)', 1, 1, 'north');
SELECT * FROM csp_prior_raster('SRID=4326;POLYGON((0 0, 1 0, 0 0, 0 0))', 1, 1, 'north');
SELECT * FROM csp_prior_raster(ST_MakeEnvelope(0, 0, 'Infinity', 1, 4326), 1, 1, 'north');
SELECT * FROM csp_prior_raster(ST_MakeEnvelope('NaN', 0, 1, 1, 4326), 1, 1, 'north');
SELECT * FROM csp_prior_raster(ST_MakeEnvelope(0, 0, 1, 1, 4326), 0, 1, 'north');
SELECT * FROM csp_prior_raster(ST_MakeEnvelope(0, 0, 1, 1, 4326), 1, -1, 'north');
SELECT * FROM csp_prior_raster(ST_MakeEnvelope(0, 0, 1, 1, 4326), 10000, 1001, 'north');
SELECT * FROM csp_prior_raster(ST_MakeEnvelope(0, 0, 1, 1, 4326), 1, 1, 'nowhere');
SELECT * FROM csp_prior_raster(ST_MakeEnvelope(0, 0, 1, 1, 4326), 1, 1, 'north', 'nothing');
SELECT * FROM csp_prior_raster(ST_MakeEnvelope(0, 0, 1, 1, 4326), 1, 1, 'north', 'images');
SELECT * FROM csp_prior_raster(ST_MakeEnvelope(0, 0, 1, 1, 4326), 1, 1, '{}'::text[]);
SELECT * FROM csp_prior_raster(ST_MakeEnvelope(0, 0, 1, 1, 4326), 1, 1, '{north,NULL}'::text[]);
CALL csp_create_prior_raster('tiles', ST_MakeEnvelope(0, 0, 1, 1, 4326), 1, 1, '{north}');
CALL csp_create_prior_raster('bad', ST_MakeEnvelope(0, 0, 1, 1, 4326), 1, 1, NULL);
CALL csp_create_prior_raster('bad', ST_MakeEnvelope(0, 0, 1, 1, 4326), 1, 1, '{nowhere}');
CALL csp_create_prior_raster('bad', ST_MakeEnvelope(0, 0, 1, 1), 1, 1, '{north}');
SELECT count(*) FROM pg_class WHERE relname = 'bad';
SET ROLE csp_test_map_reader;
SELECT * FROM csp_prior_raster(ST_MakeEnvelope(0, 0, 1, 1, 4326), 1, 1, 'north', 'prior');
RESET ROLE;

-- The tables stay when the extension goes.
DROP EXTENSION csp_ext_raster;
SELECT count(*) FROM pg_proc WHERE proname LIKE '%raster%' AND pronamespace = 'csp'::regnamespace;
SELECT ST_NumBands(rast) FROM maps.both_classes WHERE rid = 1;
DROP FUNCTION differences;
DROP TABLE tiles, hostile_label, both_classes, "All of It", calmer;
DROP EXTENSION postgis_raster;

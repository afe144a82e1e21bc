-- Vector tiles of a prior: what is in them, their ETags, masks, and what anybody may ask for.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
SET csp.model = 'both';

-- Tile servers find these: pg_tileserv functions (z, x, y, ...) that return bytea, martin those with one argument of json
-- more that return bytea or (bytea, text). Nothing else of this extension looks like one.
SELECT oid::regprocedure AS "for pg_tileserv" FROM pg_proc
WHERE oidvectortypes(proargtypes) ~ '^integer, integer, integer(,|$)' AND proargnames[1:3] = '{z,x,y}' AND prorettype = 'bytea'::regtype ORDER BY 1;
SELECT oid::regprocedure AS "for martin", pg_get_function_result(oid) FROM pg_proc
WHERE oidvectortypes(proargtypes) = 'integer, integer, integer, json' AND proargnames[1:3] = '{z,x,y}'
  AND (prorettype = 'bytea'::regtype OR proallargtypes[5:] = ARRAY['bytea'::regtype, 'text'::regtype]::oid[]) ORDER BY 1;

-- Cells: where PostGIS has them, at all levels.
CREATE FUNCTION expected_cells(z int, x int, y int, cells int) RETURNS TABLE (id int, geom geometry, location geometry) LANGUAGE SQL AS $$
    SELECT j * cells + i + 1, ST_AsMVTGeom(c.cell, ST_Extent(c.tile) OVER (), 4096, 0, true), ST_Transform(ST_Centroid(c.cell), 4326)
    FROM generate_series(0, cells - 1) j, generate_series(0, cells - 1) i, ST_TileEnvelope(z, x, y) tile,
         LATERAL (SELECT tile, ST_MakeEnvelope(ST_XMin(tile) + i * (ST_XMax(tile) - ST_XMin(tile)) / cells, ST_YMax(tile) - (j + 1) * (ST_YMax(tile) - ST_YMin(tile)) / cells,
             ST_XMin(tile) + (i + 1) * (ST_XMax(tile) - ST_XMin(tile)) / cells, ST_YMax(tile) - j * (ST_YMax(tile) - ST_YMin(tile)) / cells, 3857) AS cell) c
    ORDER BY 1 $$;
SET jit = off;
SELECT z, cells, max(abs(ST_X(e.location) - ST_X(c.location))) < 1e-9 AS longitude, max(abs(ST_Y(e.location) - ST_Y(c.location))) < 1e-9 AS latitude,
       bool_and(ST_Equals(ST_SetSRID(e.geom, 0), c.geom) AND ST_IsPolygonCCW(e.geom) = ST_IsPolygonCCW(c.geom)) AS same_squares, count(*)
FROM (VALUES (0, 0, 0, 16), (0, 0, 0, 1), (2, 3, 0, 24), (5, 17, 11, 10), (18, 135000, 90000, 3), (29, 400000000, 300000000, 16)) t (z, x, y, cells),
     LATERAL expected_cells(z, x, y, cells) e JOIN LATERAL csp.tile_cells(z, x, y, cells, NULL, false) c USING (id)
GROUP BY z, cells ORDER BY 1, 2;
RESET jit;

-- A tile, byte for byte what query functions say of those cells.
CREATE FUNCTION expected_tile(z int, x int, y int, cells int, kind text, label text DEFAULT NULL) RETURNS bytea LANGUAGE SQL AS $$
    SELECT CASE kind
        WHEN 'prior' THEN (SELECT ST_AsMVT(t, 'prior', 4096, 'geom', 'id') FROM (
            SELECT id, geom, csp_probability(location, expected_tile.label, 'both') AS probability
            FROM csp.tile_cells(z, x, y, cells, NULL, false) ORDER BY id) t)
        ELSE (SELECT ST_AsMVT(t, 'class', 4096, 'geom', 'id') FROM (
            SELECT id, geom, k.label, k.probability, (csp.class_summary(csp_probabilities(location, 'both'), 'both')).entropy
            FROM csp.tile_cells(z, x, y, cells, NULL, false), csp_classify(location, 1, 'both') k ORDER BY id) t)
        END $$;
SELECT csp_prior_tile(3, 4, 2, '{"label": "north"}') = expected_tile(3, 4, 2, 16, 'prior', 'north') AS prior,
       csp_prior_tile(0, 0, 0, '{"label": "south", "cells": 7}') = expected_tile(0, 0, 0, 7, 'prior', 'south') AS cells,
       csp_prior_tile(3, 4, 2, '{}') = expected_tile(3, 4, 2, 16, 'class') AS class,
       csp_prior_tile(3, 4, 2) = csp_prior_tile(3, 4, 2, '{"kind": "class", "label": "north", "model": "both"}') AS "kind decides";

-- All ways to ask for it are the same; texts in place of numbers, as URLs have them; empty texts and null are not given.
SELECT bool_and(tile = csp_prior_tile(3, 4, 2, '{"label": "north", "cells": 8}')) AS same
FROM (VALUES (csp_prior_tile(3, 4, 2, '{"label": "north", "cells": "8", "model": "both", "kind": "prior", "threshold": "0.0"}')),
             (csp_prior_tile(3, 4, 2, '{"cells": 8, "kind": "", "mask": "", "model": null, "label": "north", "outside": "f", "other": {"a": [1]}}')),
             (csp_map_tile(3, 4, 2, label => 'north', cells => 8)),
             (csp_map_tile(3, 4, 2, 'both', 'north', 'prior', 8, '', false, 0)),
             ((SELECT t.tile FROM csp_prior_tile_with_etag(3, 4, 2, '{"label": "north", "cells": 8}') t))) v (tile);
SELECT csp_prior_tile(3, 4, 2, 'null') = csp_prior_tile(3, 4, 2, NULL) AS "no query";

-- Through batches, with the same answers without them, and whatever is in the search_path.
EXPLAIN (COSTS OFF) SELECT * FROM csp.prior_tile(3, 4, 2, 16, NULL, false, 0, 'north', 'both');
EXPLAIN (COSTS OFF) SELECT * FROM csp.class_tile(3, 4, 2, 16, NULL, false, 0, 'both');
CREATE TABLE kept AS SELECT query, csp_prior_tile(3, 4, 2, query) AS tile
FROM (VALUES ('{"label": "north"}'::json), ('{}'), ('{"kind": "embedding"}')) q (query);
SET csp.enable_batch = off;
SELECT bool_and(tile = csp_prior_tile(3, 4, 2, query)) AS "row by row" FROM kept;
RESET csp.enable_batch;
CREATE SCHEMA hostile;
CREATE FUNCTION hostile.yes(text, text) RETURNS boolean LANGUAGE SQL AS 'SELECT true';
CREATE FUNCTION hostile.yes(int, int) RETURNS boolean LANGUAGE SQL AS 'SELECT true';
CREATE OPERATOR hostile.= (LEFTARG = text, RIGHTARG = text, FUNCTION = hostile.yes);
CREATE OPERATOR hostile.= (LEFTARG = int, RIGHTARG = int, FUNCTION = hostile.yes);
CREATE OPERATOR hostile.<> (LEFTARG = int, RIGHTARG = int, FUNCTION = hostile.yes);
CREATE FUNCTION hostile.format(text, VARIADIC "any") RETURNS text LANGUAGE internal IMMUTABLE AS 'text_format';
CREATE FUNCTION hostile.st_collect(geometry) RETURNS geometry LANGUAGE SQL AS 'SELECT NULL::geometry';
SET search_path = hostile, pg_catalog;
SELECT pg_catalog.bool_and(tile OPERATOR(pg_catalog.=) public.csp_prior_tile(3, 4, 2, query)) AS "hostile path" FROM public.kept;
RESET search_path;

-- The colours of embeddings: of the model, not of the tile.
SELECT cardinality(csp.embedding_basis('both')) = 4 * 16 + 3 AS basis, csp.embedding_basis('both') = csp.embedding_basis(NULL) AS same,
       length(csp_prior_tile(0, 0, 0, '{"kind": "embedding", "cells": 64}')) > 10000 AS tile;

-- A threshold leaves cells out.
SELECT csp_prior_tile(1, 0, 0, '{"label": "north", "threshold": 1}') = '' AS none,
       length(csp_prior_tile(1, 0, 0, '{"label": "north", "threshold": 0.3}')) BETWEEN 1 AND length(csp_prior_tile(1, 0, 0, '{"label": "north"}')) - 1 AS some;

-- ETags: the same for the same, another for another.
SELECT count(DISTINCT csp_prior_tile_etag(3, 4, 2, query::json)) AS same, bool_and(csp_prior_tile_etag(3, 4, 2, query::json) ~ '^[0-9a-f]{32}$') AS hash
FROM (VALUES ('{"label": "north"}'), ('{"label": "north", "cells": 16, "threshold": 0}'), ('{"other": 1, "label": "north", "kind": "prior"}'),
             ('{"label": "north", "model": "both"}'), ('{"label": "north", "model": "both@1"}')) v (query);
SELECT count(DISTINCT csp_prior_tile_etag(z, x, y, query::json)) = count(*) AS others
FROM (VALUES (3, 4, 2, '{"label": "north"}'), (3, 4, 3, '{"label": "north"}'), (3, 3, 2, '{"label": "north"}'), (4, 4, 2, '{"label": "north"}'),
             (3, 4, 2, '{"label": "south"}'), (3, 4, 2, '{}'), (3, 4, 2, '{"kind": "embedding"}'), (3, 4, 2, '{"cells": 17}'), (3, 4, 2, '{"threshold": 0.1}'),
             (3, 4, 2, '{"model": "seeds@1"}'), (3, 4, 2, '{"model": "seeds@2"}')) v (z, x, y, query);
SELECT csp_prior_tile_etag(3, 4, 2, '{"model": "seeds"}') = csp_prior_tile_etag(3, 4, 2, '{"model": "seeds@3"}') AS "of the version that is deployed";
SELECT etag = csp_prior_tile_etag(3, 4, 2, '{"label": "north"}') AS same FROM csp_prior_tile_with_etag(3, 4, 2, '{"label": "north"}');

-- Masks: polygons in any SRID, valid or not, under any name.
CREATE TABLE "my ""land"" mask" (id int, outline geometry(MultiPolygon, 4326), note text);
INSERT INTO "my ""land"" mask" VALUES (1, ST_Multi(ST_Buffer('SRID=4326;POINT(10 45)'::geometry, 8))), (2, ST_Multi(ST_MakeEnvelope(30, 50, 44, 60, 4326))),
    (3, NULL), (4, 'SRID=4326;MULTIPOLYGON EMPTY'), (5, ST_Multi(ST_MakeEnvelope(12, 46, 20, 50, 4326))),
    (6, 'SRID=4326;MULTIPOLYGON(((0 60, 8 66, 8 60, 0 66, 0 60)))');
CREATE VIEW mask_mercator AS SELECT ST_Transform(outline, 3857)::geometry(MultiPolygon, 3857) AS outline FROM "my ""land"" mask";
CREATE VIEW mask_north AS SELECT ST_Transform(outline, 32632)::geometry(Geometry, 32632) AS outline FROM "my ""land"" mask" WHERE id = 1;
CREATE FUNCTION masked(mask text, outside boolean, cells int DEFAULT 32) RETURNS SETOF int LANGUAGE SQL AS $$
    WITH area AS MATERIALIZED (SELECT csp.tile_mask(masked.mask, 3, 4, 2) AS mask)
    SELECT c.id FROM area, csp.tile_cells(3, 4, 2, cells, area.mask, outside) c $$;
SELECT count(*) FILTER (WHERE m.id IS NOT NULL) AS inside, bool_and((m.id IS NOT NULL) = EXISTS (SELECT FROM "my ""land"" mask" l WHERE ST_Intersects(l.outline, c.location))) AS right
FROM csp.tile_cells(3, 4, 2, 32, NULL, false) c LEFT JOIN masked('"my ""land"" mask"', false) m (id) ON m.id = c.id;
SELECT (SELECT count(*) FROM masked('"my ""land"" mask"', false)) + (SELECT count(*) FROM masked('"my ""land"" mask"', true)) AS "inside and outside",
       (SELECT count(*) FROM (SELECT * FROM masked('public.mask_mercator', false) EXCEPT SELECT * FROM masked('"my ""land"" mask"', false)) d) AS "other SRID",
       (SELECT abs(count(*) - (SELECT count(*) FROM csp.tile_cells(3, 4, 2, 32, NULL, false) c WHERE ST_Contains(ST_Buffer('SRID=4326;POINT(10 45)'::geometry, 8), location)))
        FROM masked('mask_north', false)) < 5 AS projected;
SELECT length(csp_prior_tile(3, 4, 2, '{"mask": "mask_mercator"}')) < length(csp_prior_tile(3, 4, 2, '{"mask": "mask_mercator", "outside": true}')) AS smaller,
       csp_prior_tile(3, 0, 7, '{"mask": "mask_mercator"}') = '' AS nothing,
       csp_prior_tile(3, 0, 7, '{"mask": "mask_mercator", "outside": "true"}') = csp_prior_tile(3, 0, 7) AS everything;
CREATE TABLE etags AS SELECT csp_prior_tile_etag(3, 4, 2, '{"mask": "mask_mercator"}') AS here, csp_prior_tile_etag(3, 0, 7, '{"mask": "mask_mercator"}') AS there;
DELETE FROM "my ""land"" mask" WHERE id = 2;
SELECT here = csp_prior_tile_etag(3, 4, 2, '{"mask": "mask_mercator"}') AS here, there = csp_prior_tile_etag(3, 0, 7, '{"mask": "mask_mercator"}') AS there FROM etags;
SET search_path = hostile, pg_catalog;
SELECT public.csp_prior_tile(3, 4, 2, '{"mask": "public.mask_mercator"}') OPERATOR(pg_catalog.<>) public.csp_prior_tile(3, 4, 2) AS "hostile path";
RESET search_path;
DROP SCHEMA hostile CASCADE;

-- What masks cannot be.
CREATE TABLE mask_two (a geometry(Polygon, 4326), b geometry(Polygon, 4326));
CREATE TABLE mask_untyped (a geometry);
SELECT csp_prior_tile(3, 4, 2, '{"mask": "no_such_table"}');
-- (What PostgreSQL says of names that cannot be depends on its version.)
CREATE FUNCTION is_refused(mask text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM csp_prior_tile(3, 4, 2, json_build_object('mask', mask));
    RETURN false;
EXCEPTION WHEN undefined_table OR invalid_name OR syntax_error OR feature_not_supported THEN
    RETURN true;
END $$;
SELECT mask, is_refused(mask) FROM (VALUES ('no_such_schema.places'), ('places; DROP TABLE places'), ('(SELECT ST_MakeEnvelope(0, 0, 1, 1, 4326))'),
    ('a.b.c.d'), ('other_database.public.places'), ('"'), ('.'), (' '), ('public.'), ('mask_mercator m, places'), (repeat('x', 100)), ('mask_mercator')) v (mask);
SELECT csp_prior_tile(3, 4, 2, '{"mask": "places"}');
SELECT csp_prior_tile(3, 4, 2, '{"mask": "mask_two"}');
SELECT csp_prior_tile(3, 4, 2, '{"mask": "mask_untyped"}');
SELECT csp_prior_tile(3, 4, 2, '{"mask": "pg_class_oid_index"}');
CREATE ROLE csp_test_tiles;
UPDATE csp.model SET owner = 'csp_test_tiles' WHERE name = 'holes';
SET ROLE csp_test_tiles;
SELECT csp_prior_tile(3, 4, 2, '{}');                              -- a model of somebody else
SELECT length(csp_prior_tile(3, 4, 2, '{"model": "holes"}')) > 0 AS tile;
SELECT csp_prior_tile(3, 4, 2, '{"model": "holes", "mask": "mask_mercator"}');
RESET ROLE;
UPDATE csp.model SET owner = current_user::regrole WHERE name = 'holes';
DROP ROLE csp_test_tiles;

-- Where there is no tile there is nothing.
SELECT count(*) AS nowhere, bool_and(csp_prior_tile(z, x, y, '{"label": "north"}') = '') AS empty, bool_and(csp_prior_tile_etag(z, x, y, '{"label": "north"}') <> '') AS etags
FROM (VALUES (0, 1, 0), (0, 0, 1), (3, 8, 0), (3, 0, -1), (-1, 0, 0), (31, 0, 0), (40, 0, 0), (2147483647, 2147483647, 2147483647),
             (-2147483648, 0, 0), (30, 1073741824, 0), (NULL, 0, 0), (0, NULL, NULL)) v (z, x, y);
SELECT length(csp_prior_tile(30, 1073741823, 1073741823, '{"label": "north"}')) > 0 AS corner;

-- Hostile queries.
SELECT csp_prior_tile(3, 4, 2, '[]');
SELECT csp_prior_tile(3, 4, 2, '"north"');
SELECT csp_prior_tile(3, 4, 2, '1');
SELECT csp_prior_tile(3, 4, 2, '{"label": "\u0000"}');
SELECT csp_prior_tile(3, 4, 2, '{"label": "nowhere"}');
SELECT csp_prior_tile(3, 4, 2, '{"label": ["north"]}');
SELECT csp_prior_tile(3, 4, 2, '{"label": "north''; DROP TABLE places; --"}');
SELECT csp_prior_tile(3, 4, 2, '{"model": "nothing"}');
SELECT csp_prior_tile(3, 4, 2, '{"model": {"a": 1}}');
SELECT csp_prior_tile(3, 4, 2, '{"kind": "prior"}');
SELECT csp_prior_tile(3, 4, 2, '{"kind": "raster"}');
SELECT csp_prior_tile(3, 4, 2, '{"model": "pretrained"}');
SELECT csp_prior_tile(3, 4, 2, '{"cells": 0}');
SELECT csp_prior_tile(3, 4, 2, '{"cells": 65}');
SELECT csp_prior_tile(3, 4, 2, '{"cells": 2.5}');
SELECT csp_prior_tile(3, 4, 2, '{"cells": "many"}');
SELECT csp_prior_tile(3, 4, 2, '{"cells": "0x10"}');
SELECT csp_prior_tile(3, 4, 2, '{"cells": true}');
SELECT csp_prior_tile(3, 4, 2, '{"cells": 1e99}');
SELECT csp_prior_tile(3, 4, 2, '{"threshold": "nan"}');
SELECT csp_prior_tile(3, 4, 2, '{"threshold": -1}');
SELECT csp_prior_tile(3, 4, 2, '{"outside": "maybe"}');
DO $$ BEGIN PERFORM csp_prior_tile(3, 4, 2, ('{"label": "' || repeat('x', 1000000) || '"}')::json); EXCEPTION WHEN undefined_object THEN RAISE WARNING 'a long label: %', length(SQLERRM); END $$;
DO $$ BEGIN PERFORM csp_prior_tile(3, 4, 2, (repeat('{"a":', 100000) || '1' || repeat('}', 100000))::json); EXCEPTION WHEN statement_too_complex THEN RAISE WARNING 'a deep query: %', SQLERRM; END $$;
DROP VIEW mask_mercator, mask_north;
DROP FUNCTION expected_tile, expected_cells, masked, is_refused;
DROP TABLE kept, etags, mask_two, mask_untyped, "my ""land"" mask";

\echo Use "CREATE EXTENSION csp_ext_raster" to load this file. \quit

-- Rasters: a trained prior in pixels, as tiles of PostGIS rasters.
--
-- A tile is put together as well-known binary (in the byte order of the network), which needs no GDAL driver and
-- is several times faster than ST_SetValues.

-- Tiles of a raster over the box of bounds, row by row from the north-west. Pixels beyond the bounds have no data.
CREATE FUNCTION csp.raster_tiles(bounds geometry, width int, height int)
    RETURNS TABLE (rid int, srid int, is_box boolean, x float8, y float8, scale_x float8, scale_y float8, columns int, rows int)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    size CONSTANT int := 256;
    box record;
BEGIN
    IF bounds IS NULL OR width IS NULL OR height IS NULL THEN
        RETURN;
    ELSIF width < 1 OR height < 1 THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'width and height of a raster must be positive',
            HINT = 'They are numbers of pixels.';
    ELSIF width::float8 * height > current_setting('csp.max_cells')::int THEN
        RAISE EXCEPTION USING ERRCODE = 'program_limit_exceeded',
            MESSAGE = pg_catalog.format('the raster has more than %s pixels', current_setting('csp.max_cells')),
            DETAIL = pg_catalog.format('It would have %s.', width::bigint * height),
            HINT = 'Use fewer pixels, or raise csp.max_cells.';
    END IF;
    SELECT * INTO box FROM csp.raster_box(bounds, width, height);
    IF NOT (box.scale_x > 0 AND box.scale_y > 0 AND box.scale_x < 'Infinity' AND box.scale_y < 'Infinity') THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'bounds of a raster must have a finite width and height';
    END IF;
    RETURN QUERY
        SELECT (j * ((width - 1) / size + 1) + i + 1), box.srid, box.is_box, box.west + i * size * box.scale_x, box.north - j * size * box.scale_y,
               box.scale_x, -box.scale_y, least(size, width - i * size), least(size, height - j * size)
        FROM pg_catalog.generate_series(0, (height - 1) / size) j, pg_catalog.generate_series(0, (width - 1) / size) i
        ORDER BY 1;
END $$;
COMMENT ON FUNCTION csp.raster_tiles(geometry, int, int) IS
    'tiles of at most 256 x 256 pixels: upper left corner, size of a pixel, columns and rows';

-- The bounds are checked as those of a grid.
CREATE FUNCTION csp.raster_box(bounds geometry, width int, height int)
    RETURNS TABLE (srid int, is_box boolean, west float8, north float8, scale_x float8, scale_y float8)
    LANGUAGE SQL STABLE
BEGIN ATOMIC
    SELECT ST_SRID(bounds), ST_Equals(bounds, ST_Envelope(bounds)), ST_XMin(bounds), ST_YMax(bounds),
           (ST_XMax(bounds) - ST_XMin(bounds)) / width, (ST_YMax(bounds) - ST_YMin(bounds)) / height
    FROM (SELECT CASE WHEN NOT ST_IsEmpty(bounds) THEN 0 END AS zero) z,
         csp.grid_extent(z.zero, z.zero, 1, 1, ST_SRID(bounds), ST_Dimension(bounds), 1, 'square');
END;
COMMENT ON FUNCTION csp.raster_box(geometry, int, int) IS
    'corner and size of the pixels of a raster over an area; errors for empty bounds, SRID 0, what is no polygon';

-- A single series keeps the order of its rows; OFFSET 0 keeps a place from being computed again for each class.
CREATE FUNCTION csp.raster_locations(bounds geometry, is_box boolean, x float8, y float8, scale_x float8, scale_y float8, columns int, rows int)
    RETURNS SETOF geometry
    LANGUAGE SQL STABLE
BEGIN ATOMIC
    SELECT csp.valid_location(CASE WHEN is_box OR ST_Intersects(bounds, p.centre) THEN p.centre END)
    FROM (SELECT ST_SetSRID(ST_MakePoint(x + (n % columns + 0.5::float8) * scale_x, y + (n / columns + 0.5::float8) * scale_y), ST_SRID(bounds)) AS centre
          FROM csp.indices(0, columns * rows - 1) n OFFSET 0) p
    OFFSET 0;
END;
COMMENT ON FUNCTION csp.raster_locations(geometry, boolean, float8, float8, float8, float8, int, int) IS
    'places of the centres of the pixels of a tile, in their order; NULL beyond the bounds, and for what is no place on the globe';

CREATE FUNCTION csp.raster_pixel(probability real) RETURNS bytea
    LANGUAGE SQL IMMUTABLE PARALLEL SAFE RETURN pg_catalog.float4send(coalesce(probability, -9999));
COMMENT ON FUNCTION csp.raster_pixel(real) IS 'a pixel of a band in well-known binary; no data is -9999';

-- Version 0; 0x4A is a band of 32-bit floats with a value for no data.
CREATE FUNCTION csp.raster_tile(srid int, x float8, y float8, scale_x float8, scale_y float8, columns int, rows int, bands bytea[])
    RETURNS raster
    LANGUAGE SQL STABLE
    RETURN ST_RastFromWKB('\x00'::bytea || pg_catalog.int2send(0::int2) || pg_catalog.int2send(pg_catalog.cardinality(bands)::int2)
                          || pg_catalog.float8send(scale_x) || pg_catalog.float8send(scale_y) || pg_catalog.float8send(x) || pg_catalog.float8send(y) || pg_catalog.float8send(0) || pg_catalog.float8send(0)
                          || pg_catalog.int4send(srid) || pg_catalog.int2send(columns::int2) || pg_catalog.int2send(rows::int2)
                          || (SELECT pg_catalog.string_agg('\x4a'::bytea || pg_catalog.float4send(-9999) || band, '' ORDER BY n)
                              FROM pg_catalog.unnest(bands) WITH ORDINALITY b (band, n)));
COMMENT ON FUNCTION csp.raster_tile(int, float8, float8, float8, float8, int, int, bytea[]) IS
    'a raster of its corner, the size of its pixels, and the pixels of each band';

-- The calls of csp_probability are written out, a column a label: so they share one embedding of each pixel.
CREATE FUNCTION csp.raster_query(labels text[], model text) RETURNS text
    LANGUAGE SQL STABLE
BEGIN ATOMIC
    SELECT pg_catalog.format('SELECT t.rid, csp.raster_tile(t.srid, t.x, t.y, t.scale_x, t.scale_y, t.columns, t.rows, ARRAY[%s]) AS rast
FROM csp.raster_tiles($1, $2, $3) t,
     LATERAL (SELECT %s FROM csp.raster_locations($1, t.is_box, t.x, t.y, t.scale_x, t.scale_y, t.columns, t.rows) l) b',
                  pg_catalog.string_agg(pg_catalog.format('b.band%s', l.n), ', ' ORDER BY l.n),
                  pg_catalog.string_agg(pg_catalog.format('pg_catalog.string_agg(csp.raster_pixel(%s.csp_probability(l, %L, %L)), '''') AS band%s',
                                    e.extnamespace::regnamespace, l.label, model, l.n), ', ' ORDER BY l.n))
    FROM pg_catalog.unnest(labels) WITH ORDINALITY l (label, n), pg_extension e WHERE e.extname = 'csp_ext';
END;
COMMENT ON FUNCTION csp.raster_query(text[], text) IS 'the query of csp_prior_raster: its parameters are bounds, width and height';

CREATE FUNCTION csp_prior_raster(bounds geometry, width int, height int, labels text[], model text DEFAULT NULL)
    RETURNS TABLE (rid int, rast raster)
    LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF pg_catalog.cardinality(labels) OPERATOR(pg_catalog.=) 0 OR pg_catalog.array_position(labels, NULL) IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'labels of a raster must not be empty or null',
            HINT = 'Each of them is a band.';
    ELSIF labels IS NULL THEN
        RETURN;
    END IF;
    model := csp.model_name(model);
    PERFORM csp.check_labels(labels, model);
    RETURN QUERY EXECUTE csp.raster_query(labels, model) USING bounds, width, height;
END $$;
COMMENT ON FUNCTION csp_prior_raster(geometry, int, int, text[], text) IS
    'probabilities P(y | x) of classes over the box of bounds as a raster of width x height pixels, a band a label, in tiles of at most 256 x 256: 32-bit floats of the centres of the pixels, north up, in the SRID of bounds; -9999, no data, beyond a polygon and where there is no place. rid counts the tiles, by rows. Errors: empty bounds, SRID 0, no polygon, more pixels than csp.max_cells, an unknown label or model';

CREATE FUNCTION csp_prior_raster(bounds geometry, width int, height int, label text, model text DEFAULT NULL)
    RETURNS TABLE (rid int, rast raster)
    LANGUAGE SQL STABLE
BEGIN ATOMIC
    SELECT r.rid, r.rast FROM csp_prior_raster(bounds, width, height, CASE WHEN label IS NOT NULL THEN ARRAY[label] END, model) r;
END;
COMMENT ON FUNCTION csp_prior_raster(geometry, int, int, text, text) IS
    'probability P(y | x) of one class over the box of bounds as a raster with one band; as csp_prior_raster of several labels';

-- PostGIS's functions find one another by the search_path: that of this script has their schema.
CREATE FUNCTION csp.register_raster(target text) RETURNS void
    LANGUAGE plpgsql SET search_path FROM CURRENT SET client_min_messages = warning AS $$
DECLARE
    parts text[] := parse_ident(target);
BEGIN
    EXECUTE pg_catalog.format('ALTER TABLE %s ADD PRIMARY KEY (rid), ALTER rast SET NOT NULL', target);
    EXECUTE pg_catalog.format('CREATE INDEX ON %s USING gist (ST_ConvexHull(rast))', target);
    -- Not regular blocking: its constraint fails under the empty search_path of pg_restore, and the rows are not loaded.
    IF NOT AddRasterConstraints(parts[1]::name, parts[2]::name, 'rast'::name) THEN
        RAISE EXCEPTION USING MESSAGE = pg_catalog.format('constraints of raster %s could not be added', target);
    END IF;
    EXECUTE pg_catalog.format('ANALYZE %s', target);
END $$;
COMMENT ON FUNCTION csp.register_raster(text) IS
    'makes a table of tiles what GIS tools expect: primary key, index, and constraints for all that raster_columns shows';

CREATE FUNCTION csp.raster_comments(target text, labels text[], model text) RETURNS SETOF text
    LANGUAGE SQL STABLE
BEGIN ATOMIC
    SELECT pg_catalog.format('COMMENT ON TABLE %s IS %L', target, pg_catalog.format('prior of model "%s" over an area', model))
    UNION ALL
    SELECT pg_catalog.format('COMMENT ON COLUMN %s.rast IS %L', target, pg_catalog.string_agg(pg_catalog.format('band %s: P(y | x) of class "%s"', n, label), '; ' ORDER BY n))
    FROM pg_catalog.unnest(labels) WITH ORDINALITY l (label, n)
    UNION ALL SELECT pg_catalog.format('COMMENT ON COLUMN %s.rid IS %L', target, 'number of the tile, by rows from the north-west');
END;
COMMENT ON FUNCTION csp.raster_comments(text, text[], text) IS 'comments on what csp_create_prior_raster makes';

CREATE PROCEDURE csp_create_prior_raster(name text, bounds geometry, width int, height int, labels text[], model text DEFAULT NULL)
    LANGUAGE plpgsql AS $$
DECLARE
    target text;
    statement text;
BEGIN
    IF name IS NULL OR bounds IS NULL OR width IS NULL OR height IS NULL OR labels IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'null_value_not_allowed',
            MESSAGE = 'name, bounds, width, height and labels of a raster must not be null';
    END IF;
    target := csp.target_name(name);
    model := csp.model_name(model);
    EXECUTE pg_catalog.format('CREATE TABLE %s AS SELECT * FROM %s($1, $2, $3, $4, $5)', target, '@extschema@.csp_prior_raster')
        USING bounds, width, height, labels, model;
    PERFORM csp.register_raster(target);
    FOR statement IN SELECT s FROM csp.raster_comments(target, labels, model) s
    LOOP
        EXECUTE statement;
    END LOOP;
END $$;
COMMENT ON PROCEDURE csp_create_prior_raster(text, geometry, int, int, text[], text) IS
    'a table of the caller''s with the tiles of csp_prior_raster, ready for GIS tools: primary key rid, index, and constraints for all that raster_columns shows';

-- Tiles: a trained prior as Mapbox vector tiles, computed as they are asked for.
--
-- A tile is 16 x 16 cells, squares of the web map's projection, with what the model says of their centres. The functions that
-- compute are SQL with names that are resolved now; those that tile servers call are PL/pgSQL, which keeps its plans
-- for the session, and hold nothing that a search_path could change.

CREATE FUNCTION csp.tile_request(level int, tile_column int, tile_row int, query jsonb, OUT is_on_map boolean,
                                 OUT version bigint, OUT model text, OUT kind text, OUT is_prior boolean, OUT is_class boolean,
                                 OUT label text, OUT cells int, OUT mask text, OUT outside boolean, OUT threshold float8)
    LANGUAGE C STABLE PARALLEL SAFE COST 100 AS 'MODULE_PATHNAME', 'csp_tile_request';
COMMENT ON FUNCTION csp.tile_request(int, int, int, jsonb) IS
    'what a request for a tile asks for, with the version that its model stands for; errors for what is no object, keys of the wrong type or out of range, an unknown kind or model; other keys are ignored';

-- Coordinates of the tile, 0 to 4096 from its upper left corner; outer rings turn as the format has them. The place is that of
-- ST_Transform(ST_Centroid(cell), 4326), by the projection's own formulas.
CREATE FUNCTION csp.tile_cells(level int, tile_column int, tile_row int, cells int, mask geometry, outside boolean)
    RETURNS TABLE (id int, geom geometry, location geometry)
    LANGUAGE SQL STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT c.id, ST_MakeEnvelope(pg_catalog.round(c.i::float8 * c.edge), pg_catalog.round((c.j + 1)::float8 * c.edge), pg_catalog.round((c.i + 1)::float8 * c.edge),
                                 pg_catalog.round(c.j::float8 * c.edge), 0), c.location
    FROM (SELECT j * cells + i + 1 AS id, i, j, 4096::float8 / cells::float8 AS edge,
                 ST_SetSRID(ST_MakePoint(
                     ((tile_column::float8 + (i::float8 + 0.5::float8) / cells::float8) / pg_catalog.power(2::float8, level::float8) - 0.5::float8) * 360::float8,
                     pg_catalog.degrees(pg_catalog.atan(pg_catalog.sinh(pg_catalog.pi() * (1::float8 - 2::float8 * (tile_row::float8 + (j::float8 + 0.5::float8) / cells::float8)
                                                            / pg_catalog.power(2::float8, level::float8)))))), 4326) AS location
          FROM csp.indices(0, cells - 1) j, csp.indices(0, cells - 1) i OFFSET 0) c
    WHERE mask IS NULL OR ST_Intersects(mask, c.location) <> outside;
END;
COMMENT ON FUNCTION csp.tile_cells(int, int, int, int, geometry, boolean) IS
    'the cells x cells squares of a tile, in its coordinates, with their centres in SRID 4326; with a mask, those whose centre is within (outside: not within) it';

CREATE FUNCTION csp.prior_tile(level int, tile_column int, tile_row int, cells int, mask geometry, outside boolean, threshold float8,
                               label text, model text) RETURNS TABLE (tile bytea)
    LANGUAGE SQL STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT ST_AsMVT(t, 'prior'::text, 4096, 'geom'::text, 'id'::text)
    FROM (SELECT c.id, c.geom,
                 CASE WHEN model IS NULL THEN csp_probability(c.location, label) ELSE csp_probability(c.location, label, model) END AS probability
          FROM csp.tile_cells(level, tile_column, tile_row, cells, mask, outside) c OFFSET 0) t
    WHERE t.probability >= threshold;
END;
COMMENT ON FUNCTION csp.prior_tile(int, int, int, int, geometry, boolean, float8, text, text) IS 'a tile of the probability of one class';

CREATE FUNCTION csp.class_tile(level int, tile_column int, tile_row int, cells int, mask geometry, outside boolean, threshold float8,
                               model text) RETURNS TABLE (tile bytea)
    LANGUAGE SQL STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT ST_AsMVT(t, 'class'::text, 4096, 'geom'::text, 'id'::text)
    FROM (SELECT p.id, p.geom, s.label, s.probability, s.entropy
          FROM (SELECT c.id, c.geom,
                       CASE WHEN model IS NULL THEN csp_probabilities(c.location) ELSE csp_probabilities(c.location, model) END AS probabilities
                FROM csp.tile_cells(level, tile_column, tile_row, cells, mask, outside) c OFFSET 0) p,
               LATERAL csp.class_summary(p.probabilities, model) s OFFSET 0) t
    WHERE t.probability >= threshold;
END;
COMMENT ON FUNCTION csp.class_tile(int, int, int, int, geometry, boolean, float8, text) IS
    'a tile of the most probable class, its probability and the entropy of all in nats';

CREATE FUNCTION csp.embedding_basis(model text) RETURNS real[]
    LANGUAGE C STABLE PARALLEL SAFE COST 10000 AS 'MODULE_PATHNAME', 'csp_embedding_basis';
COMMENT ON FUNCTION csp.embedding_basis(text) IS
    'csp.principal_components of the embeddings of 1,024 places spread evenly over the globe: the same colours in all tiles of a version. Computed once a session; model NULL: the one used when none is named';

CREATE FUNCTION csp.embedding_tile(level int, tile_column int, tile_row int, cells int, mask geometry, outside boolean,
                                   model text) RETURNS TABLE (tile bytea)
    LANGUAGE SQL STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT ST_AsMVT(t, 'embedding'::text, 4096, 'geom'::text, 'id'::text)
    FROM (SELECT e.id, e.geom, e.rgb[1] AS red, e.rgb[2] AS green, e.rgb[3] AS blue,
                 '#'::text || pg_catalog.lpad(pg_catalog.to_hex((e.rgb[1] << 16) | (e.rgb[2] << 8) | e.rgb[3]), 6, '0'::text) AS colour
          FROM (SELECT c.id, c.geom,
                       csp.embedding_colour(
                           CASE WHEN model IS NULL THEN csp_embed(c.location) ELSE csp_embed(c.location, model) END,
                           (SELECT csp.embedding_basis(model))) AS rgb
                FROM csp.tile_cells(level, tile_column, tile_row, cells, mask, outside) c OFFSET 0) e) t;
END;
COMMENT ON FUNCTION csp.embedding_tile(int, int, int, int, geometry, boolean, text) IS
    'a tile of the first three principal components of the embeddings as colours';

-- Masks: tables of polygons, by name.

CREATE FUNCTION csp.mask_source(mask text, OUT relation text, OUT columns int, OUT geometry_column name, OUT srid int, OUT postgis name)
    LANGUAGE SQL STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT pg_catalog.min(pg_catalog.quote_ident(n.nspname::text) || '.'::text || pg_catalog.quote_ident(c.relname::text)), pg_catalog.count(a.attname)::int, pg_catalog.min(a.attname::text)::name,
           pg_catalog.min(postgis_typmod_srid(a.atttypmod)),
           (SELECT p.nspname FROM pg_extension e JOIN pg_namespace p ON p.oid = e.extnamespace WHERE e.extname = 'postgis')
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND NOT a.attisdropped AND a.atttypid = 'geometry'::regtype::oid
        AND postgis_typmod_type(a.atttypmod) IN ('Polygon', 'MultiPolygon', 'Geometry') AND postgis_typmod_srid(a.atttypmod) > 0
    WHERE c.oid = pg_catalog.to_regclass(mask)::oid AND c.relkind IN ('r', 'v', 'm', 'f', 'p');
END;
COMMENT ON FUNCTION csp.mask_source(text) IS
    'the relation that a mask names, qualified and quoted (NULL: none), and its column of polygons: how many there are, the first, its SRID; the schema of PostGIS';

CREATE FUNCTION csp.tile_bounds(level int, tile_column int, tile_row int) RETURNS geometry
    LANGUAGE SQL STABLE STRICT PARALLEL SAFE
    RETURN ST_Transform(ST_TileEnvelope(level, tile_column, tile_row,
        'SRID=3857;LINESTRING(-20037508.342789244 -20037508.342789244, 20037508.342789244 20037508.342789244)'::geometry, 0::float8), 4326);
COMMENT ON FUNCTION csp.tile_bounds(int, int, int) IS 'the rectangle of a tile in SRID 4326';

CREATE FUNCTION csp.polygons(parts geometry) RETURNS geometry
    LANGUAGE SQL IMMUTABLE PARALLEL SAFE
    RETURN COALESCE(ST_CollectionExtract(parts, 3), 'SRID=4326;MULTIPOLYGON EMPTY'::geometry);
COMMENT ON FUNCTION csp.polygons(geometry) IS 'the polygons of a collection, an empty one for NULL';

CREATE FUNCTION csp.tile_mask(mask text, level int, tile_column int, tile_row int) RETURNS geometry
    LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE COST 10000
AS $$
DECLARE
    source record;
    geometry_4326 text;
    area record;
BEGIN
    source := csp.mask_source(mask);
    IF source.relation IS NULL THEN
        RAISE undefined_table USING MESSAGE = pg_catalog.format('mask "%s" is no table or view', mask),
            HINT = 'Name a table of polygons, with its schema if that is not in the search_path.';
    END IF;
    IF source.columns OPERATOR(pg_catalog.<>) 1 THEN
        RAISE wrong_object_type USING
            MESSAGE = pg_catalog.format('mask %s must have one column of polygons, not %s', source.relation, source.columns),
            HINT = 'The column needs a type with an SRID, such as geometry(MultiPolygon, 4326); a view may cast to it and leave others out.';
    END IF;
    geometry_4326 := pg_catalog.format(
        CASE WHEN source.srid OPERATOR(pg_catalog.=) 4326 THEN 't.%2$I' ELSE '%1$I.ST_Transform(t.%2$I, 4326)' END,
        source.postgis, source.geometry_column);
    EXECUTE pg_catalog.format(
        'SELECT csp.polygons(%1$I.ST_Collect(%1$I.ST_ClipByBox2D(%2$s, $1::%1$I.box2d) ORDER BY %2$s)) AS polygons '
        'FROM %3$s t WHERE %2$s OPERATOR(%1$I.&&) $1', source.postgis, geometry_4326, source.relation)
        INTO area USING csp.tile_bounds(level, tile_column, tile_row);
    RETURN area.polygons;
END $$;
COMMENT ON FUNCTION csp.tile_mask(text, int, int, int) IS
    'what a table of polygons has within a tile, in SRID 4326; empty if it has nothing there. Errors: no such relation, none or several columns of polygons, no right to read it';

-- What tile servers call.

CREATE FUNCTION csp_prior_tile(z int, x int, y int, query json DEFAULT NULL) RETURNS bytea
    LANGUAGE plpgsql STABLE PARALLEL SAFE COST 150000
AS $$
DECLARE
    r record;
    area record;
BEGIN
    r := csp.tile_request(z, x, y, query::pg_catalog.jsonb);
    IF NOT r.is_on_map THEN
        RETURN ''::pg_catalog.bytea;
    END IF;
    SELECT csp.tile_mask(r.mask, z, x, y) AS mask INTO area;
    IF r.is_prior THEN
        RETURN (SELECT t.tile FROM csp.prior_tile(z, x, y, r.cells, area.mask, r.outside, r.threshold, r.label, r.model) t);
    ELSIF r.is_class THEN
        RETURN (SELECT t.tile FROM csp.class_tile(z, x, y, r.cells, area.mask, r.outside, r.threshold, r.model) t);
    END IF;
    RETURN (SELECT t.tile FROM csp.embedding_tile(z, x, y, r.cells, area.mask, r.outside, r.model) t);
END $$;
COMMENT ON FUNCTION csp_prior_tile(int, int, int, json) IS
    'csp_ext: a trained prior as vector tiles. query: model, label (its probability; without one a map of the most probable class), kind (prior, class, embedding), cells (16 a side, 1 to 64), mask (a table of polygons), outside, threshold';

CREATE FUNCTION csp_map_tile(z int, x int, y int, model text DEFAULT '', label text DEFAULT '', kind text DEFAULT '', cells int DEFAULT 16,
                             mask text DEFAULT '', outside boolean DEFAULT false, threshold float8 DEFAULT 0) RETURNS bytea
    LANGUAGE SQL STABLE PARALLEL SAFE COST 150000
    RETURN csp_prior_tile(z, x, y, pg_catalog.json_build_object('model', model, 'label', label, 'kind', kind, 'cells', cells, 'mask', mask,
                                                     'outside', outside, 'threshold', threshold));
COMMENT ON FUNCTION csp_map_tile(int, int, int, text, text, text, int, text, boolean, float8) IS
    'csp_ext: a trained prior as vector tiles. As csp_prior_tile, with an argument for each key; empty text: not given';

-- The first number is that of the tiles' format: another one for tiles that look otherwise.
CREATE FUNCTION csp.tile_etag(level int, tile_column int, tile_row int, cells int, mask geometry, outside boolean, threshold float8,
                              label text, kind text, version bigint) RETURNS text
    LANGUAGE SQL IMMUTABLE PARALLEL SAFE
    RETURN pg_catalog.md5(pg_catalog.jsonb_build_array(1, level, tile_column, tile_row, cells, pg_catalog.md5(ST_AsBinary(mask)), outside, threshold, label, kind, version)::text);
COMMENT ON FUNCTION csp.tile_etag(int, int, int, int, geometry, boolean, float8, text, text, bigint) IS 'a hash of all that a tile depends on';

CREATE FUNCTION csp_prior_tile_etag(z int, x int, y int, query json DEFAULT NULL) RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL SAFE COST 20000
AS $$
DECLARE
    r record;
BEGIN
    r := csp.tile_request(z, x, y, query::pg_catalog.jsonb);
    RETURN csp.tile_etag(z, x, y, r.cells, CASE WHEN r.is_on_map THEN csp.tile_mask(r.mask, z, x, y) END, r.outside, r.threshold,
                         r.label, r.kind, r.version);
END $$;
COMMENT ON FUNCTION csp_prior_tile_etag(int, int, int, json) IS
    'an ETag for csp_prior_tile: changes with the version that the model stands for, the arguments, and the polygons of the mask in the tile; computes no tile';

CREATE FUNCTION csp_prior_tile_with_etag(z int, x int, y int, query json DEFAULT NULL) RETURNS TABLE (tile bytea, etag text)
    LANGUAGE SQL STABLE PARALLEL SAFE COST 150000 ROWS 1
BEGIN ATOMIC
    SELECT csp_prior_tile(z, x, y, query), csp_prior_tile_etag(z, x, y, query);
END;
COMMENT ON FUNCTION csp_prior_tile_with_etag(int, int, int, json) IS 'csp_ext: csp_prior_tile and csp_prior_tile_etag in one call';

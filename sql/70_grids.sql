-- Grids: a trained prior as a layer of polygons.
--
-- The functions are SQL, so that the planner takes them apart: the cells come from two nested series, never all at once, and
-- the calls of query functions go through batches like any others.

CREATE FUNCTION csp.grid_extent(west float8, south float8, east float8, north float8, srid int, dimension int, cell_size float8,
                                shape text, OUT first_i int, OUT last_i int, OUT first_j int, OUT last_j int)
    LANGUAGE C STABLE PARALLEL SAFE COST 10 AS 'MODULE_PATHNAME', 'csp_grid_extent';
COMMENT ON FUNCTION csp.grid_extent(float8, float8, float8, float8, int, int, float8, text) IS
    'indices of the cells of a grid over an area, as ST_SquareGrid and ST_HexagonGrid number them; errors for empty bounds, SRID 0, what is no polygon, a size that is not positive, more cells than csp.max_cells';

-- As generate_series, but for how many the planner takes them to be: with a million cells expected it would spend more time on
-- compiling a small grid than on computing it.
CREATE FUNCTION csp.indices(first int, last int) RETURNS SETOF int
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE ROWS 10 AS 'MODULE_PATHNAME', 'csp_indices';
COMMENT ON FUNCTION csp.indices(int, int) IS 'the integers from first to last';

CREATE FUNCTION csp.grid_cell(cell_size float8, i int, j int, srid int, shape text) RETURNS geometry
    LANGUAGE SQL IMMUTABLE PARALLEL SAFE
    RETURN CASE shape WHEN 'square' THEN ST_Square(cell_size, i, j, ST_SetSRID(ST_MakePoint(0::float8, 0::float8), srid))
                      ELSE ST_Hexagon(cell_size, i, j, ST_SetSRID(ST_MakePoint(0::float8, 0::float8), srid)) END;
COMMENT ON FUNCTION csp.grid_cell(float8, int, int, int, text) IS 'a cell of a grid: a square or a hexagon with edges of cell_size';

-- A square's centre needs no polygon.
CREATE FUNCTION csp.grid_location(cell geometry, cell_size float8, i int, j int, shape text, is_whole boolean) RETURNS geometry
    LANGUAGE SQL STABLE
    RETURN csp.valid_location(CASE
        WHEN NOT is_whole THEN ST_PointOnSurface(cell)
        WHEN shape = 'square' THEN ST_SetSRID(ST_MakePoint((i::float8 + 0.5::float8) * cell_size, (j::float8 + 0.5::float8) * cell_size), ST_SRID(cell))
        ELSE ST_Centroid(cell) END);
COMMENT ON FUNCTION csp.grid_location(geometry, float8, int, int, text, boolean) IS
    'the place that stands for a cell, in SRID 4326: its centre, or a point inside what is left of it; NULL where that is no place on the globe';

-- A cell, or what polygonal bounds leave of it: its parts.
CREATE FUNCTION csp.grid_parts(bounds geometry, is_box boolean, cell geometry, shape text) RETURNS TABLE (geom geometry, is_whole boolean)
    LANGUAGE SQL STABLE
BEGIN ATOMIC
    SELECT cell, true
    WHERE CASE WHEN is_box THEN shape = 'square' OR ST_Intersects(bounds, cell) ELSE ST_Covers(bounds, cell) END
    UNION ALL
    SELECT ST_GeometryN(cut.parts, n), false
    FROM (SELECT ST_CollectionExtract(ST_Intersection(bounds, cell, -1::float8), 3) AS parts
          WHERE NOT is_box AND NOT ST_Covers(bounds, cell) AND ST_Intersects(bounds, cell) OFFSET 0) cut,
         csp.indices(1, ST_NumGeometries(cut.parts)) n;
END;
COMMENT ON FUNCTION csp.grid_parts(geometry, boolean, geometry, text) IS 'the polygons that bounds leave of a cell, and whether that is all of it';

-- OFFSET 0 keeps a subquery by itself: what it computes is computed once.
CREATE FUNCTION csp.grid(bounds geometry, cell_size float8, shape text)
    RETURNS TABLE (id int, i int, j int, geom geometry, location geometry)
    LANGUAGE SQL STABLE
BEGIN ATOMIC
    SELECT pg_catalog.row_number() OVER ()::int, c.i, c.j, c.geom, c.location
    FROM (
        SELECT p.i, p.j, p.geom, csp.grid_location(p.geom, cell_size, p.i, p.j, shape, p.is_whole) AS location
        FROM (
            SELECT cell.i, cell.j, part.geom, part.is_whole
            FROM (
                SELECT i, j, csp.grid_cell(cell_size, i, j, ST_SRID(bounds), shape) AS geom, e.is_box
                FROM (SELECT x.*, ST_Equals(bounds, ST_Envelope(bounds)) AS is_box
                      FROM csp.grid_extent(ST_XMin(bounds::box3d), ST_YMin(bounds::box3d), ST_XMax(bounds::box3d), ST_YMax(bounds::box3d), ST_SRID(bounds),
                                           ST_Dimension(bounds), cell_size, shape) x OFFSET 0) e,
                     csp.indices(e.first_j, e.last_j) j, csp.indices(e.first_i, e.last_i) i
                OFFSET 0) cell,
                LATERAL csp.grid_parts(bounds, cell.is_box, cell.geom, shape) part
            OFFSET 0) p
        OFFSET 0) c
    WHERE c.location IS NOT NULL;
END;
COMMENT ON FUNCTION csp.grid(geometry, float8, text) IS
    'cells of a grid over an area, with the place that stands for each, in SRID 4326; cells whose place is none on the globe are left out';

CREATE FUNCTION csp_prior_grid(bounds geometry, cell_size float8, label text, model text DEFAULT NULL, shape text DEFAULT 'square')
    RETURNS TABLE (id int, i int, j int, geom geometry, probability real)
    LANGUAGE SQL STABLE
BEGIN ATOMIC
    SELECT g.id, g.i, g.j, g.geom,
           CASE WHEN model IS NULL THEN csp_probability(g.location, label) ELSE csp_probability(g.location, label, model) END
    FROM csp.grid(bounds, cell_size, shape) g;
END;
COMMENT ON FUNCTION csp_prior_grid(geometry, float8, text, text, text) IS
    'probability P(y | x) of one class over an area, in polygons of the SRID of bounds. cell_size: edge of a square or hexagon (shape), in the unit of that SRID; cells are numbered i, j from its origin as in ST_SquareGrid and ST_HexagonGrid. Bounds that are no rectangle cut the cells: a cell may then come in several polygons. The probability is that of the centre, or of a point inside what is left of the cell; id counts the polygons. Errors: empty bounds, SRID 0, no polygon, a size that is not positive, more cells than csp.max_cells, an unknown label or model';

CREATE FUNCTION csp.class_summary(probabilities real[], model text, OUT label text, OUT probability real, OUT entropy real)
    LANGUAGE C STABLE PARALLEL SAFE COST 20 AS 'MODULE_PATHNAME', 'csp_class_summary';
COMMENT ON FUNCTION csp.class_summary(real[], text) IS
    'the most probable class, its probability, and the entropy in nats of what csp_probabilities returned; model NULL: the one used when none is named';

CREATE FUNCTION csp_class_grid(bounds geometry, cell_size float8, model text DEFAULT NULL, shape text DEFAULT 'square')
    RETURNS TABLE (id int, i int, j int, geom geometry, label text, probability real, entropy real)
    LANGUAGE SQL STABLE
BEGIN ATOMIC
    SELECT c.id, c.i, c.j, c.geom, s.label, s.probability, s.entropy
    FROM (SELECT g.id, g.i, g.j, g.geom,
                 CASE WHEN model IS NULL THEN csp_probabilities(g.location) ELSE csp_probabilities(g.location, model) END AS probabilities
          FROM csp.grid(bounds, cell_size, shape) g OFFSET 0) c,
         LATERAL csp.class_summary(c.probabilities, model) s;
END;
COMMENT ON FUNCTION csp_class_grid(geometry, float8, text, text) IS
    'the most probable class over an area, its probability, and the entropy of all classes in nats; cells as of csp_prior_grid';

CREATE FUNCTION csp.principal_components_transition(state internal, embedding real[]) RETURNS internal
    LANGUAGE C IMMUTABLE AS 'MODULE_PATHNAME', 'csp_principal_components_transition';
CREATE FUNCTION csp.principal_components_final(state internal) RETURNS real[]
    LANGUAGE C IMMUTABLE AS 'MODULE_PATHNAME', 'csp_principal_components_final';
CREATE AGGREGATE csp.principal_components(real[]) (
    SFUNC = csp.principal_components_transition, STYPE = internal, FINALFUNC = csp.principal_components_final);
COMMENT ON AGGREGATE csp.principal_components(real[]) IS
    'mean, first three principal components and the standard deviations along them, of embeddings: 4 D + 3 numbers. All rows are kept in memory: give a sample';
CREATE FUNCTION csp.embedding_colour(embedding real[], basis real[]) RETURNS int[]
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 50 AS 'MODULE_PATHNAME', 'csp_embedding_colour';
COMMENT ON FUNCTION csp.embedding_colour(real[], real[]) IS
    'red, green and blue, 0 to 255, of an embedding: its scores by csp.principal_components, two standard deviations to either side of the mean';

-- The components are those of some 4,000 cells, the coarser grid over the same area.
CREATE FUNCTION csp_embedding_grid(bounds geometry, cell_size float8, model text DEFAULT NULL, shape text DEFAULT 'square')
    RETURNS TABLE (id int, i int, j int, geom geometry, red int, green int, blue int, colour text)
    LANGUAGE SQL STABLE
BEGIN ATOMIC
    SELECT c.id, c.i, c.j, c.geom, c.rgb[1], c.rgb[2], c.rgb[3], '#'::text || pg_catalog.lpad(pg_catalog.to_hex((c.rgb[1] << 16) | (c.rgb[2] << 8) | c.rgb[3]), 6, '0'::text)
    FROM (SELECT g.id, g.i, g.j, g.geom,
                 csp.embedding_colour(
                     CASE WHEN model IS NULL THEN csp_embed(g.location) ELSE csp_embed(g.location, model) END,
                     (SELECT csp.principal_components(CASE WHEN model IS NULL THEN csp_embed(s.location) ELSE csp_embed(s.location, model) END)
                      FROM csp.grid(bounds, greatest(cell_size, pg_catalog.sqrt(ST_Area(ST_Envelope(bounds)) / 4096::float8)), shape) s)) AS rgb
          FROM csp.grid(bounds, cell_size, shape) g OFFSET 0) c;
END;
COMMENT ON FUNCTION csp_embedding_grid(geometry, float8, text, text) IS
    'the first three principal components of the embeddings over an area as colours, red, green and blue from 0 to 255 and as #rrggbb; cells as of csp_prior_grid';

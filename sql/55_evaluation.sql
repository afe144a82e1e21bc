-- Evaluation: how good a model is, and blocks of the globe that keep neighbours together.

CREATE FUNCTION csp_evaluate(
    model text,
    source text,
    location text DEFAULT NULL,
    label text DEFAULT NULL,
    features text DEFAULT NULL,
    image_probabilities text DEFAULT NULL,
    options jsonb DEFAULT '{}')
    RETURNS TABLE (metric text, scope text, part text, value float8, low float8, high float8, rows bigint)
    LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000000 ROWS 100 AS 'MODULE_PATHNAME', 'csp_evaluate';
COMMENT ON FUNCTION csp_evaluate(text, text, text, text, text, text, jsonb) IS
    'how good a model is on the rows of a source: Top-1, 3, 5, 10, mean reciprocal rank, log-loss, macro accuracy and calibration by location, by image and fused, and how well images are put on the map, with intervals by a bootstrap. model: a name or name@version (NULL: as in queries); source: a table, a view or a SELECT, read as the caller; location: its column of points (default: the only geometry or geography column); label: its column of true classes; features: its column of image feature vectors; image_probabilities: its column of probabilities (real[] in the order of csp.classes) by an image classifier of one''s own; options: see csp_evaluation_options(). Rows that lack one of the columns are left out and counted. Memory does not grow with the rows';

CREATE FUNCTION csp_evaluation_options() RETURNS TABLE (name text, type text, default_value text, range text, description text)
    LANGUAGE C IMMUTABLE ROWS 15 PARALLEL SAFE AS 'MODULE_PATHNAME', 'csp_evaluation_options';
COMMENT ON FUNCTION csp_evaluation_options() IS 'options of csp_evaluate';

CREATE FUNCTION csp_spatial_block(location geometry, size float8, shape text DEFAULT 'square') RETURNS bigint
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 20 AS 'MODULE_PATHNAME', 'csp_spatial_block';
COMMENT ON FUNCTION csp_spatial_block(geometry, float8, text) IS
    'number of the block of the globe that a point lies in. shape square: cells of size degrees; hexagon: cells of nearly equal area, on an icosahedron, whose centres are about size km apart. Numbers are comparable among one shape and size. NULL for an empty point; errors for anything but a point, SRID 0, sizes out of range (0.001 to 180 degrees, 1 to 20000 km)';

CREATE FUNCTION csp_spatial_block(location geography, size float8, shape text DEFAULT 'square') RETURNS bigint
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 20 AS 'MODULE_PATHNAME', 'csp_spatial_block';
COMMENT ON FUNCTION csp_spatial_block(geography, float8, text) IS
    'number of the block of the globe that a point lies in. shape square: cells of size degrees; hexagon: cells of nearly equal area, on an icosahedron, whose centres are about size km apart. Numbers are comparable among one shape and size. NULL for an empty point; errors for anything but a point, SRID 0, sizes out of range (0.001 to 180 degrees, 1 to 20000 km)';

CREATE FUNCTION csp_spatial_fold(location geometry, size float8, folds int, seed bigint DEFAULT 0, shape text DEFAULT 'square') RETURNS int
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 20 AS 'MODULE_PATHNAME', 'csp_spatial_fold';
COMMENT ON FUNCTION csp_spatial_fold(geometry, float8, int, bigint, text) IS
    'fold, 1 to folds, of a point for spatial cross-validation: whole blocks of csp_spatial_block go to one fold, drawn by the seed. NULL for an empty point; errors as of csp_spatial_block, and for fewer than 1 fold';

CREATE FUNCTION csp_spatial_fold(location geography, size float8, folds int, seed bigint DEFAULT 0, shape text DEFAULT 'square') RETURNS int
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 20 AS 'MODULE_PATHNAME', 'csp_spatial_fold';
COMMENT ON FUNCTION csp_spatial_fold(geography, float8, int, bigint, text) IS
    'fold, 1 to folds, of a point for spatial cross-validation: whole blocks of csp_spatial_block go to one fold, drawn by the seed. NULL for an empty point; errors as of csp_spatial_block, and for fewer than 1 fold';

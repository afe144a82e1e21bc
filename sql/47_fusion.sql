-- Image and place together: models that were trained with the option image_classifier answer P(y | I, x) from image
-- features and a location.
--
-- These functions are not STRICT: what is known decides where the image or the place is missing.

CREATE FUNCTION csp_image_probabilities(features real[]) RETURNS real[]
    LANGUAGE C STABLE STRICT PARALLEL SAFE COST 600 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_image_probabilities';
COMMENT ON FUNCTION csp_image_probabilities(real[]) IS
    'probability P(y | I) of every class of an image by the model''s image classifier, in the order of csp.classes, adding up to 1; errors for another number of features, several dimensions, NULL elements, NaN, infinity, numbers so large that the scores overflow, and a model without an image classifier';

CREATE FUNCTION csp_image_probabilities(features real[], model text) RETURNS real[]
    LANGUAGE C STABLE STRICT PARALLEL SAFE COST 600 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_image_probabilities';
COMMENT ON FUNCTION csp_image_probabilities(real[], text) IS
    'probability P(y | I) of every class of an image by the model''s image classifier, in the order of csp.classes, adding up to 1; errors for another number of features, several dimensions, NULL elements, NaN, infinity, numbers so large that the scores overflow, and a model without an image classifier';

CREATE FUNCTION csp_fused_probabilities(location geometry, features real[]) RETURNS real[]
    LANGUAGE C STABLE PARALLEL SAFE COST 1200 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_fused_probabilities';
COMMENT ON FUNCTION csp_fused_probabilities(geometry, real[]) IS
    'probability P(y | I, x) of every class of an image at a place, in the order of csp.classes, adding up to 1: that of the model''s image classifier times P(y | x) to the power of prior_strength, all to that of 1 / fusion_temperature. Without features (NULL) the place alone, without a place (NULL or empty) the image alone; NULL for neither; errors as csp_image_probabilities and csp_probabilities';

CREATE FUNCTION csp_fused_probabilities(location geometry, features real[], model text) RETURNS real[]
    LANGUAGE C STABLE PARALLEL SAFE COST 1200 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_fused_probabilities';
COMMENT ON FUNCTION csp_fused_probabilities(geometry, real[], text) IS
    'probability P(y | I, x) of every class of an image at a place, in the order of csp.classes, adding up to 1: that of the model''s image classifier times P(y | x) to the power of prior_strength, all to that of 1 / fusion_temperature. Without features (NULL) the place alone, without a place (NULL or empty) the image alone; NULL for neither; errors as csp_image_probabilities and csp_probabilities';

CREATE FUNCTION csp_fused_probabilities(location geometry, features real[], observed_at timestamptz) RETURNS real[]
    LANGUAGE C STABLE PARALLEL SAFE COST 1200 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_fused_probabilities_at';
COMMENT ON FUNCTION csp_fused_probabilities(geometry, real[], timestamptz) IS
    'probability P(y | I, x) of every class of an image at a place and a time of the year, in the order of csp.classes, adding up to 1: that of the model''s image classifier times P(y | x) to the power of prior_strength, all to that of 1 / fusion_temperature. Without features (NULL) the place alone, without a place (NULL or empty, or no time) the image alone; NULL for neither; errors as csp_image_probabilities and csp_probabilities';

CREATE FUNCTION csp_fused_probabilities(location geometry, features real[], observed_at timestamptz, model text) RETURNS real[]
    LANGUAGE C STABLE PARALLEL SAFE COST 1200 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_fused_probabilities_at';
COMMENT ON FUNCTION csp_fused_probabilities(geometry, real[], timestamptz, text) IS
    'probability P(y | I, x) of every class of an image at a place and a time of the year, in the order of csp.classes, adding up to 1: that of the model''s image classifier times P(y | x) to the power of prior_strength, all to that of 1 / fusion_temperature. Without features (NULL) the place alone, without a place (NULL or empty, or no time) the image alone; NULL for neither; errors as csp_image_probabilities and csp_probabilities';

CREATE FUNCTION csp_fused_probabilities(location geography, features real[]) RETURNS real[]
    LANGUAGE C STABLE PARALLEL SAFE COST 1200 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_fused_probabilities';
COMMENT ON FUNCTION csp_fused_probabilities(geography, real[]) IS
    'probability P(y | I, x) of every class of an image at a place, in the order of csp.classes, adding up to 1: that of the model''s image classifier times P(y | x) to the power of prior_strength, all to that of 1 / fusion_temperature. Without features (NULL) the place alone, without a place (NULL or empty) the image alone; NULL for neither; errors as csp_image_probabilities and csp_probabilities';

CREATE FUNCTION csp_fused_probabilities(location geography, features real[], model text) RETURNS real[]
    LANGUAGE C STABLE PARALLEL SAFE COST 1200 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_fused_probabilities';
COMMENT ON FUNCTION csp_fused_probabilities(geography, real[], text) IS
    'probability P(y | I, x) of every class of an image at a place, in the order of csp.classes, adding up to 1: that of the model''s image classifier times P(y | x) to the power of prior_strength, all to that of 1 / fusion_temperature. Without features (NULL) the place alone, without a place (NULL or empty) the image alone; NULL for neither; errors as csp_image_probabilities and csp_probabilities';

CREATE FUNCTION csp_fused_probabilities(location geography, features real[], observed_at timestamptz) RETURNS real[]
    LANGUAGE C STABLE PARALLEL SAFE COST 1200 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_fused_probabilities_at';
COMMENT ON FUNCTION csp_fused_probabilities(geography, real[], timestamptz) IS
    'probability P(y | I, x) of every class of an image at a place and a time of the year, in the order of csp.classes, adding up to 1: that of the model''s image classifier times P(y | x) to the power of prior_strength, all to that of 1 / fusion_temperature. Without features (NULL) the place alone, without a place (NULL or empty, or no time) the image alone; NULL for neither; errors as csp_image_probabilities and csp_probabilities';

CREATE FUNCTION csp_fused_probabilities(location geography, features real[], observed_at timestamptz, model text) RETURNS real[]
    LANGUAGE C STABLE PARALLEL SAFE COST 1200 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_fused_probabilities_at';
COMMENT ON FUNCTION csp_fused_probabilities(geography, real[], timestamptz, text) IS
    'probability P(y | I, x) of every class of an image at a place and a time of the year, in the order of csp.classes, adding up to 1: that of the model''s image classifier times P(y | x) to the power of prior_strength, all to that of 1 / fusion_temperature. Without features (NULL) the place alone, without a place (NULL or empty, or no time) the image alone; NULL for neither; errors as csp_image_probabilities and csp_probabilities';

CREATE FUNCTION csp_classify(location geometry, features real[], k int) RETURNS TABLE (rank int, label text, probability real)
    LANGUAGE C STABLE PARALLEL SAFE COST 1200 ROWS 5 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_classify_fused';
COMMENT ON FUNCTION csp_classify(geometry, real[], int) IS
    'the k most probable classes of an image at a place, most probable first, by csp_fused_probabilities(location, features): without features (NULL) by the place alone, without a place by the image alone; no rows for neither';

CREATE FUNCTION csp_classify(location geometry, features real[], k int, model text) RETURNS TABLE (rank int, label text, probability real)
    LANGUAGE C STABLE PARALLEL SAFE COST 1200 ROWS 5 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_classify_fused';
COMMENT ON FUNCTION csp_classify(geometry, real[], int, text) IS
    'the k most probable classes of an image at a place, most probable first, by csp_fused_probabilities(location, features): without features (NULL) by the place alone, without a place by the image alone; no rows for neither';

CREATE FUNCTION csp_classify(location geometry, features real[]) RETURNS TABLE (rank int, label text, probability real)
    LANGUAGE C STABLE PARALLEL SAFE COST 1200 ROWS 5 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_classify_fused_five';
COMMENT ON FUNCTION csp_classify(geometry, real[]) IS
    'the five most probable classes of an image at a place, most probable first, by csp_fused_probabilities(location, features): without features (NULL) by the place alone, without a place by the image alone; no rows for neither';

CREATE FUNCTION csp_classify(location geometry, features real[], model text) RETURNS TABLE (rank int, label text, probability real)
    LANGUAGE C STABLE PARALLEL SAFE COST 1200 ROWS 5 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_classify_fused_five';
COMMENT ON FUNCTION csp_classify(geometry, real[], text) IS
    'the five most probable classes of an image at a place, most probable first, by csp_fused_probabilities(location, features): without features (NULL) by the place alone, without a place by the image alone; no rows for neither';

CREATE FUNCTION csp_classify(location geometry, features real[], k int, observed_at timestamptz) RETURNS TABLE (rank int, label text, probability real)
    LANGUAGE C STABLE PARALLEL SAFE COST 1200 ROWS 5 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_classify_fused_at';
COMMENT ON FUNCTION csp_classify(geometry, real[], int, timestamptz) IS
    'the k most probable classes of an image at a place and a time of the year, most probable first, by csp_fused_probabilities(location, features, observed_at): without features (NULL) by the place alone, without a place by the image alone; no rows for neither';

CREATE FUNCTION csp_classify(location geometry, features real[], k int, observed_at timestamptz, model text) RETURNS TABLE (rank int, label text, probability real)
    LANGUAGE C STABLE PARALLEL SAFE COST 1200 ROWS 5 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_classify_fused_at';
COMMENT ON FUNCTION csp_classify(geometry, real[], int, timestamptz, text) IS
    'the k most probable classes of an image at a place and a time of the year, most probable first, by csp_fused_probabilities(location, features, observed_at): without features (NULL) by the place alone, without a place by the image alone; no rows for neither';

CREATE FUNCTION csp_classify(location geography, features real[], k int) RETURNS TABLE (rank int, label text, probability real)
    LANGUAGE C STABLE PARALLEL SAFE COST 1200 ROWS 5 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_classify_fused';
COMMENT ON FUNCTION csp_classify(geography, real[], int) IS
    'the k most probable classes of an image at a place, most probable first, by csp_fused_probabilities(location, features): without features (NULL) by the place alone, without a place by the image alone; no rows for neither';

CREATE FUNCTION csp_classify(location geography, features real[], k int, model text) RETURNS TABLE (rank int, label text, probability real)
    LANGUAGE C STABLE PARALLEL SAFE COST 1200 ROWS 5 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_classify_fused';
COMMENT ON FUNCTION csp_classify(geography, real[], int, text) IS
    'the k most probable classes of an image at a place, most probable first, by csp_fused_probabilities(location, features): without features (NULL) by the place alone, without a place by the image alone; no rows for neither';

CREATE FUNCTION csp_classify(location geography, features real[]) RETURNS TABLE (rank int, label text, probability real)
    LANGUAGE C STABLE PARALLEL SAFE COST 1200 ROWS 5 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_classify_fused_five';
COMMENT ON FUNCTION csp_classify(geography, real[]) IS
    'the five most probable classes of an image at a place, most probable first, by csp_fused_probabilities(location, features): without features (NULL) by the place alone, without a place by the image alone; no rows for neither';

CREATE FUNCTION csp_classify(location geography, features real[], model text) RETURNS TABLE (rank int, label text, probability real)
    LANGUAGE C STABLE PARALLEL SAFE COST 1200 ROWS 5 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_classify_fused_five';
COMMENT ON FUNCTION csp_classify(geography, real[], text) IS
    'the five most probable classes of an image at a place, most probable first, by csp_fused_probabilities(location, features): without features (NULL) by the place alone, without a place by the image alone; no rows for neither';

CREATE FUNCTION csp_classify(location geography, features real[], k int, observed_at timestamptz) RETURNS TABLE (rank int, label text, probability real)
    LANGUAGE C STABLE PARALLEL SAFE COST 1200 ROWS 5 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_classify_fused_at';
COMMENT ON FUNCTION csp_classify(geography, real[], int, timestamptz) IS
    'the k most probable classes of an image at a place and a time of the year, most probable first, by csp_fused_probabilities(location, features, observed_at): without features (NULL) by the place alone, without a place by the image alone; no rows for neither';

CREATE FUNCTION csp_classify(location geography, features real[], k int, observed_at timestamptz, model text) RETURNS TABLE (rank int, label text, probability real)
    LANGUAGE C STABLE PARALLEL SAFE COST 1200 ROWS 5 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_classify_fused_at';
COMMENT ON FUNCTION csp_classify(geography, real[], int, timestamptz, text) IS
    'the k most probable classes of an image at a place and a time of the year, most probable first, by csp_fused_probabilities(location, features, observed_at): without features (NULL) by the place alone, without a place by the image alone; no rows for neither';

CREATE FUNCTION csp_fuse(image_probabilities real[], place_probabilities real[], prior_strength double precision) RETURNS real[]
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 50 AS 'MODULE_PATHNAME', 'csp_fuse_probabilities';
COMMENT ON FUNCTION csp_fuse(real[], real[], double precision) IS
    'P(y | I, x) of every class, adding up to 1, from those of an image and of a place, for example by csp_probabilities: their product, the place to the power of prior_strength, 0 to 1000. Neither input need add up to 1. Where no class has a chance with both, the image alone decides. Errors for different lengths, several dimensions, NULL elements, NaN, infinity, negative numbers, and an image of all zero';

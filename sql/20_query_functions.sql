-- Queries: functions that answer from a trained model.
--
-- Every function takes an optional last argument, the model: a name (its deployed version)
-- or name@version. Without it the setting csp.model decides, else the only model that the
-- user can see. They are STABLE, not IMMUTABLE, because a name may be deployed anew.
--
-- COST: one call computes for 5 to 10 microseconds, some hundred operators' worth; so the
-- planner filters first and thinks of parallel plans.

CREATE FUNCTION csp_embed(location geometry) RETURNS real[]
    LANGUAGE C STABLE STRICT PARALLEL SAFE COST 500 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_embed';
COMMENT ON FUNCTION csp_embed(geometry) IS
    'embedding e(x) of a place by the location encoder: embedding_dim numbers; NULL for an empty point; errors for anything but a point, SRID 0, latitudes beyond 90 degrees';

CREATE FUNCTION csp_embed(location geometry, model text) RETURNS real[]
    LANGUAGE C STABLE STRICT PARALLEL SAFE COST 500 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_embed';
COMMENT ON FUNCTION csp_embed(geometry, text) IS
    'embedding e(x) of a place by the location encoder: embedding_dim numbers; NULL for an empty point; errors for anything but a point, SRID 0, latitudes beyond 90 degrees';

CREATE FUNCTION csp_embed(location geography) RETURNS real[]
    LANGUAGE C STABLE STRICT PARALLEL SAFE COST 500 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_embed';
COMMENT ON FUNCTION csp_embed(geography) IS
    'embedding e(x) of a place by the location encoder: embedding_dim numbers; NULL for an empty point; errors for anything but a point, SRID 0, latitudes beyond 90 degrees';

CREATE FUNCTION csp_embed(location geography, model text) RETURNS real[]
    LANGUAGE C STABLE STRICT PARALLEL SAFE COST 500 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_embed';
COMMENT ON FUNCTION csp_embed(geography, text) IS
    'embedding e(x) of a place by the location encoder: embedding_dim numbers; NULL for an empty point; errors for anything but a point, SRID 0, latitudes beyond 90 degrees';

CREATE FUNCTION csp_embed_image(features real[]) RETURNS real[]
    LANGUAGE C STABLE STRICT PARALLEL SAFE COST 500 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_embed_image';
COMMENT ON FUNCTION csp_embed_image(real[]) IS
    'projection W f(I) of an image feature vector into the space of csp_embed: embedding_dim numbers';

CREATE FUNCTION csp_embed_image(features real[], model text) RETURNS real[]
    LANGUAGE C STABLE STRICT PARALLEL SAFE COST 500 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_embed_image';
COMMENT ON FUNCTION csp_embed_image(real[], text) IS
    'projection W f(I) of an image feature vector into the space of csp_embed: embedding_dim numbers';

CREATE FUNCTION csp_similarity(location geometry, features real[]) RETURNS real
    LANGUAGE C STABLE STRICT PARALLEL SAFE COST 600 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_similarity';
COMMENT ON FUNCTION csp_similarity(geometry, real[]) IS
    'cosine, -1 to 1, of the embeddings of a place and of an image feature vector';

CREATE FUNCTION csp_similarity(location geometry, features real[], model text) RETURNS real
    LANGUAGE C STABLE STRICT PARALLEL SAFE COST 600 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_similarity';
COMMENT ON FUNCTION csp_similarity(geometry, real[], text) IS
    'cosine, -1 to 1, of the embeddings of a place and of an image feature vector';

CREATE FUNCTION csp_similarity(location geography, features real[]) RETURNS real
    LANGUAGE C STABLE STRICT PARALLEL SAFE COST 600 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_similarity';
COMMENT ON FUNCTION csp_similarity(geography, real[]) IS
    'cosine, -1 to 1, of the embeddings of a place and of an image feature vector';

CREATE FUNCTION csp_similarity(location geography, features real[], model text) RETURNS real
    LANGUAGE C STABLE STRICT PARALLEL SAFE COST 600 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_similarity';
COMMENT ON FUNCTION csp_similarity(geography, real[], text) IS
    'cosine, -1 to 1, of the embeddings of a place and of an image feature vector';

CREATE FUNCTION csp_probabilities(location geometry) RETURNS real[]
    LANGUAGE C STABLE STRICT PARALLEL SAFE COST 600 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_probabilities';
COMMENT ON FUNCTION csp_probabilities(geometry) IS
    'probability P(y | x) of every class at a place, in the order of csp.classes; whether they add up to 1 depends on the class head (softmax) or not (sigmoid)';

CREATE FUNCTION csp_probabilities(location geometry, model text) RETURNS real[]
    LANGUAGE C STABLE STRICT PARALLEL SAFE COST 600 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_probabilities';
COMMENT ON FUNCTION csp_probabilities(geometry, text) IS
    'probability P(y | x) of every class at a place, in the order of csp.classes; whether they add up to 1 depends on the class head (softmax) or not (sigmoid)';

CREATE FUNCTION csp_probabilities(location geography) RETURNS real[]
    LANGUAGE C STABLE STRICT PARALLEL SAFE COST 600 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_probabilities';
COMMENT ON FUNCTION csp_probabilities(geography) IS
    'probability P(y | x) of every class at a place, in the order of csp.classes; whether they add up to 1 depends on the class head (softmax) or not (sigmoid)';

CREATE FUNCTION csp_probabilities(location geography, model text) RETURNS real[]
    LANGUAGE C STABLE STRICT PARALLEL SAFE COST 600 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_probabilities';
COMMENT ON FUNCTION csp_probabilities(geography, text) IS
    'probability P(y | x) of every class at a place, in the order of csp.classes; whether they add up to 1 depends on the class head (softmax) or not (sigmoid)';

CREATE FUNCTION csp_probability(location geometry, label text) RETURNS real
    LANGUAGE C STABLE STRICT PARALLEL SAFE COST 500 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_probability';
COMMENT ON FUNCTION csp_probability(geometry, text) IS
    'probability P(y | x) of one class at a place; an unknown label is an error';

CREATE FUNCTION csp_probability(location geometry, label text, model text) RETURNS real
    LANGUAGE C STABLE STRICT PARALLEL SAFE COST 500 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_probability';
COMMENT ON FUNCTION csp_probability(geometry, text, text) IS
    'probability P(y | x) of one class at a place; an unknown label is an error';

CREATE FUNCTION csp_probability(location geography, label text) RETURNS real
    LANGUAGE C STABLE STRICT PARALLEL SAFE COST 500 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_probability';
COMMENT ON FUNCTION csp_probability(geography, text) IS
    'probability P(y | x) of one class at a place; an unknown label is an error';

CREATE FUNCTION csp_probability(location geography, label text, model text) RETURNS real
    LANGUAGE C STABLE STRICT PARALLEL SAFE COST 500 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_probability';
COMMENT ON FUNCTION csp_probability(geography, text, text) IS
    'probability P(y | x) of one class at a place; an unknown label is an error';

CREATE FUNCTION csp_fuse(image_probabilities real[], location geometry) RETURNS real[]
    LANGUAGE C STABLE PARALLEL SAFE COST 600 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_fuse';
COMMENT ON FUNCTION csp_fuse(real[], geometry) IS
    'P(y | I, x) of every class, adding up to 1: image_probabilities P(y | I) of an image by a classifier of one''s own, one number of at least 0 a class in the order of csp.classes, times P(y | x) of the place to the power of the model''s prior_strength, all to that of 1 / fusion_temperature; the input need not add up to 1. Where no class has a chance with both, the image alone decides. Without an image (NULL) the place alone, without a place (NULL or empty) the image alone; NULL for neither. Errors for another length, several dimensions, NULL elements, NaN, infinity, negative numbers, all zero, and a model without classes';

CREATE FUNCTION csp_fuse(image_probabilities real[], location geometry, model text) RETURNS real[]
    LANGUAGE C STABLE PARALLEL SAFE COST 600 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_fuse';
COMMENT ON FUNCTION csp_fuse(real[], geometry, text) IS
    'P(y | I, x) of every class, adding up to 1: image_probabilities P(y | I) of an image by a classifier of one''s own, one number of at least 0 a class in the order of csp.classes, times P(y | x) of the place to the power of the model''s prior_strength, all to that of 1 / fusion_temperature; the input need not add up to 1. Where no class has a chance with both, the image alone decides. Without an image (NULL) the place alone, without a place (NULL or empty) the image alone; NULL for neither. Errors for another length, several dimensions, NULL elements, NaN, infinity, negative numbers, all zero, and a model without classes';

CREATE FUNCTION csp_fuse(image_probabilities real[], location geography) RETURNS real[]
    LANGUAGE C STABLE PARALLEL SAFE COST 600 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_fuse';
COMMENT ON FUNCTION csp_fuse(real[], geography) IS
    'P(y | I, x) of every class, adding up to 1: image_probabilities P(y | I) of an image by a classifier of one''s own, one number of at least 0 a class in the order of csp.classes, times P(y | x) of the place to the power of the model''s prior_strength, all to that of 1 / fusion_temperature; the input need not add up to 1. Where no class has a chance with both, the image alone decides. Without an image (NULL) the place alone, without a place (NULL or empty) the image alone; NULL for neither. Errors for another length, several dimensions, NULL elements, NaN, infinity, negative numbers, all zero, and a model without classes';

CREATE FUNCTION csp_fuse(image_probabilities real[], location geography, model text) RETURNS real[]
    LANGUAGE C STABLE PARALLEL SAFE COST 600 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_fuse';
COMMENT ON FUNCTION csp_fuse(real[], geography, text) IS
    'P(y | I, x) of every class, adding up to 1: image_probabilities P(y | I) of an image by a classifier of one''s own, one number of at least 0 a class in the order of csp.classes, times P(y | x) of the place to the power of the model''s prior_strength, all to that of 1 / fusion_temperature; the input need not add up to 1. Where no class has a chance with both, the image alone decides. Without an image (NULL) the place alone, without a place (NULL or empty) the image alone; NULL for neither. Errors for another length, several dimensions, NULL elements, NaN, infinity, negative numbers, all zero, and a model without classes';

CREATE FUNCTION csp_classify(location geometry, k int) RETURNS TABLE (rank int, label text, probability real)
    LANGUAGE C STABLE STRICT PARALLEL SAFE COST 600 ROWS 5 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_classify';
COMMENT ON FUNCTION csp_classify(geometry, int) IS
    'the k most probable classes at a place, most probable first; no rows for an empty point';

CREATE FUNCTION csp_classify(location geometry, k int, model text) RETURNS TABLE (rank int, label text, probability real)
    LANGUAGE C STABLE STRICT PARALLEL SAFE COST 600 ROWS 5 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_classify';
COMMENT ON FUNCTION csp_classify(geometry, int, text) IS
    'the k most probable classes at a place, most probable first; no rows for an empty point';

CREATE FUNCTION csp_classify(location geometry, model text) RETURNS TABLE (rank int, label text, probability real)
    LANGUAGE C STABLE STRICT PARALLEL SAFE COST 600 ROWS 5 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_classify_five';
COMMENT ON FUNCTION csp_classify(geometry, text) IS
    'the five most probable classes at a place, most probable first; no rows for an empty point';

CREATE FUNCTION csp_classify(location geometry) RETURNS TABLE (rank int, label text, probability real)
    LANGUAGE C STABLE STRICT PARALLEL SAFE COST 600 ROWS 5 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_classify_five';
COMMENT ON FUNCTION csp_classify(geometry) IS
    'the five most probable classes at a place, most probable first; no rows for an empty point';

CREATE FUNCTION csp_classify(location geography, k int) RETURNS TABLE (rank int, label text, probability real)
    LANGUAGE C STABLE STRICT PARALLEL SAFE COST 600 ROWS 5 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_classify';
COMMENT ON FUNCTION csp_classify(geography, int) IS
    'the k most probable classes at a place, most probable first; no rows for an empty point';

CREATE FUNCTION csp_classify(location geography, k int, model text) RETURNS TABLE (rank int, label text, probability real)
    LANGUAGE C STABLE STRICT PARALLEL SAFE COST 600 ROWS 5 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_classify';
COMMENT ON FUNCTION csp_classify(geography, int, text) IS
    'the k most probable classes at a place, most probable first; no rows for an empty point';

CREATE FUNCTION csp_classify(location geography, model text) RETURNS TABLE (rank int, label text, probability real)
    LANGUAGE C STABLE STRICT PARALLEL SAFE COST 600 ROWS 5 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_classify_five';
COMMENT ON FUNCTION csp_classify(geography, text) IS
    'the five most probable classes at a place, most probable first; no rows for an empty point';

CREATE FUNCTION csp_classify(location geography) RETURNS TABLE (rank int, label text, probability real)
    LANGUAGE C STABLE STRICT PARALLEL SAFE COST 600 ROWS 5 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_classify_five';
COMMENT ON FUNCTION csp_classify(geography) IS
    'the five most probable classes at a place, most probable first; no rows for an empty point';

-- What a batched csp_classify is executed with.

CREATE FUNCTION csp.classify_probabilities(probabilities real[], k int) RETURNS TABLE (rank int, label text, probability real)
    LANGUAGE C STABLE STRICT PARALLEL SAFE COST 50 ROWS 5 AS 'MODULE_PATHNAME', 'csp_classify_probabilities';
COMMENT ON FUNCTION csp.classify_probabilities(real[], int) IS
    'the k most probable classes, most probable first, equal ones in the order of csp.classes, given what csp_probabilities or csp_fuse returned: one number of at least 0 a class; no rows for NULL; errors for k below 1, another length, several dimensions, NULL elements, NaN, infinity, negative numbers, and a model without classes';

CREATE FUNCTION csp.classify_probabilities(probabilities real[], k int, model text) RETURNS TABLE (rank int, label text, probability real)
    LANGUAGE C STABLE STRICT PARALLEL SAFE COST 50 ROWS 5 AS 'MODULE_PATHNAME', 'csp_classify_probabilities';
COMMENT ON FUNCTION csp.classify_probabilities(real[], int, text) IS
    'the k most probable classes, most probable first, equal ones in the order of csp.classes, given what csp_probabilities or csp_fuse returned: one number of at least 0 a class; no rows for NULL; errors for k below 1, another length, several dimensions, NULL elements, NaN, infinity, negative numbers, and a model without classes';

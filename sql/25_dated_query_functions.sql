-- Queries of models that were trained with the option observed_at: the time of the observation, of which the part of the
-- year counts (in UTC), stands before the model.

CREATE FUNCTION csp_embed(location geometry, observed_at timestamptz) RETURNS real[]
    LANGUAGE C STABLE STRICT PARALLEL SAFE COST 500 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_embed_at';
COMMENT ON FUNCTION csp_embed(geometry, timestamptz) IS 'embedding e(x) of a place at a time of the year, by a model that was trained with dates (option observed_at)';
CREATE FUNCTION csp_embed(location geometry, observed_at timestamptz, model text) RETURNS real[]
    LANGUAGE C STABLE STRICT PARALLEL SAFE COST 500 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_embed_at';
COMMENT ON FUNCTION csp_embed(geometry, timestamptz, text) IS 'embedding e(x) of a place at a time of the year, by a model that was trained with dates (option observed_at)';
CREATE FUNCTION csp_embed(location geography, observed_at timestamptz) RETURNS real[]
    LANGUAGE C STABLE STRICT PARALLEL SAFE COST 500 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_embed_at';
COMMENT ON FUNCTION csp_embed(geography, timestamptz) IS 'embedding e(x) of a place at a time of the year, by a model that was trained with dates (option observed_at)';
CREATE FUNCTION csp_embed(location geography, observed_at timestamptz, model text) RETURNS real[]
    LANGUAGE C STABLE STRICT PARALLEL SAFE COST 500 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_embed_at';
COMMENT ON FUNCTION csp_embed(geography, timestamptz, text) IS 'embedding e(x) of a place at a time of the year, by a model that was trained with dates (option observed_at)';

CREATE FUNCTION csp_similarity(location geometry, features real[], observed_at timestamptz) RETURNS real
    LANGUAGE C STABLE STRICT PARALLEL SAFE COST 600 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_similarity_at';
COMMENT ON FUNCTION csp_similarity(geometry, real[], timestamptz) IS 'cosine, -1 to 1, of the embeddings of a place at a time of the year and of an image feature vector';
CREATE FUNCTION csp_similarity(location geometry, features real[], observed_at timestamptz, model text) RETURNS real
    LANGUAGE C STABLE STRICT PARALLEL SAFE COST 600 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_similarity_at';
COMMENT ON FUNCTION csp_similarity(geometry, real[], timestamptz, text) IS 'cosine, -1 to 1, of the embeddings of a place at a time of the year and of an image feature vector';
CREATE FUNCTION csp_similarity(location geography, features real[], observed_at timestamptz) RETURNS real
    LANGUAGE C STABLE STRICT PARALLEL SAFE COST 600 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_similarity_at';
COMMENT ON FUNCTION csp_similarity(geography, real[], timestamptz) IS 'cosine, -1 to 1, of the embeddings of a place at a time of the year and of an image feature vector';
CREATE FUNCTION csp_similarity(location geography, features real[], observed_at timestamptz, model text) RETURNS real
    LANGUAGE C STABLE STRICT PARALLEL SAFE COST 600 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_similarity_at';
COMMENT ON FUNCTION csp_similarity(geography, real[], timestamptz, text) IS 'cosine, -1 to 1, of the embeddings of a place at a time of the year and of an image feature vector';

CREATE FUNCTION csp_probabilities(location geometry, observed_at timestamptz) RETURNS real[]
    LANGUAGE C STABLE STRICT PARALLEL SAFE COST 600 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_probabilities_at';
COMMENT ON FUNCTION csp_probabilities(geometry, timestamptz) IS 'probability P(y | x) of every class at a place at a time of the year, in the order of csp.classes';
CREATE FUNCTION csp_probabilities(location geometry, observed_at timestamptz, model text) RETURNS real[]
    LANGUAGE C STABLE STRICT PARALLEL SAFE COST 600 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_probabilities_at';
COMMENT ON FUNCTION csp_probabilities(geometry, timestamptz, text) IS 'probability P(y | x) of every class at a place at a time of the year, in the order of csp.classes';
CREATE FUNCTION csp_probabilities(location geography, observed_at timestamptz) RETURNS real[]
    LANGUAGE C STABLE STRICT PARALLEL SAFE COST 600 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_probabilities_at';
COMMENT ON FUNCTION csp_probabilities(geography, timestamptz) IS 'probability P(y | x) of every class at a place at a time of the year, in the order of csp.classes';
CREATE FUNCTION csp_probabilities(location geography, observed_at timestamptz, model text) RETURNS real[]
    LANGUAGE C STABLE STRICT PARALLEL SAFE COST 600 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_probabilities_at';
COMMENT ON FUNCTION csp_probabilities(geography, timestamptz, text) IS 'probability P(y | x) of every class at a place at a time of the year, in the order of csp.classes';

CREATE FUNCTION csp_probability(location geometry, label text, observed_at timestamptz) RETURNS real
    LANGUAGE C STABLE STRICT PARALLEL SAFE COST 500 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_probability_at';
COMMENT ON FUNCTION csp_probability(geometry, text, timestamptz) IS 'probability P(y | x) of one class at a place at a time of the year; an unknown label is an error';
CREATE FUNCTION csp_probability(location geometry, label text, observed_at timestamptz, model text) RETURNS real
    LANGUAGE C STABLE STRICT PARALLEL SAFE COST 500 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_probability_at';
COMMENT ON FUNCTION csp_probability(geometry, text, timestamptz, text) IS 'probability P(y | x) of one class at a place at a time of the year; an unknown label is an error';
CREATE FUNCTION csp_probability(location geography, label text, observed_at timestamptz) RETURNS real
    LANGUAGE C STABLE STRICT PARALLEL SAFE COST 500 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_probability_at';
COMMENT ON FUNCTION csp_probability(geography, text, timestamptz) IS 'probability P(y | x) of one class at a place at a time of the year; an unknown label is an error';
CREATE FUNCTION csp_probability(location geography, label text, observed_at timestamptz, model text) RETURNS real
    LANGUAGE C STABLE STRICT PARALLEL SAFE COST 500 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_probability_at';
COMMENT ON FUNCTION csp_probability(geography, text, timestamptz, text) IS 'probability P(y | x) of one class at a place at a time of the year; an unknown label is an error';

CREATE FUNCTION csp_fuse(image_probabilities real[], location geometry, observed_at timestamptz) RETURNS real[]
    LANGUAGE C STABLE PARALLEL SAFE COST 600 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_fuse_at';
COMMENT ON FUNCTION csp_fuse(real[], geometry, timestamptz) IS 'P(y | I, x) of every class, adding up to 1: image probabilities of a classifier of one''s own, in the order of csp.classes, times P(y | x) of a place at a time of the year to the power of prior_strength, all to that of 1 / fusion_temperature; without an image (NULL) the place alone, without a place or a time the image alone, NULL for neither; errors as without a time';
CREATE FUNCTION csp_fuse(image_probabilities real[], location geometry, observed_at timestamptz, model text) RETURNS real[]
    LANGUAGE C STABLE PARALLEL SAFE COST 600 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_fuse_at';
COMMENT ON FUNCTION csp_fuse(real[], geometry, timestamptz, text) IS 'P(y | I, x) of every class, adding up to 1: image probabilities of a classifier of one''s own, in the order of csp.classes, times P(y | x) of a place at a time of the year to the power of prior_strength, all to that of 1 / fusion_temperature; without an image (NULL) the place alone, without a place or a time the image alone, NULL for neither; errors as without a time';
CREATE FUNCTION csp_fuse(image_probabilities real[], location geography, observed_at timestamptz) RETURNS real[]
    LANGUAGE C STABLE PARALLEL SAFE COST 600 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_fuse_at';
COMMENT ON FUNCTION csp_fuse(real[], geography, timestamptz) IS 'P(y | I, x) of every class, adding up to 1: image probabilities of a classifier of one''s own, in the order of csp.classes, times P(y | x) of a place at a time of the year to the power of prior_strength, all to that of 1 / fusion_temperature; without an image (NULL) the place alone, without a place or a time the image alone, NULL for neither; errors as without a time';
CREATE FUNCTION csp_fuse(image_probabilities real[], location geography, observed_at timestamptz, model text) RETURNS real[]
    LANGUAGE C STABLE PARALLEL SAFE COST 600 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_fuse_at';
COMMENT ON FUNCTION csp_fuse(real[], geography, timestamptz, text) IS 'P(y | I, x) of every class, adding up to 1: image probabilities of a classifier of one''s own, in the order of csp.classes, times P(y | x) of a place at a time of the year to the power of prior_strength, all to that of 1 / fusion_temperature; without an image (NULL) the place alone, without a place or a time the image alone, NULL for neither; errors as without a time';

CREATE FUNCTION csp_classify(location geometry, k int, observed_at timestamptz) RETURNS TABLE (rank int, label text, probability real)
    LANGUAGE C STABLE STRICT PARALLEL SAFE COST 600 ROWS 5 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_classify_at';
COMMENT ON FUNCTION csp_classify(geometry, int, timestamptz) IS 'the k most probable classes at a place at a time of the year';
CREATE FUNCTION csp_classify(location geometry, k int, observed_at timestamptz, model text) RETURNS TABLE (rank int, label text, probability real)
    LANGUAGE C STABLE STRICT PARALLEL SAFE COST 600 ROWS 5 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_classify_at';
COMMENT ON FUNCTION csp_classify(geometry, int, timestamptz, text) IS 'the k most probable classes at a place at a time of the year';
CREATE FUNCTION csp_classify(location geography, k int, observed_at timestamptz) RETURNS TABLE (rank int, label text, probability real)
    LANGUAGE C STABLE STRICT PARALLEL SAFE COST 600 ROWS 5 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_classify_at';
COMMENT ON FUNCTION csp_classify(geography, int, timestamptz) IS 'the k most probable classes at a place at a time of the year';
CREATE FUNCTION csp_classify(location geography, k int, observed_at timestamptz, model text) RETURNS TABLE (rank int, label text, probability real)
    LANGUAGE C STABLE STRICT PARALLEL SAFE COST 600 ROWS 5 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_classify_at';
COMMENT ON FUNCTION csp_classify(geography, int, timestamptz, text) IS 'the k most probable classes at a place at a time of the year';

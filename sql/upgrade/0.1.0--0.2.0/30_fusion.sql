-- csp_fuse answers where the image or the place is missing.

ALTER FUNCTION csp_fuse(real[], geometry) CALLED ON NULL INPUT;
COMMENT ON FUNCTION csp_fuse(real[], geometry) IS
    'P(y | I, x) of every class, adding up to 1: image_probabilities P(y | I) of an image by a classifier of one''s own, one number of at least 0 a class in the order of csp.classes, times P(y | x) of the place to the power of the model''s prior_strength, all to that of 1 / fusion_temperature; the input need not add up to 1. Where no class has a chance with both, the image alone decides. Without an image (NULL) the place alone, without a place (NULL or empty) the image alone; NULL for neither. Errors for another length, several dimensions, NULL elements, NaN, infinity, negative numbers, all zero, and a model without classes';
ALTER FUNCTION csp_fuse(real[], geometry, text) CALLED ON NULL INPUT;
COMMENT ON FUNCTION csp_fuse(real[], geometry, text) IS
    'P(y | I, x) of every class, adding up to 1: image_probabilities P(y | I) of an image by a classifier of one''s own, one number of at least 0 a class in the order of csp.classes, times P(y | x) of the place to the power of the model''s prior_strength, all to that of 1 / fusion_temperature; the input need not add up to 1. Where no class has a chance with both, the image alone decides. Without an image (NULL) the place alone, without a place (NULL or empty) the image alone; NULL for neither. Errors for another length, several dimensions, NULL elements, NaN, infinity, negative numbers, all zero, and a model without classes';
ALTER FUNCTION csp_fuse(real[], geography) CALLED ON NULL INPUT;
COMMENT ON FUNCTION csp_fuse(real[], geography) IS
    'P(y | I, x) of every class, adding up to 1: image_probabilities P(y | I) of an image by a classifier of one''s own, one number of at least 0 a class in the order of csp.classes, times P(y | x) of the place to the power of the model''s prior_strength, all to that of 1 / fusion_temperature; the input need not add up to 1. Where no class has a chance with both, the image alone decides. Without an image (NULL) the place alone, without a place (NULL or empty) the image alone; NULL for neither. Errors for another length, several dimensions, NULL elements, NaN, infinity, negative numbers, all zero, and a model without classes';
ALTER FUNCTION csp_fuse(real[], geography, text) CALLED ON NULL INPUT;
COMMENT ON FUNCTION csp_fuse(real[], geography, text) IS
    'P(y | I, x) of every class, adding up to 1: image_probabilities P(y | I) of an image by a classifier of one''s own, one number of at least 0 a class in the order of csp.classes, times P(y | x) of the place to the power of the model''s prior_strength, all to that of 1 / fusion_temperature; the input need not add up to 1. Where no class has a chance with both, the image alone decides. Without an image (NULL) the place alone, without a place (NULL or empty) the image alone; NULL for neither. Errors for another length, several dimensions, NULL elements, NaN, infinity, negative numbers, all zero, and a model without classes';
ALTER FUNCTION csp_fuse(real[], geometry, timestamptz) CALLED ON NULL INPUT;
COMMENT ON FUNCTION csp_fuse(real[], geometry, timestamptz) IS
    'P(y | I, x) of every class, adding up to 1: image probabilities of a classifier of one''s own, in the order of csp.classes, times P(y | x) of a place at a time of the year to the power of prior_strength, all to that of 1 / fusion_temperature; without an image (NULL) the place alone, without a place or a time the image alone, NULL for neither; errors as without a time';
ALTER FUNCTION csp_fuse(real[], geometry, timestamptz, text) CALLED ON NULL INPUT;
COMMENT ON FUNCTION csp_fuse(real[], geometry, timestamptz, text) IS
    'P(y | I, x) of every class, adding up to 1: image probabilities of a classifier of one''s own, in the order of csp.classes, times P(y | x) of a place at a time of the year to the power of prior_strength, all to that of 1 / fusion_temperature; without an image (NULL) the place alone, without a place or a time the image alone, NULL for neither; errors as without a time';
ALTER FUNCTION csp_fuse(real[], geography, timestamptz) CALLED ON NULL INPUT;
COMMENT ON FUNCTION csp_fuse(real[], geography, timestamptz) IS
    'P(y | I, x) of every class, adding up to 1: image probabilities of a classifier of one''s own, in the order of csp.classes, times P(y | x) of a place at a time of the year to the power of prior_strength, all to that of 1 / fusion_temperature; without an image (NULL) the place alone, without a place or a time the image alone, NULL for neither; errors as without a time';
ALTER FUNCTION csp_fuse(real[], geography, timestamptz, text) CALLED ON NULL INPUT;
COMMENT ON FUNCTION csp_fuse(real[], geography, timestamptz, text) IS
    'P(y | I, x) of every class, adding up to 1: image probabilities of a classifier of one''s own, in the order of csp.classes, times P(y | x) of a place at a time of the year to the power of prior_strength, all to that of 1 / fusion_temperature; without an image (NULL) the place alone, without a place or a time the image alone, NULL for neither; errors as without a time';

-- Retrieval: embeddings that are stored, compared with one another.

CREATE FUNCTION csp_cosine(a real[], b real[]) RETURNS real
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10 AS 'MODULE_PATHNAME', 'csp_cosine';
COMMENT ON FUNCTION csp_cosine(real[], real[]) IS
    'cosine, -1 to 1, of two vectors, such as stored results of csp_embed and csp_embed_image; 0 if one of them is zero; errors for different lengths, several dimensions, NULL elements, NaN and infinity';

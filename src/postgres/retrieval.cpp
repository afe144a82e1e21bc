// SQL functions that compare embeddings that are stored: csp_cosine.
#include "arrays.h"
#include "guard.h"

#include "../encoder/model.h"

using namespace csp;
using namespace csp::server;

namespace {

// Looked for only where a cosine is odd: who compares millions of vectors need not look at each twice.
void require_a_length(const FeatureSpan &vector, const char *which) {
    float square = 0;
    for (int i = 0; i < vector.length; ++i)
        square += vector.values[i] * vector.values[i];
    if (std::isfinite(square))
        return;
    int element = 0;
    while (element < vector.length && std::isfinite(vector.values[element]))
        ++element;
    throw SqlError(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE, std::string("the ") + which + " vector has no finite length",
                   element < vector.length ? "Element " + std::to_string(element + 1) + " is not a finite number."
                                           : std::string("The squares of its elements are too large for real."));
}

}  // namespace

extern "C" {

PG_FUNCTION_INFO_V1(csp_cosine);

// csp_cosine(a real[], b real[]) -> real
Datum csp_cosine(PG_FUNCTION_ARGS) {
    return guard([&]() -> Datum {
        const FeatureSpan a = vector_from_datum(PG_GETARG_DATUM(0));
        const FeatureSpan b = vector_from_datum(PG_GETARG_DATUM(1));
        if (a.length != b.length)
            throw SqlError(ERRCODE_DATA_EXCEPTION,
                           "vectors of different lengths: " + std::to_string(a.length) + " and " + std::to_string(b.length), {},
                           "Compare embeddings of one version of a model.");
        const float result = cosine(a.values, b.values, a.length);
        if (!std::isfinite(result) || result == 0) {
            require_a_length(a, "first");
            require_a_length(b, "second");
        }
        PG_RETURN_FLOAT4(result);
    });
}

}  // extern "C"

// SQL functions that compare embeddings that are stored: csp_cosine.
#include "arrays.h"
#include "guard.h"

#include "../encoder/model.h"

using namespace csp;
using namespace csp::server;

namespace {

// Looked for only where a cosine is none: who compares millions of vectors need not look at each twice.
void require_finite(const FeatureSpan &vector, const char *which) {
    for (int element = 0; element < vector.length; ++element)
        if (!std::isfinite(vector.values[element]))
            throw SqlError(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE, std::string("the ") + which + " vector has no finite length",
                           "Element " + std::to_string(element + 1) + " is not a finite number.");
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
        if (!std::isfinite(result)) {
            require_finite(a, "first");
            require_finite(b, "second");
        }
        PG_RETURN_FLOAT4(result);
    });
}

}  // extern "C"

// real[] values in and out.
#include "arrays.h"

#include "guard.h"

namespace csp::server {

namespace {

// The elements of a real[]; what they are, for errors: "features".
FeatureSpan elements_of(Datum value, const char *what) {
    ArrayType *array = server_call([value] { return DatumGetArrayTypeP(value); });
    if (ARR_NDIM(array) > 1)
        throw SqlError(ERRCODE_ARRAY_SUBSCRIPT_ERROR, std::string(what) + " must be a one-dimensional array",
                       "This array has " + std::to_string(ARR_NDIM(array)) + " dimensions.");
    if (array_contains_nulls(array))
        throw SqlError(ERRCODE_NULL_VALUE_NOT_ALLOWED, std::string(what) + " must not contain NULL elements");
    return {real_array_data(array), ARR_NDIM(array) == 0 ? 0 : ARR_DIMS(array)[0]};
}

}  // namespace

void initialize_real_array(ArrayType *array, int n) {
    SET_VARSIZE(array, ARR_OVERHEAD_NONULLS(1) + std::size_t(n) * sizeof(float));
    array->ndim = 1;
    array->dataoffset = 0;
    array->elemtype = FLOAT4OID;
    ARR_DIMS(array)[0] = n;
    ARR_LBOUND(array)[0] = 1;
}

ArrayType *make_real_array(int n) {
    const std::size_t size = ARR_OVERHEAD_NONULLS(1) + std::size_t(n) * sizeof(float);
    auto *array = server_call([size] { return static_cast<ArrayType *>(palloc(size)); });
    initialize_real_array(array, n);
    return array;
}

FeatureSpan features_from_datum(Datum value, int expected_length) {
    const FeatureSpan features = elements_of(value, "features");
    if (expected_length >= 0 && features.length != expected_length)
        throw SqlError(
            ERRCODE_DATA_EXCEPTION,
            "expected " + std::to_string(expected_length) + " features, not " + std::to_string(features.length), {},
            "Features must come from the image encoder that the model was trained with.");
    for (int i = 0; i < features.length; ++i)
        if (!std::isfinite(features.values[i]))
            throw SqlError(ERRCODE_DATA_EXCEPTION, "features must not contain NaN or infinity",
                           "Element " + std::to_string(i + 1) + " is not a finite number.");
    return features;
}

FeatureSpan vector_from_datum(Datum value) { return elements_of(value, "a vector"); }

const float *probabilities_from_datum(Datum value, int class_count) {
    const FeatureSpan probabilities = elements_of(value, "probabilities");
    if (probabilities.length != class_count)
        throw SqlError(
            ERRCODE_DATA_EXCEPTION,
            "expected " + std::to_string(class_count) + " probabilities, not " + std::to_string(probabilities.length),
            {}, "Give one for each class of the model, in the order of view csp.classes.");
    for (int i = 0; i < probabilities.length; ++i)
        if (!std::isfinite(probabilities.values[i]) || probabilities.values[i] < 0)
            throw SqlError(ERRCODE_DATA_EXCEPTION, "probabilities must be finite numbers of at least 0",
                           "Element " + std::to_string(i + 1) + " is " +
                               (probabilities.values[i] < 0 ? "negative." : "not a finite number."));
    return probabilities.values;
}

}  // namespace csp::server

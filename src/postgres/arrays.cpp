// real[] values in and out.
#include "arrays.h"

#include "guard.h"

namespace csp::server {

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
    ArrayType *array = server_call([value] { return DatumGetArrayTypeP(value); });
    if (ARR_NDIM(array) > 1)
        throw SqlError(ERRCODE_ARRAY_SUBSCRIPT_ERROR, "features must be a one-dimensional array",
                       "This array has " + std::to_string(ARR_NDIM(array)) + " dimensions.");
    if (array_contains_nulls(array))
        throw SqlError(ERRCODE_NULL_VALUE_NOT_ALLOWED, "features must not contain NULL elements");

    int length = ARR_NDIM(array) == 0 ? 0 : ARR_DIMS(array)[0];
    if (expected_length >= 0 && length != expected_length)
        throw SqlError(ERRCODE_DATA_EXCEPTION,
                       "expected " + std::to_string(expected_length) + " features, not " + std::to_string(length), {},
                       "Features must come from the image encoder that the model was trained with.");

    const float *values = real_array_data(array);
    for (int i = 0; i < length; ++i)
        if (!std::isfinite(values[i]))
            throw SqlError(ERRCODE_DATA_EXCEPTION, "features must not contain NaN or infinity",
                           "Element " + std::to_string(i + 1) + " is not a finite number.");
    return {values, length};
}

}  // namespace csp::server

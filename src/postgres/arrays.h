// real[] values: the vectors of this extension.
#pragma once

#include "pg.h"

namespace csp::server {

// A new one-dimensional real[] of n elements in the current memory context; its elements
// are uninitialised.
ArrayType *make_real_array(int n);

// The header of such an array, in memory that is there already: ARR_OVERHEAD_NONULLS(1) bytes, then the elements.
void initialize_real_array(ArrayType *array, int n);

inline float *real_array_data(ArrayType *array) { return reinterpret_cast<float *>(ARR_DATA_PTR(array)); }

// The elements of a real[] as features of an image. Errors: array_subscript_error for more than one
// dimension, null_value_not_allowed for a NULL element, data_exception for NaN or infinity.
// expected_length: -1 takes any length, otherwise another one is a data_exception.
struct FeatureSpan {
    const float *values;
    int length;
};
FeatureSpan features_from_datum(Datum value, int expected_length);

// The elements of a real[] as they are, of any length. Errors: as above, but for NaN and infinity.
FeatureSpan vector_from_datum(Datum value);

// The elements of a real[] as one probability a class. Errors: as above, and data_exception for another length or a
// negative number.
const float *probabilities_from_datum(Datum value, int class_count);

}  // namespace csp::server

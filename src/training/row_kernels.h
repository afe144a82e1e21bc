// What lies between the matrix products of a step, in host memory, each in one pass. n values unless told otherwise.
#pragma once

#include <cstdint>

#include "vectorized.h"

namespace csp {

// y = leaky_relu(x) times 0 where a number of 16 bits is below `threshold`, else times `kept`; leaked: kept times the
// slope below zero.
struct DropoutFactors {
    uint32_t threshold;
    float kept, leaked;
};
void leaky_dropout(const float *x, const uint16_t *bits, const DropoutFactors &factors, float *y, int64_t n);

// dx = dy times the slope that y tells, or that added to dx. The sign of y is that of x; where x is zero or dropped, the
// slope is 0.
void leaky_dropout_slope(const float *y, const float *dy, const DropoutFactors &factors, float *dx, int64_t n);
void add_leaky_dropout_slope(const float *y, const float *dy, const DropoutFactors &factors, float *dx, int64_t n);

// x + bias for each of `rows` rows of n.
void widen_with_bias(const Bfloat16 *x, const float *bias, float *y, int64_t rows, int64_t n);

// One step of Adam (Kingma and Ba, 2015): rate is corrected for the bias of the mean, root_correction2 is
// 1 / sqrt(1 - beta2^t).
struct AdamFactors {
    float beta1, beta2, rest1, rest2;  // rest: 1 - beta, which a float32 beta would falsify
    float rate, epsilon, root_correction2, weight_decay;
};
void adam_step(const AdamFactors &factors, const float *gradients, float *values, float *mean, float *square, int64_t n);

}  // namespace csp

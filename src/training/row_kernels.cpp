// Loops that the compiler turns into vectors.
#include "row_kernels.h"

#include <cmath>

namespace csp {
namespace {

CSP_INLINE float slope_of(float y, const DropoutFactors &factors) {
    const float below = y < 0 ? factors.leaked : 0.0f;
    return y > 0 ? factors.kept : below;
}

}  // namespace

CSP_VECTORIZED void leaky_dropout(const float *x, const uint16_t *bits, const DropoutFactors &factors, float *y,
                                  int64_t n) {
    const DropoutFactors f = factors;
    for (int64_t i = 0; i < n; ++i) {
        const float scaled = x[i] * (x[i] > 0 ? f.kept : f.leaked);
        y[i] = bits[i] < f.threshold ? 0.0f : scaled;
    }
}

CSP_VECTORIZED void leaky_dropout_slope(const float *y, const float *dy, const DropoutFactors &factors, float *dx,
                                        int64_t n) {
    const DropoutFactors f = factors;
    for (int64_t i = 0; i < n; ++i) dx[i] = dy[i] * slope_of(y[i], f);
}

CSP_VECTORIZED void add_leaky_dropout_slope(const float *y, const float *dy, const DropoutFactors &factors, float *dx,
                                            int64_t n) {
    const DropoutFactors f = factors;
    for (int64_t i = 0; i < n; ++i) dx[i] += dy[i] * slope_of(y[i], f);
}

CSP_VECTORIZED void widen_with_bias(const Bfloat16 *x, const float *bias, float *y, int64_t rows, int64_t n) {
    for (int64_t row = 0; row < rows; ++row, x += n, y += n)
        for (int64_t i = 0; i < n; ++i) y[i] = load(x[i]) + bias[i];
}

CSP_VECTORIZED void adam_step(const AdamFactors &factors, const float *gradients, float *values, float *mean,
                              float *square, int64_t n) {
    const AdamFactors f = factors;
    for (int64_t i = 0; i < n; ++i) {
        const float gradient = gradients[i] + f.weight_decay * values[i];
        const float m = f.beta1 * mean[i] + f.rest1 * gradient;
        const float s = f.beta2 * square[i] + f.rest2 * gradient * gradient;
        mean[i] = m;
        square[i] = s;
        values[i] -= f.rate * m / (std::sqrt(s) * f.root_correction2 + f.epsilon);
    }
}

}  // namespace csp

// The product rule.
#include "fusion.h"

#include "error.h"

namespace csp {

namespace {

double total(const float *values, std::size_t n) {
    double sum = 0;
    for (std::size_t i = 0; i < n; ++i)
        sum += values[i];
    return sum;
}

// In float64, where no product of two floats is lost to underflow.
double total_of_products(const float *a, const float *b, std::size_t n) {
    double sum = 0;
    for (std::size_t i = 0; i < n; ++i)
        sum += static_cast<double>(a[i]) * b[i];
    return sum;
}

}  // namespace

void fuse(const float *image, const float *place, std::size_t n, float *out) {
    if (const double sum = total_of_products(image, place, n); sum > 0) {
        for (std::size_t i = 0; i < n; ++i)
            out[i] = static_cast<float>(static_cast<double>(image[i]) * place[i] / sum);
        return;
    }
    const double sum = total(image, n);
    if (!(sum > 0))
        throw Error(ErrorKind::invalid_data, "image probabilities are all zero", {},
                    "Give the output of a classifier: at least one class must be possible.");
    for (std::size_t i = 0; i < n; ++i)
        out[i] = static_cast<float>(image[i] / sum);
}

}  // namespace csp

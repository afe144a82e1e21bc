// The product rule.
#include "fusion.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

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

constexpr double impossible = -std::numeric_limits<double>::infinity();

// ln of what is pooled for each class, where powers of what is next to 0 are not lost.
std::vector<double> logarithms(const float *image, const float *place, const Pooling &pooling, std::size_t n) {
    std::vector<double> values(n, impossible);
    for (std::size_t i = 0; i < n; ++i) {
        if (!(image[i] > 0) || !(place[i] > 0 || pooling.strength == 0))
            continue;
        values[i] = std::log(static_cast<double>(image[i]));
        if (pooling.strength > 0)
            values[i] += pooling.strength * std::log(static_cast<double>(place[i]));
        values[i] /= pooling.temperature;
    }
    return values;
}

}  // namespace

void fuse(const float *image, const float *place, std::size_t n, float *out) {
    if (const double sum = total_of_products(image, place, n); sum > 0) {
        for (std::size_t i = 0; i < n; ++i)
            out[i] = static_cast<float>(static_cast<double>(image[i]) * place[i] / sum);
        return;
    }
    image_alone(image, n, out);
}

void fuse(const float *image, const float *place, const Pooling &pooling, std::size_t n, float *out) {
    if (pooling.strength == 1 && pooling.temperature == 1)
        return fuse(image, place, n, out);
    if (pooling.strength == 0 && pooling.temperature == 1)
        return image_alone(image, n, out);
    std::vector<double> values = logarithms(image, place, pooling, n);
    const double largest = n > 0 ? *std::max_element(values.begin(), values.end()) : impossible;
    if (largest == impossible)
        return image_alone(image, n, out);
    double sum = 0;
    for (double &value : values)
        sum += value = std::exp(value - largest);
    for (std::size_t i = 0; i < n; ++i)
        out[i] = static_cast<float>(values[i] / sum);
}

void place_alone(const float *place, std::size_t n, float *out) {
    const double sum = total(place, n);
    for (std::size_t i = 0; i < n; ++i)
        out[i] = static_cast<float>(sum > 0 ? place[i] / sum : 1.0 / static_cast<double>(n));
}

void image_alone(const float *image, std::size_t n, float *out) {
    const double sum = total(image, n);
    if (!(sum > 0))
        throw Error(ErrorKind::invalid_data, "image probabilities are all zero", {},
                    "Give the output of a classifier: at least one class must be possible.");
    for (std::size_t i = 0; i < n; ++i)
        out[i] = static_cast<float>(image[i] / sum);
}

void fuse_known(const float *image, const float *place, const Pooling &pooling, std::size_t n, float *out) {
    if (image == nullptr)
        return place_alone(place, n, out);
    if (place == nullptr)
        return image_alone(image, n, out);
    fuse(image, place, pooling, n, out);
}

}  // namespace csp

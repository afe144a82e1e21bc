// Log-loss of pooled probabilities and its derivatives.
#include "pooling_search.h"

#include <ATen/ATen.h>

namespace csp {
namespace {

// The model file has exponents as a temperature, 1 / that of the image, and a strength, that of the place times the temperature.
constexpr Pair least = {0.01, 0}, most = {10, 10};
constexpr Pair image_alone = {1, 0}, place_alone = {least[0], 1};
constexpr double tolerance = 1e-4;

double mean_of(const at::Tensor &values) { return values.to(at::kDouble).mean().item<double>(); }

double squared(double x) { return x * x; }

}  // namespace

at::Tensor normalized(const at::Tensor &logarithms) { return logarithms - logarithms.logsumexp(1, true); }

at::Tensor pooled(const at::Tensor &log_image, const at::Tensor &log_place, Pair exponents) {
    return normalized(exponents[0] * log_image + exponents[1] * log_place);
}

double log_loss(const at::Tensor &log_probabilities, const at::Tensor &classes) {
    return -mean_of(log_probabilities.gather(1, classes.unsqueeze(1)));
}

PoolingSearch::PoolingSearch(const at::Tensor &log_image, const at::Tensor &log_place, const at::Tensor &classes)
    : log_image_(log_image), log_place_(log_place), classes_(classes), image_loss_(log_loss(log_image, classes)),
      place_loss_(log_loss(log_place, classes)), preferred_(image_loss_ < place_loss_ ? image_alone : place_alone),
      search_(preferred_, least, most, tolerance) {}

// The derivatives of a log-loss are expectations of what the exponents multiply, less what came; its second derivatives are
// covariances.
Curvature PoolingSearch::curvature_at(Pair exponents) const {
    const at::Tensor logarithms = pooled(log_image_, log_place_, exponents), probabilities = logarithms.exp();
    const auto expected = [&](const at::Tensor &values) { return (probabilities * values).sum(1, true); };
    const at::Tensor image = expected(log_image_), place = expected(log_place_);
    const at::Tensor from_image = log_image_ - image, from_place = log_place_ - place;
    const double n = static_cast<double>(classes_.size(0));
    const Pair off = {exponents[0] - preferred_[0], exponents[1] - preferred_[1]};
    return {log_loss(logarithms, classes_) + (squared(off[0]) + squared(off[1])) / (2 * n),
            {mean_of(image) + image_loss_ + off[0] / n, mean_of(place) + place_loss_ + off[1] / n},
            mean_of(expected(from_image.square())) + 1 / n,
            mean_of(expected(from_image * from_place)),
            mean_of(expected(from_place.square())) + 1 / n};
}

}  // namespace csp

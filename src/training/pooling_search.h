// The exponents with which the probabilities of an image and of a place are multiplied (log-linear pooling; Genest and
// Zidek, 1986), fitted to rows whose classes are known: the log-loss is convex in both.
#pragma once

#include <ATen/core/Tensor.h>

#include "newton_search.h"

namespace csp {

// Logarithms of probabilities, (n, C), made to add up to 1.
at::Tensor normalized(const at::Tensor &logarithms);

// ln P(y | I, x) of rows, (n, C), with the exponents of image and place.
at::Tensor pooled(const at::Tensor &log_image, const at::Tensor &log_place, Pair exponents);

// classes (n), int64.
double log_loss(const at::Tensor &log_probabilities, const at::Tensor &classes);

// A weak preference (of a normal distribution of standard deviation 1) for whichever alone is better keeps a few rows that
// are all right from making a model certain, and never makes the product worse than that one.
class PoolingSearch {
public:
    PoolingSearch(const at::Tensor &log_image, const at::Tensor &log_place, const at::Tensor &classes);

    bool done() const { return search_.done(); }
    void step() { search_.give(curvature_at(search_.point())); }
    Pair exponents() const { return search_.best(); }

private:
    Curvature curvature_at(Pair exponents) const;

    at::Tensor log_image_, log_place_, classes_;
    double image_loss_, place_loss_;
    Pair preferred_;
    NewtonSearch search_;
};

}  // namespace csp

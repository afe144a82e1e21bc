// What one row's probabilities come to.
#pragma once

#include <cstddef>

namespace csp {

struct Outcome {
    std::size_t rank;    // of the true class, from 1; 0: the model does not know it
    double probability;  // of the true class, as a share of the sum of all
    double confidence;   // that of the most probable class
};

// values: one number of at least 0 a class, n >= 1; truth: the true class, negative for one that the model does not know.
// Equal values rank in the order of the classes, as csp_classify gives them.
Outcome judge(const float *values, std::size_t n, int truth);

}  // namespace csp

// The directions in which a set of vectors spreads most: the picture by which location encoders are judged shows places in the
// colours of the first three.
#pragma once

#include <cstddef>
#include <vector>

namespace csp {

struct PrincipalComponents {
    std::size_t dim = 0;
    std::vector<float> mean;                // (dim)
    std::vector<std::vector<float>> axes;   // unit vectors (dim), by falling variance; fewer where the vectors span less
    std::vector<double> deviations;         // standard deviation along each
};

// Of n rows of `dim`, dense; up to `count` components. The same input gives the same output: the iteration starts from rows that
// the input decides, and of an axis's two signs the one is taken that makes its largest element positive.
PrincipalComponents principal_components(const float *rows, std::size_t n, std::size_t dim, std::size_t count);

}  // namespace csp

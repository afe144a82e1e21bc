// Lists of frequencies that position encodings multiply coordinates by.
#include "frequencies.h"

#include <cmath>

namespace csp {

std::vector<double> geometric_frequencies(int count, double min_radius, double max_radius) {
    // Computed in the order of the published code: angles are large, so another rounding here
    // would show in the features.
    const double increment = std::log(max_radius / min_radius) / (count - 1);
    std::vector<double> frequencies;
    for (int k = 0; k < count; ++k)
        frequencies.push_back(1.0 / (min_radius * std::exp(k * increment)));
    return frequencies;
}

}  // namespace csp

// Lists of frequencies that position encodings multiply coordinates by.
#include "frequencies.h"

#include <cmath>

#include "tensor_access.h"

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

std::vector<double> legacy_frequencies(int count, double max_radius) {
    std::vector<double> frequencies;
    for (int k = 0; k < count; ++k)
        frequencies.push_back(1.0 / std::pow(max_radius, k * 1.0 / (count - 1)));
    return frequencies;
}

std::vector<double> nerf_frequencies(int count) {
    std::vector<double> frequencies;
    for (int k = 0; k < count; ++k)
        frequencies.push_back(std::ldexp(3.14159265358979323846, k));
    return frequencies;
}

std::vector<double> configured_frequencies(const ModelConfig &config, const TensorMap &tensors) {
    switch (config.frequency_list) {
        case FrequencyList::geometric:
            return geometric_frequencies(config.frequencies, config.min_radius, config.max_radius);
        case FrequencyList::nerf: return nerf_frequencies(config.frequencies);
        case FrequencyList::random: break;
    }
    const Tensor &drawn = require_tensor(tensors, frequencies_tensor, {config.frequencies});
    return std::vector<double>(drawn.values.begin(), drawn.values.end());
}

}  // namespace csp

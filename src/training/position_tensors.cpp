// What a position encoding draws once and keeps.
#include "position_tensors.h"

#include <cmath>

#include "../encoder/error.h"
#include "../encoder/frequencies.h"
#include "../encoder/kernel_features.h"
#include "random.h"

namespace csp {
namespace {

constexpr double two_pi = 6.283185307179586477;

// Two independent normal numbers (Box and Muller).
void add_normal_pair(RandomStream &random, double deviation, std::vector<float> &values) {
    const double radius = deviation * std::sqrt(-2 * std::log(1 - random.uniform()));
    const double angle = two_pi * random.uniform();
    values.push_back(static_cast<float>(radius * std::cos(angle)));
    values.push_back(static_cast<float>(radius * std::sin(angle)));
}

Tensor draw_uniform(RandomStream &random, int64_t count, double most) {
    Tensor tensor{{count}, {}};
    for (int64_t i = 0; i < count; ++i) tensor.values.push_back(static_cast<float>(most * random.uniform()));
    return tensor;
}

Tensor draw_directions(RandomStream &random, int64_t count, double variance) {
    Tensor tensor{{2, count}, {}};
    for (int64_t i = 0; i < count; ++i) add_normal_pair(random, std::sqrt(variance), tensor.values);
    return tensor;
}

Tensor draw_anchors(RandomStream &random, const TrainingData &data, int64_t count) {
    std::vector<int64_t> rows;
    for (std::size_t i = 0; i < data.rows; ++i) {
        if (!data.validation || !data.validation[i]) rows.push_back(static_cast<int64_t>(i));
    }
    if (static_cast<int64_t>(rows.size()) < count) {
        throw Error(ErrorKind::invalid_data, "too few rows for the anchors of position encoding rbf",
                    "There are " + std::to_string(rows.size()) + " rows to train on and " + std::to_string(count) +
                        " anchors.",
                    "Lower the option anchors, or give more rows.");
    }
    Tensor tensor{{count, 2}, {}};
    const std::vector<int64_t> order = random.permutation(static_cast<int64_t>(rows.size()));
    for (int64_t i = 0; i < count; ++i) {
        const double *place = data.lonlat + 2 * rows[static_cast<std::size_t>(order[static_cast<std::size_t>(i)])];
        tensor.values.push_back(static_cast<float>(place[0]));
        tensor.values.push_back(static_cast<float>(place[1]));
    }
    return tensor;
}

// Of a model that a run goes on from.
TensorMap keep(const TensorMap &initial) {
    TensorMap tensors;
    for (const char *name : {rbf_anchors_tensor, rff_directions_tensor, rff_shifts_tensor, frequencies_tensor})
        if (const auto found = initial.find(name); found != initial.end()) tensors.insert(*found);
    return tensors;
}

}  // namespace

TensorMap draw_position_tensors(const ModelConfig &config, const TrainingData &data, int64_t seed) {
    if (data.initial) return keep(*data.initial);
    RandomStream random(seed, RandomPurpose::position);
    TensorMap tensors;
    if (config.position_encoding == "rbf") tensors[rbf_anchors_tensor] = draw_anchors(random, data, config.anchors);
    if (config.position_encoding == "rff") {
        tensors[rff_directions_tensor] = draw_directions(random, config.frequencies, config.kernel_size);
        tensors[rff_shifts_tensor] = draw_uniform(random, config.frequencies, two_pi);
    }
    if (config.frequency_list == FrequencyList::random)
        tensors[frequencies_tensor] = draw_uniform(random, config.frequencies, config.max_radius);
    return tensors;
}

}  // namespace csp

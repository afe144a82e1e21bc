// Lists of frequencies that position encodings multiply coordinates by.
#pragma once

#include <vector>

#include "config.h"
#include "tensors.h"

namespace csp {

// Where a model file keeps frequencies that were drawn at random.
constexpr const char *frequencies_tensor = "spa_enc.position_encoder.frequencies";

// The geometric list w_k = 1 / (min_radius * (max_radius / min_radius)^(k / (count - 1))),
// k = 0 the finest scale (Mai et al. 2020). There is no 2 pi in it: the period at scale k is
// 2 pi / w_k. count >= 2.
std::vector<double> geometric_frequencies(int count, double min_radius, double max_radius);

// w_k = max_radius^(-k / (count - 1)): what the published hexagridcell, sphereM+ and dfs use in place of it. It takes no
// notice of min_radius, and all of it is 1 for the usual max_radius of 1.
std::vector<double> legacy_frequencies(int count, double max_radius);

// pi 2^k (Mildenhall et al., NeRF, 2020).
std::vector<double> nerf_frequencies(int count);

// The list that config.frequency_list names; random ones come from the tensors.
std::vector<double> configured_frequencies(const ModelConfig &config, const TensorMap &tensors);

}  // namespace csp

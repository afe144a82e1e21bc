// What a position encoding draws once and keeps: anchors, random directions and frequencies.
#pragma once

#include "../encoder/config.h"
#include "../encoder/tensors.h"
#include "trainer.h"

namespace csp {

// The tensors that make_position_encoding asks for, by seed: rbf takes the places of distinct training rows for anchors,
// rff draws directions from N(0, kernel_size I) and shifts from U(0, 2 pi), random frequencies are U(0, max_radius).
// With data.initial nothing is drawn: its own are kept. Empty for the other encodings. Throws Error(invalid_data) for fewer
// training rows than anchors.
TensorMap draw_position_tensors(const ModelConfig &config, const TrainingData &data, int64_t seed);

}  // namespace csp

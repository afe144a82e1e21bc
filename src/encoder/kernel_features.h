// Names of the tensors that rbf and rff keep in a model file.
#pragma once

namespace csp {

constexpr const char *rbf_anchors_tensor = "spa_enc.position_encoder.anchors";    // (anchors, 2), degrees
constexpr const char *rff_directions_tensor = "spa_enc.position_encoder.dirvec";  // (2, F), as published
constexpr const char *rff_shifts_tensor = "spa_enc.position_encoder.shift";       // (F)

}  // namespace csp

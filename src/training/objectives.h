// The objectives of both stages as pure functions of tensors (Mai et al., CSP, ICML 2023).
//
// B rows, D embedding dimensions, C classes, N random locations a row. All return a scalar
// tensor on the device and of the dtype of their arguments.
#pragma once

#include <ATen/core/Tensor.h>

namespace csp {

// Rows scaled to length 1; a zero row stays zero.
at::Tensor normalize_rows(const at::Tensor &rows);

// Term B: each location picks its own image among the images of the batch. u (B, D)
// normalized location embeddings, v (B, D) normalized image embeddings.
at::Tensor in_batch_loss(const at::Tensor &u, const at::Tensor &v, double temperature);

// Term L: each image prefers its own location to N random ones. random (N * B, D),
// normalized; draw n of row i is row n * B + i.
at::Tensor negative_location_loss(const at::Tensor &u, const at::Tensor &v, const at::Tensor &random,
                                  double temperature);

// Term D: each location picks its own second embedding, made with another dropout mask.
at::Tensor dropout_loss(const at::Tensor &u, const at::Tensor &twins, double temperature);

// Supervised loss of the published models: with ell(q) = -ln(q + 1e-5) and P = sigmoid(scores),
// the mean over B * C of positive_weight * ell(P) at the true class and ell(1 - P) elsewhere,
// plus weight_background times the mean of ell(1 - P) at random locations. scores and
// background (B, C), classes (B) int64. background may be undefined if its weight is 0.
at::Tensor full_loss(const at::Tensor &scores, const at::Tensor &classes, const at::Tensor &background,
                     double positive_weight, double weight_background);

// Softmax cross-entropy of scores (B, C) with classes (B) int64; label_smoothing is the share
// of the target that is spread evenly over all classes.
at::Tensor cross_entropy_loss(const at::Tensor &scores, const at::Tensor &classes, double label_smoothing);

}  // namespace csp

// The objectives of both stages as pure functions of tensors (Mai et al., CSP, ICML 2023).
//
// B rows, D embedding dimensions, C classes, N random locations a row. All return a scalar
// tensor on the device and of the dtype of their arguments. ell(q) = -ln(q + 1e-5). precision is
// that of matrix products. Where rows are a part of the batch, so is the mean: weighted by their number, the losses of
// all parts add up to that of the batch.
#pragma once

#include <ATen/core/Tensor.h>

#include "scores.h"

namespace csp {

// Rows scaled to length 1; a zero row stays zero.
at::Tensor normalize_rows(const at::Tensor &rows);

// Term B: each location picks its own image among the images of the batch. u (n, D) normalized location embeddings,
// v (B, D) normalized image embeddings. Row i of u belongs to row first + i of v: the n rows may be a part of the batch.
// mc_symmetric adds the same with places and images exchanged.
at::Tensor in_batch_loss(const at::Tensor &u, const at::Tensor &v, double temperature,
                         Precision precision = Precision::float32, int64_t first = 0);

// Term L: each image prefers its own location to N random ones. random (N * B, D),
// normalized; draw n of row i is row n * B + i.
at::Tensor negative_location_loss(const at::Tensor &u, const at::Tensor &v, const at::Tensor &random,
                                  double temperature);

// Term D: each location picks its own second embedding, made with another dropout mask: in_batch_loss with the twins
// for v.

// Noise-contrastive estimation, with no temperature. S = sigmoid of the cosine of two rows.
// Term B, and term D with dropout twins for v: the mean over rows of ell(S) of the own
// candidate plus the mean of ell(1 - S) of the others; a row without others has only the first. Rows as above.
at::Tensor nce_in_batch_loss(const at::Tensor &u, const at::Tensor &v, Precision precision = Precision::float32,
                             int64_t first = 0);

// Term L of NCE: the mean of ell(1 - S) of each image and its random locations, which are
// laid out as for negative_location_loss.
at::Tensor nce_negative_location_loss(const at::Tensor &v, const at::Tensor &random);

// The mean of ell(S) of each location and its own image: what NCE is watched by.
at::Tensor nce_positive_loss(const at::Tensor &u, const at::Tensor &v);

// L2 regression: the mean over B * Dimg of the squared error of decoded (B, Dimg), the images
// that a decoder makes of the location embeddings.
at::Tensor l2_regression_loss(const at::Tensor &decoded, const at::Tensor &images);

// Supervised loss of the published models: with P = sigmoid(scores), the mean over B * C of
// positive_weight * ell(P) at the true class and ell(1 - P) elsewhere; classes (B) int64.
at::Tensor full_loss(const Scores &places, const at::Tensor &classes, double positive_weight);

// The mean over B * C of ell(1 - P) at random places: what the published loss adds, weighted.
at::Tensor background_loss(const Scores &background);

// What full_loss_user adds to full_loss, where observers are rows w_o (B, D) of the user head:
// the mean of ell(sigmoid(w_o . e)) at places, of ell(1 - .) at random places, and the first
// part of full_loss for the scores w_o . W_c (B, C) of a class head W. present (B) is 1 for
// rows that have an observer and 0 for the others, which count in none of the means.
struct ObserverScores {
    at::Tensor places, background;  // w_o . e, (B)
    at::Tensor classes;             // w_o . W_c, (B, C)
    at::Tensor present;             // (B)
};
at::Tensor observer_loss(const ObserverScores &scores, const at::Tensor &classes, double positive_weight);

// Softmax cross-entropy of scores (B, C) with classes (B) int64; label_smoothing is the share
// of the target that is spread evenly over all classes.
at::Tensor cross_entropy_loss(const Scores &places, const at::Tensor &classes, double label_smoothing);

}  // namespace csp

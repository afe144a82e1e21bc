// Scores of rows against candidates, and losses of them, without ever holding all scores at once.
//
// A batch of 8,192 has 67 million pairs of place and image; three or four matrices of that size (scores, their softmax,
// gradients) are what a step of the published code waits for. Here a block of rows is scored, turned into its loss and
// its derivative while it is in the cache, and multiplied into the gradients at once: nothing is left for the backward
// pass but to scale them.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>

#include "options.h"

namespace csp {

// rows (n, D) against candidates (C, D): scores (n, C) = rows candidates^T + bias.
struct Scores {
    at::Tensor rows, candidates;
    at::Tensor bias;  // (C); may be undefined
    Precision precision = Precision::float32;

    at::Tensor matrix() const;  // all of them, as torch differentiates them
};

// The sum of a loss over a block of scores (m, C), those of row `begin` and the m - 1 after it; with `derive` the scores
// become its derivative by them.
using BlockLoss = std::function<at::Tensor(at::Tensor &scores, int64_t begin, bool derive)>;

// The sum over all rows: a scalar that torch differentiates by rows, candidates and bias.
at::Tensor sum_loss(const Scores &scores, const BlockLoss &loss);

// Softmax cross-entropy with the columns `targets` (n) int64; label_smoothing is the share of the target that is spread
// evenly over all columns.
BlockLoss pick_columns(const at::Tensor &targets, double label_smoothing = 0);

// Of independent yes-or-no questions, with P = sigmoid(score) and ell(q) = -ln(q + 1e-5): weight_absent * ell(1 - P) in
// every column but that of `targets`, which has weight_present * ell(P). Targets may be undefined: then every column is
// absent.
BlockLoss tell_present(const at::Tensor &targets, double weight_present, double weight_absent);

// ell(q) = -ln(q + 1e-5): bounded, so that one hopeless row does not rule the mean.
at::Tensor ell(const at::Tensor &probability);

}  // namespace csp

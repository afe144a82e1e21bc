// The objectives of both stages.
#include "objectives.h"

#include <ATen/ATen.h>

#include "matrix_product.h"

namespace csp {
namespace {

// Cross-entropy of the rows of a square matrix of scores, the target of row i being column i.
at::Tensor pick_diagonal(const at::Tensor &scores) {
    return at::cross_entropy_loss(scores, at::arange(scores.size(0), scores.options().dtype(at::kLong)));
}

// Each anchor picks the candidate of its own row. The anchors are divided by the temperature
// rather than the cosines, which are B / D times as many.
at::Tensor pick_own_row(const at::Tensor &anchors, const at::Tensor &candidates, double temperature,
                        Precision precision) {
    return pick_diagonal(matrix_product(anchors / temperature, candidates.t(), precision));
}

// ell(q) = -ln(q + 1e-5): bounded, so that one hopeless row does not rule the mean.
at::Tensor ell(const at::Tensor &probability) { return -(probability + 1e-5).log(); }

// Each row's sum over C of positive_weight * ell(P) at the true class and ell(1 - P) elsewhere.
at::Tensor presence_sums(const at::Tensor &scores, const at::Tensor &classes, double positive_weight) {
    const at::Tensor absent = ell(at::sigmoid(-scores));
    const at::Tensor true_class = classes.unsqueeze(1);
    const at::Tensor present = ell(at::sigmoid(scores.gather(1, true_class)));
    return absent.sum(1) + (positive_weight * present - absent.gather(1, true_class)).squeeze(1);
}

}  // namespace

at::Tensor normalize_rows(const at::Tensor &rows) {
    // The summand stands for a length of 1e-6: it keeps the gradient of a zero row finite.
    return rows * ((rows * rows).sum(1, /*keepdim=*/true) + 1e-12).rsqrt();
}

at::Tensor in_batch_loss(const at::Tensor &u, const at::Tensor &v, double temperature, Precision precision) {
    return pick_own_row(u, v, temperature, precision);
}

at::Tensor symmetric_in_batch_loss(const at::Tensor &u, const at::Tensor &v, double temperature, Precision precision) {
    const at::Tensor cosines = matrix_product(u / temperature, v.t(), precision);
    return pick_diagonal(cosines) + pick_diagonal(cosines.t());
}

at::Tensor dropout_loss(const at::Tensor &u, const at::Tensor &twins, double temperature, Precision precision) {
    return pick_own_row(u, twins, temperature, precision);
}

at::Tensor negative_location_loss(const at::Tensor &u, const at::Tensor &v, const at::Tensor &random,
                                  double temperature) {
    const int64_t rows = u.size(0);
    const at::Tensor own = (u * v).sum(1, /*keepdim=*/true);
    const at::Tensor others = (random.view({-1, rows, u.size(1)}) * v).sum(2).t();
    const at::Tensor cosines = at::cat({own, others}, 1) / temperature;
    return -at::log_softmax(cosines, 1).select(1, 0).mean();
}

at::Tensor nce_in_batch_loss(const at::Tensor &u, const at::Tensor &v, Precision precision) {
    const int64_t rows = u.size(0);
    const at::Tensor own = nce_positive_loss(u, v);
    if (rows == 1) return own;
    const at::Tensor others = ell(at::sigmoid(-matrix_product(u, v.t(), precision)));
    return own + (others.sum() - others.diagonal().sum()) / static_cast<double>(rows * (rows - 1));
}

at::Tensor nce_negative_location_loss(const at::Tensor &v, const at::Tensor &random) {
    return ell(at::sigmoid(-(random.view({-1, v.size(0), v.size(1)}) * v).sum(2))).mean();
}

at::Tensor nce_positive_loss(const at::Tensor &u, const at::Tensor &v) {
    return ell(at::sigmoid((u * v).sum(1))).mean();
}

at::Tensor l2_regression_loss(const at::Tensor &decoded, const at::Tensor &images) {
    return (decoded - images).square().mean();
}

at::Tensor full_loss(const at::Tensor &scores, const at::Tensor &classes, const at::Tensor &background,
                     double positive_weight, double weight_background) {
    const auto columns = static_cast<double>(scores.size(1));
    const at::Tensor loss = presence_sums(scores, classes, positive_weight).mean() / columns;
    if (weight_background == 0) return loss;
    return loss + weight_background * ell(at::sigmoid(-background)).mean();
}

at::Tensor observer_loss(const ObserverScores &scores, const at::Tensor &classes, double positive_weight) {
    const auto columns = static_cast<double>(scores.classes.size(1));
    const at::Tensor rows = ell(at::sigmoid(scores.places)) + ell(at::sigmoid(-scores.background)) +
                            presence_sums(scores.classes, classes, positive_weight) / columns;
    return (rows * scores.present).sum() / scores.present.sum().clamp_min(1);
}

at::Tensor cross_entropy_loss(const at::Tensor &scores, const at::Tensor &classes, double label_smoothing) {
    const at::Tensor log_probabilities = at::log_softmax(scores, 1);
    const at::Tensor loss = at::nll_loss(log_probabilities, classes);
    return label_smoothing == 0 ? loss : (1 - label_smoothing) * loss - label_smoothing * log_probabilities.mean();
}

}  // namespace csp

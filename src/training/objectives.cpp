// The objectives of both stages.
#include "objectives.h"

#include <ATen/ATen.h>

namespace csp {
namespace {

// Each anchor picks the candidate of its own row. The anchors are divided by the temperature
// rather than the cosines, which are B / D times as many.
at::Tensor pick_own_row(const at::Tensor &anchors, const at::Tensor &candidates, double temperature) {
    const at::Tensor cosines = at::matmul(anchors / temperature, candidates.t());
    return at::cross_entropy_loss(cosines, at::arange(anchors.size(0), anchors.options().dtype(at::kLong)));
}

// ell(q) = -ln(q + 1e-5): bounded, so that one hopeless row does not rule the mean.
at::Tensor ell(const at::Tensor &probability) { return -(probability + 1e-5).log(); }

}  // namespace

at::Tensor normalize_rows(const at::Tensor &rows) {
    // The summand stands for a length of 1e-6: it keeps the gradient of a zero row finite.
    return rows * ((rows * rows).sum(1, /*keepdim=*/true) + 1e-12).rsqrt();
}

at::Tensor in_batch_loss(const at::Tensor &u, const at::Tensor &v, double temperature) {
    return pick_own_row(u, v, temperature);
}

at::Tensor dropout_loss(const at::Tensor &u, const at::Tensor &twins, double temperature) {
    return pick_own_row(u, twins, temperature);
}

at::Tensor negative_location_loss(const at::Tensor &u, const at::Tensor &v, const at::Tensor &random,
                                  double temperature) {
    const int64_t rows = u.size(0);
    const at::Tensor own = (u * v).sum(1, /*keepdim=*/true);
    const at::Tensor others = (random.view({-1, rows, u.size(1)}) * v).sum(2).t();
    const at::Tensor cosines = at::cat({own, others}, 1) / temperature;
    return -at::log_softmax(cosines, 1).select(1, 0).mean();
}

at::Tensor full_loss(const at::Tensor &scores, const at::Tensor &classes, const at::Tensor &background,
                     double positive_weight, double weight_background) {
    const at::Tensor absent = ell(at::sigmoid(-scores));
    const at::Tensor true_class = classes.unsqueeze(1);
    const at::Tensor present = ell(at::sigmoid(scores.gather(1, true_class)));
    const at::Tensor sum = absent.sum() - absent.gather(1, true_class).sum() + positive_weight * present.sum();
    const at::Tensor loss = sum / static_cast<double>(scores.numel());
    if (weight_background == 0) return loss;
    return loss + weight_background * ell(at::sigmoid(-background)).mean();
}

at::Tensor cross_entropy_loss(const at::Tensor &scores, const at::Tensor &classes, double label_smoothing) {
    const at::Tensor log_probabilities = at::log_softmax(scores, 1);
    const at::Tensor loss = at::nll_loss(log_probabilities, classes);
    return label_smoothing == 0 ? loss : (1 - label_smoothing) * loss - label_smoothing * log_probabilities.mean();
}

}  // namespace csp

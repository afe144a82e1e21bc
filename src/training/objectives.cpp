// The objectives of both stages.
#include "objectives.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

namespace csp {
namespace {

// The column of each row's own candidate.
at::Tensor own_columns(const at::Tensor &rows, int64_t first) {
    return at::arange(first, first + rows.size(0), rows.options().dtype(at::kLong));
}

at::Tensor mean_loss(const Scores &scores, const BlockLoss &loss) {
    return sum_loss(scores, loss) / static_cast<double>(scores.rows.size(0));
}

// Each row's sum over C of positive_weight * ell(P) at the true class and ell(1 - P) elsewhere.
at::Tensor presence_sums(const at::Tensor &scores, const at::Tensor &classes, double positive_weight) {
    const at::Tensor absent = ell(at::sigmoid(-scores));
    const at::Tensor true_class = classes.unsqueeze(1);
    const at::Tensor present = ell(at::sigmoid(scores.gather(1, true_class)));
    return absent.sum(1) + (positive_weight * present - absent.gather(1, true_class)).squeeze(1);
}

// By hand, since torch's own way back over a sum, a root and a product goes through memory three times as often.
class NormalizeRows : public torch::autograd::Function<NormalizeRows> {
public:
    static at::Tensor forward(torch::autograd::AutogradContext *context, const at::Tensor &rows) {
        // The summand stands for a length of 1e-6: it keeps the gradient of a zero row finite.
        const at::Tensor inverse = (rows * rows).sum(1, /*keepdim=*/true).add_(1e-12).rsqrt_();
        const at::Tensor normalized = rows * inverse;
        context->save_for_backward({normalized, inverse});
        return normalized;
    }

    static torch::autograd::variable_list backward(torch::autograd::AutogradContext *context,
                                                   torch::autograd::variable_list gradients) {
        const torch::autograd::variable_list saved = context->get_saved_variables();
        const at::Tensor &normalized = saved[0], &inverse = saved[1];
        const at::Tensor along = (normalized * gradients[0]).sum(1, /*keepdim=*/true);
        return {at::addcmul(gradients[0], normalized, along, -1).mul_(inverse)};
    }
};

}  // namespace

at::Tensor normalize_rows(const at::Tensor &rows) { return NormalizeRows::apply(rows); }

at::Tensor in_batch_loss(const at::Tensor &u, const at::Tensor &v, double temperature, Precision precision,
                         int64_t first) {
    // Not the cosines are divided by the temperature, which are B / D times as many.
    return mean_loss({u / temperature, v, {}, precision}, pick_columns(own_columns(u, first)));
}

at::Tensor negative_location_loss(const at::Tensor &u, const at::Tensor &v, const at::Tensor &random,
                                  double temperature) {
    const int64_t rows = u.size(0);
    const at::Tensor own = (u * v).sum(1, /*keepdim=*/true);
    const at::Tensor others = (random.view({-1, rows, u.size(1)}) * v).sum(2).t();
    const at::Tensor cosines = at::cat({own, others}, 1) / temperature;
    return -at::log_softmax(cosines, 1).select(1, 0).mean();
}

at::Tensor nce_in_batch_loss(const at::Tensor &u, const at::Tensor &v, Precision precision, int64_t first) {
    const int64_t others = v.size(0) - 1;
    const double weight = others > 0 ? 1 / static_cast<double>(others) : 0;
    return mean_loss({u, v, {}, precision}, tell_present(own_columns(u, first), 1, weight));
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

at::Tensor full_loss(const Scores &places, const at::Tensor &classes, double positive_weight) {
    return mean_loss(places, tell_present(classes, positive_weight, 1)) / static_cast<double>(places.candidates.size(0));
}

at::Tensor background_loss(const Scores &background) {
    return mean_loss(background, tell_present({}, 0, 1)) / static_cast<double>(background.candidates.size(0));
}

at::Tensor observer_loss(const ObserverScores &scores, const at::Tensor &classes, double positive_weight) {
    const auto columns = static_cast<double>(scores.classes.size(1));
    const at::Tensor rows = ell(at::sigmoid(scores.places)) + ell(at::sigmoid(-scores.background)) +
                            presence_sums(scores.classes, classes, positive_weight) / columns;
    return (rows * scores.present).sum() / scores.present.sum().clamp_min(1);
}

at::Tensor cross_entropy_loss(const Scores &places, const at::Tensor &classes, double label_smoothing) {
    return mean_loss(places, pick_columns(classes, label_smoothing));
}

}  // namespace csp

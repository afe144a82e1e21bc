// Losses of scores, block by block, with their gradients on the way forward.
#include "scores.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "linear_layer.h"
#include "score_kernels.h"

namespace csp {
namespace {

// Rows of a block: on a processor as many as leave it in the cache, elsewhere as many as memory is spent on willingly.
int64_t rows_of_block(const at::Tensor &rows, int64_t columns) {
    const int64_t scores = rows.device().is_cpu() ? int64_t{1} << 21 : int64_t{1} << 26;
    return std::clamp<int64_t>(scores / std::max<int64_t>(columns, 1), 64, std::max<int64_t>(rows.size(0), 64));
}

struct Sums {
    at::Tensor loss, rows, candidates, bias;  // the loss and, if derived, its gradients
};

Sums sum_blocks(const Scores &scores, const BlockLoss &loss, bool derive, bool derive_by_rows = true) {
    const bool rounded = scores.precision == Precision::bfloat16;
    const auto operand = [&](const at::Tensor &x) { return rounded ? x.to(at::kBFloat16) : x.contiguous(); };
    const at::Tensor rows = operand(scores.rows), candidates = operand(scores.candidates);
    const at::Tensor bias = scores.bias.defined() ? operand(scores.bias) : at::Tensor();
    const int64_t count = rows.size(0), step = rows_of_block(rows, candidates.size(0));

    Sums sums;
    sums.loss = at::zeros({}, scores.rows.options());
    if (derive) {
        if (derive_by_rows) sums.rows = at::empty_like(scores.rows);
        sums.candidates = at::zeros_like(scores.candidates);
        if (bias.defined()) sums.bias = at::zeros_like(scores.bias);
    }
    for (int64_t begin = 0; begin < count; begin += step) {
        const int64_t size = std::min(step, count - begin);
        const at::Tensor block = rows.narrow(0, begin, size);
        at::Tensor values = at::mm(block, candidates.t());
        if (bias.defined()) values.add_(bias);
        sums.loss += loss(values, begin, derive);
        if (!derive) continue;
        if (derive_by_rows) {
            at::Tensor row_gradients = sums.rows.narrow(0, begin, size);
            if (rounded)
                row_gradients.copy_(at::mm(values, candidates));
            else
                at::mm_out(row_gradients, values, candidates);
        }
        if (rounded)
            sums.candidates.add_(at::mm(values.t(), block));
        else
            sums.candidates.addmm_(values.t(), block);
        if (bias.defined()) sums.bias.add_(values.sum(0));
    }
    return sums;
}

class SumLoss : public torch::autograd::Function<SumLoss> {
public:
    static at::Tensor forward(torch::autograd::AutogradContext *context, const at::Tensor &rows,
                              const at::Tensor &candidates, const at::Tensor &bias, Precision precision,
                              const BlockLoss &loss) {
        const Scores scores{rows, candidates, bias.numel() > 0 ? bias : at::Tensor(), precision};
        Sums sums = sum_blocks(scores, loss, true, rows.requires_grad());
        context->save_for_backward({sums.rows, sums.candidates, sums.bias});
        return sums.loss;
    }

    static torch::autograd::variable_list backward(torch::autograd::AutogradContext *context,
                                                   torch::autograd::variable_list gradients) {
        torch::autograd::variable_list results = context->get_saved_variables();
        for (at::Tensor &result : results)
            if (result.defined()) result = result * gradients[0];
        results.resize(5);
        return results;
    }
};

// The kernels take float32 and bfloat16 in host memory; doubles and other devices go through torch.
bool kernels_take(const at::Tensor &scores) {
    return scores.device().is_cpu() && scores.is_contiguous() &&
           (scores.scalar_type() == at::kFloat || scores.scalar_type() == at::kBFloat16);
}

// row_loss(values, row) for each row of the block.
template <class RowLoss>
at::Tensor for_each_row(at::Tensor &scores, RowLoss &&row_loss) {
    const int64_t rows = scores.size(0), columns = scores.size(1);
    double sum = 0;
    const auto go = [&](auto *values) {
        for (int64_t i = 0; i < rows; ++i) sum += row_loss(values + i * columns, i);
    };
    if (scores.scalar_type() == at::kFloat)
        go(scores.data_ptr<float>());
    else
        go(reinterpret_cast<Bfloat16 *>(scores.data_ptr<at::BFloat16>()));
    return at::scalar_tensor(sum, at::kFloat);
}

at::Tensor pick_columns_of(at::Tensor &scores, const at::Tensor &targets, double smoothing, bool derive) {
    if (kernels_take(scores)) {
        const int64_t *target = targets.data_ptr<int64_t>();
        return for_each_row(scores, [&](auto *row, int64_t i) {
            return pick_column(row, scores.size(1), target[i], smoothing, derive);
        });
    }
    const auto type = scores.scalar_type() == at::kBFloat16 ? at::kFloat : scores.scalar_type();
    at::Tensor logarithms = at::log_softmax(scores.to(type), 1);
    const at::Tensor columns = targets.unsqueeze(1);
    const at::Tensor loss =
        -(1 - smoothing) * logarithms.gather(1, columns).sum() - smoothing * logarithms.mean(1).sum();
    if (!derive) return loss;
    logarithms.exp_().sub_(smoothing / static_cast<double>(scores.size(1)));
    logarithms.scatter_add_(1, columns, at::full_like(columns, -(1 - smoothing), logarithms.options()));
    scores.copy_(logarithms);
    return loss;
}

at::Tensor tell_present_in(at::Tensor &scores, const at::Tensor &targets, double present, double absent, bool derive) {
    if (kernels_take(scores)) {
        const int64_t *target = targets.defined() ? targets.data_ptr<int64_t>() : nullptr;
        return for_each_row(scores, [&](auto *row, int64_t i) {
            return tell_column(row, scores.size(1), target ? target[i] : -1, present, absent, derive);
        });
    }
    const auto type = scores.scalar_type() == at::kBFloat16 ? at::kFloat : scores.scalar_type();
    const at::Tensor exact = scores.to(type);
    const at::Tensor no = at::sigmoid(-exact), yes = at::sigmoid(exact);
    at::Tensor losses = absent * ell(no), derivatives = absent * yes * no / (no + 1e-5);
    if (targets.defined()) {
        const at::Tensor columns = targets.unsqueeze(1);
        losses.scatter_(1, columns, present * ell(yes.gather(1, columns)));
        derivatives.scatter_(1, columns, -present * (yes * no / (yes + 1e-5)).gather(1, columns));
    }
    if (derive) scores.copy_(derivatives);
    return losses.sum();
}

at::Tensor targets_of(const at::Tensor &targets, const at::Tensor &block, int64_t begin) {
    return targets.defined() ? targets.narrow(0, begin, block.size(0)) : targets;
}

}  // namespace

at::Tensor ell(const at::Tensor &probability) { return -(probability + 1e-5).log(); }

at::Tensor Scores::matrix() const { return linear(rows, candidates, bias, precision); }

at::Tensor sum_loss(const Scores &scores, const BlockLoss &loss) {
    const bool derive = c10::GradMode::is_enabled() &&
                        (scores.rows.requires_grad() || scores.candidates.requires_grad());
    if (!derive) return sum_blocks(scores, loss, false).loss;
    // torch's functions take no undefined tensor.
    const at::Tensor bias = scores.bias.defined() ? scores.bias : at::empty({0}, scores.rows.options());
    return SumLoss::apply(scores.rows, scores.candidates, bias, scores.precision, loss);
}

BlockLoss pick_columns(const at::Tensor &targets, double label_smoothing) {
    const at::Tensor columns = targets.contiguous();
    return [=](at::Tensor &scores, int64_t begin, bool derive) {
        return pick_columns_of(scores, targets_of(columns, scores, begin), label_smoothing, derive);
    };
}

BlockLoss tell_present(const at::Tensor &targets, double weight_present, double weight_absent) {
    const at::Tensor columns = targets.defined() ? targets.contiguous() : targets;
    return [=](at::Tensor &scores, int64_t begin, bool derive) {
        return tell_present_in(scores, targets_of(columns, scores, begin), weight_present, weight_absent, derive);
    };
}

}  // namespace csp

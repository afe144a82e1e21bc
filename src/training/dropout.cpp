// Masks by counting rather than by a stream, and the hidden layer's tail in one pass.
#include "dropout.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>
#include <utility>

#include "random.h"
#include "row_kernels.h"

namespace csp {
namespace {

// What a layer's masks are made of.
struct Masks {
    double probability;
    uint64_t layer_key;
    std::vector<RowRange> ranges;
    int64_t rows;

    uint32_t threshold() const { return static_cast<uint32_t>(std::lround(probability * 65536)); }
    float kept() const { return static_cast<float>(1 / (1 - probability)); }

    // f(i, bits) for each row, where bits are `columns` numbers of 16 bits.
    template <class F>
    void for_each_row(int64_t columns, F &&f) const {
        std::vector<uint64_t> words(static_cast<std::size_t>((columns + 3) / 4));
        int64_t i = 0;
        for (const RowRange &range : ranges) {
            for (int64_t row = range.begin; row < range.begin + range.count; ++row) {
                fill_with_bits(mix_bits(layer_key, static_cast<uint64_t>(row)), words);
                f(i++, reinterpret_cast<const uint16_t *>(words.data()));
            }
        }
    }
};

// y = factor * leaky_relu(x). The sign of y tells that of x, so the backward pass needs no mask.
class DropoutLeakyRelu : public torch::autograd::Function<DropoutLeakyRelu> {
public:
    static at::Tensor forward(torch::autograd::AutogradContext *context, const at::Tensor &x, double slope,
                              const Masks &masks) {
        const at::Tensor in = x.contiguous();
        at::Tensor y = at::empty({masks.rows, in.size(1)}, in.options());
        const int64_t columns = in.size(1), rows = in.size(0);
        const DropoutFactors factors = factors_of(masks.kept(), slope, masks.threshold());
        const float *from = in.data_ptr<float>();
        float *to = y.data_ptr<float>();
        masks.for_each_row(columns, [&](int64_t i, const uint16_t *bits) {
            leaky_dropout(from + (i < rows ? i : i - rows) * columns, bits, factors, to + i * columns, columns);
        });
        context->save_for_backward({y});
        context->saved_data["slope"] = slope;
        context->saved_data["kept"] = static_cast<double>(masks.kept());
        context->saved_data["rows"] = rows;
        return y;
    }

    static torch::autograd::variable_list backward(torch::autograd::AutogradContext *context,
                                                   torch::autograd::variable_list gradients) {
        const at::Tensor y = context->get_saved_variables()[0];
        const at::Tensor dy = gradients[0].contiguous();
        const int64_t rows = context->saved_data["rows"].toInt(), columns = y.size(1);
        const DropoutFactors factors = factors_of(static_cast<float>(context->saved_data["kept"].toDouble()),
                                                  context->saved_data["slope"].toDouble(), 0);
        at::Tensor dx = at::empty({rows, columns}, y.options());
        const int64_t once = dx.numel();
        const float *of_y = y.data_ptr<float>(), *of_dy = dy.data_ptr<float>();
        leaky_dropout_slope(of_y, of_dy, factors, dx.data_ptr<float>(), once);
        add_leaky_dropout_slope(of_y + once, of_dy + once, factors, dx.data_ptr<float>(), y.numel() - once);
        return {dx, at::Tensor(), at::Tensor()};
    }

private:
    static DropoutFactors factors_of(float kept, double slope, uint32_t threshold) {
        return {threshold, kept, kept * static_cast<float>(slope)};
    }
};

bool in_host_memory(const at::Tensor &x) { return x.device().is_cpu() && x.scalar_type() == at::kFloat; }

}  // namespace

Dropout::Dropout(double probability, uint64_t key, std::vector<RowRange> rows)
    : probability_(probability), key_(key), ranges_(std::move(rows)) {
    for (const RowRange &range : ranges_) row_count_ += range.count;
}

uint64_t Dropout::next_layer() { return mix_bits(key_, layers_++); }

at::Tensor Dropout::repeat(const at::Tensor &activations) const {
    const int64_t given = activations.size(0);
    if (given == row_count_) return activations;
    return at::cat({activations, activations.narrow(0, 0, row_count_ - given)});
}

at::Tensor Dropout::factors(uint64_t layer, int64_t columns, const at::TensorOptions &options) const {
    const Masks masks{probability_, layer, ranges_, row_count_};
    // Drawn on the host, whatever the device: a seed then means the same masks everywhere.
    at::Tensor factors = at::empty({row_count_, columns}, at::kFloat);
    float *to = factors.data_ptr<float>();
    masks.for_each_row(columns, [&](int64_t i, const uint16_t *bits) {
        for (int64_t j = 0; j < columns; ++j) to[i * columns + j] = bits[j] < masks.threshold() ? 0.0f : masks.kept();
    });
    return factors.to(options);
}

at::Tensor Dropout::operator()(const at::Tensor &activations) {
    if (probability_ == 0) return repeat(activations);
    return repeat(activations) * factors(next_layer(), activations.size(1), activations.options());
}

at::Tensor Dropout::leaky_relu(const at::Tensor &x, double slope) {
    if (probability_ == 0 || !in_host_memory(x)) return (*this)(at::leaky_relu(x, slope));
    return DropoutLeakyRelu::apply(x, slope, Masks{probability_, next_layer(), ranges_, row_count_});
}

}  // namespace csp

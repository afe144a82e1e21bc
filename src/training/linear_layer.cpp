// Linear layers in float32 and in bfloat16.
#include "linear_layer.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "row_kernels.h"

namespace csp {
namespace {

// A product in bfloat16, made wider again, and the bias.
at::Tensor widen(const at::Tensor &product, const at::Tensor &bias, const at::TensorOptions &options) {
    if (!product.device().is_cpu() || options.dtype() != at::kFloat) return product.to(options) + bias;
    at::Tensor result = at::empty(product.sizes(), options);
    widen_with_bias(reinterpret_cast<const Bfloat16 *>(product.data_ptr<at::BFloat16>()),
                    bias.contiguous().data_ptr<float>(), result.data_ptr<float>(), product.size(0), product.size(1));
    return result;
}

// By hand, since torch's own way would keep x in both precisions and go through the result twice.
class RoundedLinear : public torch::autograd::Function<RoundedLinear> {
public:
    static at::Tensor forward(torch::autograd::AutogradContext *context, const at::Tensor &x, const at::Tensor &weight,
                              const at::Tensor &bias) {
        const at::Tensor rounded = x.to(at::kBFloat16), rounded_weight = weight.to(at::kBFloat16);
        context->save_for_backward({rounded, rounded_weight});
        context->saved_data["by_x"] = x.requires_grad();
        return widen(at::mm(rounded, rounded_weight.t()), bias, weight.options());
    }

    static torch::autograd::variable_list backward(torch::autograd::AutogradContext *context,
                                                   torch::autograd::variable_list gradients) {
        const torch::autograd::variable_list saved = context->get_saved_variables();
        const at::Tensor &x = saved[0], &weight = saved[1], &by_y = gradients[0];
        const at::Tensor rounded = by_y.to(at::kBFloat16);
        at::Tensor by_x;
        if (context->saved_data["by_x"].toBool()) by_x = at::mm(rounded, weight).to(by_y.scalar_type());
        return {by_x, at::mm(rounded.t(), x).to(by_y.scalar_type()), by_y.sum(0)};
    }
};

}  // namespace

at::Tensor linear(const at::Tensor &x, const at::Tensor &weight, const at::Tensor &bias, Precision precision) {
    if (precision == Precision::float32) return at::linear(x, weight, bias);
    return RoundedLinear::apply(x, weight, bias.defined() ? bias : at::zeros({weight.size(0)}, weight.options()));
}

}  // namespace csp

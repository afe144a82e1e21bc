// Matrix products in the precision of a run.
#include "matrix_product.h"

#include <ATen/ATen.h>

namespace csp {

at::Tensor matrix_product(const at::Tensor &a, const at::Tensor &b, Precision precision) {
    if (precision == Precision::float32) return at::matmul(a, b);
    return at::matmul(a.to(at::kBFloat16), b.to(at::kBFloat16)).to(a.scalar_type());
}

at::Tensor linear(const at::Tensor &x, const at::Tensor &weight, const at::Tensor &bias, Precision precision) {
    if (precision == Precision::float32) return at::linear(x, weight, bias);
    const at::Tensor product = matrix_product(x, weight.t(), precision);
    return bias.defined() ? product + bias : product;
}

}  // namespace csp

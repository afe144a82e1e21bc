// Matrix products in the precision of a run: what nearly all of its time goes into.
#pragma once

#include <ATen/core/Tensor.h>

#include "options.h"

namespace csp {

// a b, for bfloat16 with both rounded to it; the result is of a's dtype, and sums go on in it.
at::Tensor matrix_product(const at::Tensor &a, const at::Tensor &b, Precision precision);

// x weight^T + bias likewise; bias may be undefined.
at::Tensor linear(const at::Tensor &x, const at::Tensor &weight, const at::Tensor &bias, Precision precision);

}  // namespace csp

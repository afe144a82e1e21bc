// Linear layers in the precision of a run: what nearly all of its time goes into.
#pragma once

#include <ATen/core/Tensor.h>

#include "options.h"

namespace csp {

// x weight^T + bias; bias may be undefined. For bfloat16 both factors are rounded to it, forwards and backwards; the
// result is of weight's dtype, and sums go on in it.
at::Tensor linear(const at::Tensor &x, const at::Tensor &weight, const at::Tensor &bias, Precision precision);

}  // namespace csp

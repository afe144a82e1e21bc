// Looks tensors up by name and checks them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tensors.h"

namespace csp {

// The tensor of that name and shape. Throws Error(data_corrupted) if it is missing, has
// another shape, or holds NaN or infinity.
const Tensor &require_tensor(const TensorMap &tensors, const std::string &name, const std::vector<int64_t> &shape);

}  // namespace csp

// Named float32 tensors: what a model file holds and what training hands over.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace csp {

struct Tensor {
    std::vector<int64_t> shape;
    std::vector<float> values;  // row-major; the product of shape is its length
};

using TensorMap = std::map<std::string, Tensor>;

}  // namespace csp

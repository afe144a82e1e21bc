// Looks tensors up by name and checks them.
#include "tensor_access.h"

#include <algorithm>
#include <cmath>

#include "error.h"

namespace csp {

namespace {

std::string shape_text(const std::vector<int64_t> &shape) {
    std::string text = "(";
    for (std::size_t i = 0; i < shape.size(); ++i)
        text += (i ? ", " : "") + std::to_string(shape[i]);
    return text + ")";
}

std::size_t element_count(const std::vector<int64_t> &shape) {
    std::size_t count = 1;
    for (int64_t extent : shape)
        count *= static_cast<std::size_t>(extent);
    return count;
}

}  // namespace

const Tensor &require_tensor(const TensorMap &tensors, const std::string &name, const std::vector<int64_t> &shape) {
    const auto found = tensors.find(name);
    if (found == tensors.end())
        throw Error(ErrorKind::data_corrupted, "model has no tensor \"" + name + "\"",
                    "The configuration asks for it with shape " + shape_text(shape) + ".");
    const Tensor &tensor = found->second;
    if (tensor.shape != shape || tensor.values.size() != element_count(shape))
        throw Error(ErrorKind::data_corrupted, "tensor \"" + name + "\" has the wrong shape",
                    "It has shape " + shape_text(tensor.shape) + ", the configuration asks for " + shape_text(shape) +
                        ".");
    if (!std::all_of(tensor.values.begin(), tensor.values.end(), [](float value) { return std::isfinite(value); }))
        throw Error(ErrorKind::data_corrupted, "tensor \"" + name + "\" holds NaN or infinity", {},
                    "Training diverged or the file is damaged; train again with a lower learning rate or export "
                    "the model again.");
    return tensor;
}

}  // namespace csp

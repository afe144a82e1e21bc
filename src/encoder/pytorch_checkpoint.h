// PyTorch checkpoints (torch.save, the zip format): the weights and options of published models.
//
// Nothing in the file is executed. The reader is strict: it is fed bytes that users hand in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "tensors.h"

namespace csp {

// A value of a checkpoint's `params`: None, a number, a text, or a list of numbers. What is not one
// of these is left out.
using ParameterValue = std::variant<std::monostate, bool, int64_t, double, std::string, std::vector<double>>;

struct PyTorchCheckpoint {
    TensorMap tensors;                             // of the state dict, names as they stand in the file
    std::map<std::string, ParameterValue> params;  // empty if the file has none
};

// Whether the bytes begin as a zip archive does. Says nothing of the rest.
bool is_pytorch_checkpoint(const char *bytes, std::size_t size);

// The file holds a dictionary with a "state_dict" and perhaps "params", or is itself a state dict.
// Tensors of any real type become float32; what the state dict does not name is not read.
// Throws Error: data_corrupted unless the file is well-formed and names nothing but tensors and plain
// values, not_supported for a file of another format or with compressed members.
PyTorchCheckpoint read_pytorch_checkpoint(const char *bytes, std::size_t size);

}  // namespace csp

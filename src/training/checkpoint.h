// A run in mid-course as bytes: numbers, random streams and tensors, each by its name.
//
// The container is a safetensors file; what is not a float32 tensor is text in its metadata.
// Everything comes back to the bit.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "../encoder/safetensors.h"
#include "random.h"

namespace csp {

class CheckpointWriter {
public:
    void add_text(const std::string &name, const std::string &value);
    void add_integer(const std::string &name, int64_t value);
    void add_number(const std::string &name, double value);
    void add_stream(const std::string &name, const RandomStream &stream);
    void add_tensor(const std::string &name, const at::Tensor &values);  // on any device

    std::string bytes() const;

private:
    ModelFile file_;
};

// All functions throw Error(data_corrupted) for what is not there or not as it should be.
class CheckpointReader {
public:
    explicit CheckpointReader(const std::string &bytes);

    const std::string &text(const std::string &name) const;
    int64_t integer(const std::string &name, int64_t low, int64_t high) const;
    double number(const std::string &name) const;
    void read_stream(const std::string &name, RandomStream &stream) const;
    void read_tensor(const std::string &name, at::Tensor values) const;  // into values, of the same shape

    [[noreturn]] static void throw_unusable(const std::string &detail);

private:
    ModelFile file_;
};

}  // namespace csp

// What follows the position encoding, whatever its kind.
#pragma once

#include <cstddef>
#include <memory>

#include "config.h"
#include "kernel.h"
#include "tensors.h"

namespace csp {

class LocationNetwork {
public:
    virtual ~LocationNetwork() = default;

    virtual std::size_t in() const = 0;
    virtual std::size_t out() const = 0;
    virtual std::size_t memory() const = 0;

    // Rows to hand over at once, and the floats of scratch that `rows` rows need.
    virtual std::size_t preferred_rows() const = 0;
    virtual std::size_t scratch_size(std::size_t rows) const = 0;

    // out (rows, out()) for x (rows, in()); strides in floats. out need not be aligned, and what lies between its rows
    // stays as it is.
    virtual void apply(const float *x, std::size_t x_stride, std::size_t rows, float *scratch, float *out,
                       std::size_t out_stride) const = 0;
};

// The network of config.network from its tensors; throws Error(data_corrupted) if one is missing or wrong. features is
// the width of the input.
std::unique_ptr<LocationNetwork> make_location_network(const ModelConfig &config, std::size_t features,
                                                       const TensorMap &tensors, const Kernels &kernels);

}  // namespace csp

// A linear layer y = W x + b with its weights packed for the kernels.
#pragma once

#include <cstddef>
#include <string>

#include "kernel.h"
#include "scratch.h"
#include "tensors.h"

namespace csp {

// Length of a row of n floats in scratch memory: padded so that neighbouring rows do not
// compete for the same few sets of the L1 cache, as rows of a power of two would.
std::size_t padded_row(std::size_t n);

// How many rows of `width` floats a pass should take so that they stay in the L2 cache, a
// multiple of the kernels' row block.
std::size_t rows_in_cache(const Kernels &kernels, std::size_t width);

class Linear {
public:
    // weight (out, in); bias (out) or null for none. The tensors are copied.
    Linear(const Kernels &kernels, const Tensor &weight, const Tensor *bias);

    std::size_t in() const { return in_; }
    std::size_t out() const { return out_; }
    std::size_t memory() const;  // bytes held

    // out (rows, out) = epilogue(x W^T + b) for x (rows, in); strides in floats.
    void apply(const float *x, std::size_t x_stride, std::size_t rows, Epilogue epilogue, float *out,
               std::size_t out_stride) const;

    // The same for x of any height and stride: in passes that fit the cache.
    void apply_tall(const float *x, std::size_t x_stride, std::size_t rows, Epilogue epilogue, float *out,
                    std::size_t out_stride) const;

    // One column of the result, out (rows), equal to apply()'s to the last bit.
    void apply_column(const float *x, std::size_t x_stride, std::size_t rows, std::size_t column, Epilogue epilogue,
                      float *out) const;

private:
    const Kernels *kernels_;
    std::size_t in_;
    std::size_t out_;
    AlignedFloats weights_;
    AlignedFloats bias_;
};

// A linear layer from the tensors <name>.weight (out, in) and <name>.bias (out); throws Error(data_corrupted) as
// require_tensor does.
Linear require_linear(const Kernels &kernels, const TensorMap &tensors, const std::string &name, int64_t out,
                      int64_t in);

}  // namespace csp

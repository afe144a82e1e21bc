// A linear layer: packing of the weights, and rows in passes that fit the cache.
#include "linear.h"

#include <algorithm>
#include <cstring>

#include "tensor_access.h"

namespace csp {

namespace {

std::size_t padded_columns(std::size_t columns, std::size_t panel) {
    return (columns + panel - 1) / panel * panel;
}

// From row-major (out, in) to the panels of PackedMatrix.
void pack(const float *weight, std::size_t in, std::size_t out, std::size_t panel, float *packed) {
    for (std::size_t first = 0; first < out; first += panel) {
        const std::size_t columns = std::min(panel, out - first);
        for (std::size_t k = 0; k < in; ++k) {
            for (std::size_t c = 0; c < columns; ++c)
                packed[c] = weight[(first + c) * in + k];
            std::fill(packed + columns, packed + panel, 0.0f);
            packed += panel;
        }
    }
}

}  // namespace

std::size_t padded_row(std::size_t n) {
    return (n + 15) / 16 * 16 + 16;
}

std::size_t rows_in_cache(const Kernels &kernels, std::size_t width) {
    constexpr std::size_t cache_floats = 256 * 1024 / sizeof(float);
    const std::size_t blocks = cache_floats / (width * kernels.row_block);
    return kernels.row_block * std::clamp<std::size_t>(blocks, 1, 128 / kernels.row_block);
}

Linear::Linear(const Kernels &kernels, const Tensor &weight, const Tensor *bias)
    : kernels_(&kernels),
      in_(static_cast<std::size_t>(weight.shape.at(1))),
      out_(static_cast<std::size_t>(weight.shape.at(0))),
      weights_(allocate_floats(padded_columns(out_, kernels.panel) * in_)),
      bias_(allocate_floats(padded_columns(out_, kernels.panel))) {
    pack(weight.values.data(), in_, out_, kernels.panel, weights_.get());
    std::fill_n(bias_.get(), padded_columns(out_, kernels.panel), 0.0f);
    if (bias)
        std::copy_n(bias->values.data(), out_, bias_.get());
}

std::size_t Linear::memory() const {
    return padded_columns(out_, kernels_->panel) * (in_ + 1) * sizeof(float);
}

void Linear::apply(const float *x, std::size_t x_stride, std::size_t rows, Epilogue epilogue, float *out,
                   std::size_t out_stride) const {
    kernels_->affine(x, x_stride, rows, {weights_.get(), bias_.get(), in_, out_}, epilogue, out, out_stride);
}

void Linear::apply_tall(const float *x, std::size_t x_stride, std::size_t rows, Epilogue epilogue, float *out,
                        std::size_t out_stride) const {
    if (rows == 1)
        return apply(x, x_stride, 1, epilogue, out, out_stride);
    const std::size_t stride = padded_row(in_);
    const std::size_t tile = std::min(rows, rows_in_cache(*kernels_, stride));
    Scratch scratch(tile * stride);
    for (std::size_t first = 0; first < rows; first += tile) {
        const std::size_t height = std::min(tile, rows - first);
        for (std::size_t row = 0; row < height; ++row)
            std::memcpy(scratch.data() + row * stride, x + (first + row) * x_stride, in_ * sizeof(float));
        apply(scratch.data(), stride, height, epilogue, out + first * out_stride, out_stride);
    }
}

// A column is spread over its whole panel in memory, so computing the panel costs no more.
void Linear::apply_column(const float *x, std::size_t x_stride, std::size_t rows, std::size_t column,
                          Epilogue epilogue, float *out) const {
    constexpr std::size_t widest_panel = 64;
    constexpr std::size_t tile = 28;
    float values[tile * widest_panel];
    const std::size_t first_column = column / kernels_->panel * kernels_->panel;
    const std::size_t columns = std::min(kernels_->panel, out_ - first_column);
    const PackedMatrix panel = {weights_.get() + first_column * in_, bias_.get() + first_column, in_, columns};
    for (std::size_t first = 0; first < rows; first += tile) {
        const std::size_t height = std::min(tile, rows - first);
        kernels_->affine(x + first * x_stride, x_stride, height, panel, epilogue, values, columns);
        for (std::size_t row = 0; row < height; ++row)
            out[first + row] = values[row * columns + column - first_column];
    }
}

Linear require_linear(const Kernels &kernels, const TensorMap &tensors, const std::string &name, int64_t out,
                      int64_t in) {
    return Linear(kernels, require_tensor(tensors, name + ".weight", {out, in}),
                  &require_tensor(tensors, name + ".bias", {out}));
}

}  // namespace csp

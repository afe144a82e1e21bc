// FCNet: the residual network of geo_prior.
#include "residual_net.h"

#include <utility>

#include "tensor_access.h"

namespace csp {

std::string residual_block_name(int block) {
    return "feats." + std::to_string(2 + block);
}

ResidualNet::ResidualNet(const ModelConfig &config, std::size_t features, const TensorMap &tensors,
                         const Kernels &kernels)
    : kernels_(&kernels),
      epilogue_{true, config.activation},
      first_(require_linear(kernels, tensors, "feats.0", config.embedding_dim, static_cast<int64_t>(features))) {
    const int64_t width = config.embedding_dim;
    for (int block = 0; block < config.hidden_layers; ++block) {
        const std::string name = residual_block_name(block);
        blocks_.push_back({require_linear(kernels, tensors, name + ".w1", width, width),
                           require_linear(kernels, tensors, name + ".w2", width, width)});
    }
}

std::size_t ResidualNet::memory() const {
    std::size_t bytes = first_.memory();
    for (const Block &block : blocks_)
        bytes += block.first.memory() + block.second.memory();
    return bytes;
}

std::size_t ResidualNet::preferred_rows() const {
    return rows_in_cache(*kernels_, in() + 3 * padded_row(out()));
}

// The running sum, and the two layers of a block.
std::size_t ResidualNet::scratch_size(std::size_t rows) const {
    return 3 * rows * padded_row(out());
}

// The last layer writes to `out` itself, and the running sum is added there.
void ResidualNet::apply(const float *x, std::size_t x_stride, std::size_t rows, float *scratch, float *out,
                        std::size_t out_stride) const {
    const std::size_t stride = padded_row(this->out());
    float *sum = scratch;
    float *inner = sum + rows * stride;
    float *outer = inner + rows * stride;
    if (blocks_.empty())
        return first_.apply(x, x_stride, rows, epilogue_, out, out_stride);
    first_.apply(x, x_stride, rows, epilogue_, sum, stride);
    for (std::size_t i = 0; i + 1 < blocks_.size(); ++i) {
        apply_block(blocks_[i], sum, rows, inner, outer, stride);
        std::swap(sum, outer);
    }
    apply_block(blocks_.back(), sum, rows, inner, out, out_stride);
}

void ResidualNet::apply_block(const Block &block, const float *sum, std::size_t rows, float *inner, float *out,
                              std::size_t out_stride) const {
    const std::size_t stride = padded_row(this->out());
    block.first.apply(sum, stride, rows, epilogue_, inner, stride);
    block.second.apply(inner, stride, rows, epilogue_, out, out_stride);
    for (std::size_t row = 0; row < rows; ++row)
        kernels_->add(out + row * out_stride, sum + row * stride, this->out());
}

}  // namespace csp

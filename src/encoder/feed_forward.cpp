// The feed-forward net after the position encoding.
#include "feed_forward.h"

#include <algorithm>

#include "tensor_access.h"

namespace csp {

namespace {

AlignedFloats copy_of(const Tensor &tensor) {
    AlignedFloats copy = allocate_floats(tensor.values.size());
    std::copy(tensor.values.begin(), tensor.values.end(), copy.get());
    return copy;
}

}  // namespace

FeedForward::FeedForward(const ModelConfig &config, std::size_t features, const TensorMap &tensors,
                         const Kernels &kernels)
    : kernels_(&kernels),
      hidden_epilogue_{true, config.activation},
      output_epilogue_{config.activate_embedding, config.activation},
      hidden_stride_(padded_row(static_cast<std::size_t>(config.hidden_dim))) {
    auto in = static_cast<int64_t>(features);
    for (int i = 0; i <= config.hidden_layers; ++i) {
        const bool hidden = i < config.hidden_layers;
        const int64_t out = hidden ? config.hidden_dim : config.embedding_dim;
        const std::string prefix = "spa_enc.ffn.layers." + std::to_string(i) + ".";
        const Tensor &weight = require_tensor(tensors, prefix + "linear.weight", {out, in});
        const Tensor &bias = require_tensor(tensors, prefix + "linear.bias", {out});
        Layer layer{Linear(kernels, weight, &bias), hidden && config.skip_connection && in == out, nullptr, nullptr};
        if (hidden && config.layer_norm) {
            layer.norm_weight = copy_of(require_tensor(tensors, prefix + "layernorm.weight", {out}));
            layer.norm_bias = copy_of(require_tensor(tensors, prefix + "layernorm.bias", {out}));
        }
        layers_.push_back(std::move(layer));
        in = out;
    }
}

std::size_t FeedForward::memory() const {
    std::size_t bytes = 0;
    for (const Layer &layer : layers_)
        bytes += layer.linear.memory() + (layer.norm_weight ? 2 * layer.linear.out() * sizeof(float) : 0);
    return bytes;
}

std::size_t FeedForward::preferred_rows() const {
    return rows_in_cache(*kernels_, in() + (layers_.size() > 1 ? hidden_stride_ : 0));
}

// Two buffers of hidden rows, used in turn.
std::size_t FeedForward::scratch_size(std::size_t rows) const {
    const std::size_t buffers = std::min<std::size_t>(layers_.size() - 1, 2);
    return buffers * rows * hidden_stride_;
}

void FeedForward::apply(const float *x, std::size_t x_stride, std::size_t rows, float *scratch, float *out,
                        std::size_t out_stride) const {
    float *buffer = scratch;
    float *other = scratch + (layers_.size() > 2 ? rows * hidden_stride_ : 0);
    for (std::size_t i = 0; i + 1 < layers_.size(); ++i) {
        apply_hidden(layers_[i], x, x_stride, rows, buffer, hidden_stride_);
        x = buffer;
        x_stride = hidden_stride_;
        std::swap(buffer, other);
    }
    layers_.back().linear.apply(x, x_stride, rows, output_epilogue_, out, out_stride);
}

void FeedForward::apply_hidden(const Layer &layer, const float *x, std::size_t x_stride, std::size_t rows, float *out,
                               std::size_t stride) const {
    layer.linear.apply(x, x_stride, rows, hidden_epilogue_, out, stride);
    for (std::size_t row = 0; row < rows; ++row) {
        if (layer.skip)
            kernels_->add(out + row * stride, x + row * x_stride, layer.linear.out());
        if (layer.norm_weight)
            kernels_->layer_norm(out + row * stride, layer.linear.out(), layer.norm_weight.get(),
                                 layer.norm_bias.get());
    }
}

}  // namespace csp

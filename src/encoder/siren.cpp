// SIREN.
#include "siren.h"

#include <algorithm>

#include "tensor_access.h"

namespace csp {

namespace {

Tensor scaled(Tensor tensor, double factor) {
    for (float &value : tensor.values)
        value = static_cast<float>(value * factor);
    return tensor;
}

}  // namespace

std::string siren_layer_name(int layer) {
    return "spa_enc.siren.layers." + std::to_string(layer);
}

Siren::Siren(const ModelConfig &config, std::size_t features, const TensorMap &tensors, const Kernels &kernels)
    : kernels_(&kernels), stride_(padded_row(static_cast<std::size_t>(config.hidden_dim))) {
    auto in = static_cast<int64_t>(features);
    for (int i = 0; i < config.hidden_layers; ++i) {
        const double omega = i == 0 ? config.siren_first_omega : config.siren_omega;
        const std::string name = siren_layer_name(i);
        const Tensor weight = scaled(require_tensor(tensors, name + ".weight", {config.hidden_dim, in}), omega);
        const Tensor bias = scaled(require_tensor(tensors, name + ".bias", {config.hidden_dim}), omega);
        layers_.emplace_back(kernels, weight, &bias);
        in = config.hidden_dim;
    }
    layers_.push_back(require_linear(kernels, tensors, siren_last_layer_name, config.embedding_dim, in));
}

std::size_t Siren::memory() const {
    std::size_t bytes = 0;
    for (const Linear &layer : layers_)
        bytes += layer.memory();
    return bytes;
}

std::size_t Siren::preferred_rows() const {
    return rows_in_cache(*kernels_, in() + stride_);
}

// Two buffers of hidden rows, used in turn.
std::size_t Siren::scratch_size(std::size_t rows) const {
    return std::min<std::size_t>(layers_.size() - 1, 2) * rows * stride_;
}

void Siren::apply(const float *x, std::size_t x_stride, std::size_t rows, float *scratch, float *out,
                  std::size_t out_stride) const {
    float *buffer = scratch;
    float *other = scratch + (layers_.size() > 2 ? rows * stride_ : 0);
    for (std::size_t i = 0; i + 1 < layers_.size(); ++i) {
        layers_[i].apply(x, x_stride, rows, {true, Activation::sine}, buffer, stride_);
        x = buffer;
        x_stride = stride_;
        std::swap(buffer, other);
    }
    layers_.back().apply(x, x_stride, rows, {false, Activation::relu}, out, out_stride);
}

}  // namespace csp

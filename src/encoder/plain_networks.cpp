// The networks of hexagridcell and theorydiag.
#include "plain_networks.h"

#include "tensor_access.h"

namespace csp {

namespace {

// (F, 6, d) to (F d, 6 F): the transposed matrix of scale k at rows k d.. and columns 6 k...
Tensor block_diagonal(const Tensor &blocks) {
    const auto count = static_cast<std::size_t>(blocks.shape[0]);
    const auto height = static_cast<std::size_t>(blocks.shape[2]);
    Tensor dense{{blocks.shape[0] * blocks.shape[2], blocks.shape[0] * 6},
                 std::vector<float>(count * height * count * 6, 0.0f)};
    for (std::size_t k = 0; k < count; ++k)
        for (std::size_t s = 0; s < 6; ++s)
            for (std::size_t c = 0; c < height; ++c)
                dense.values[(k * height + c) * count * 6 + k * 6 + s] = blocks.values[(k * 6 + s) * height + c];
    return dense;
}

Linear block_layer(const ModelConfig &config, const TensorMap &tensors, const Kernels &kernels) {
    const int64_t count = config.frequencies;
    return Linear(kernels,
                  block_diagonal(require_tensor(tensors, post_mat_name, {count, 6, config.embedding_dim / count})),
                  nullptr);
}

}  // namespace

LinearNetwork::LinearNetwork(const ModelConfig &config, std::size_t features, const TensorMap &tensors,
                             const Kernels &kernels)
    : kernels_(&kernels),
      epilogue_{config.activate_embedding, config.activation},
      linear_(require_linear(kernels, tensors, post_linear_name, config.embedding_dim,
                             static_cast<int64_t>(features))) {}

void LinearNetwork::apply(const float *x, std::size_t x_stride, std::size_t rows, float *, float *out,
                          std::size_t out_stride) const {
    linear_.apply(x, x_stride, rows, epilogue_, out, out_stride);
}

DiagonalNetwork::DiagonalNetwork(const ModelConfig &config, std::size_t, const TensorMap &tensors,
                                 const Kernels &kernels)
    : kernels_(&kernels),
      epilogue_{config.activate_embedding, config.activation},
      blocks_(block_layer(config, tensors, kernels)) {
    if (config.diagonal_projection)
        projection_ = require_linear(kernels, tensors, post_linear_name, config.embedding_dim, config.embedding_dim);
}

void DiagonalNetwork::apply(const float *x, std::size_t x_stride, std::size_t rows, float *scratch, float *out,
                            std::size_t out_stride) const {
    if (!projection_)
        return blocks_.apply(x, x_stride, rows, epilogue_, out, out_stride);
    const std::size_t stride = padded_row(this->out());
    blocks_.apply(x, x_stride, rows, {false, Activation::relu}, scratch, stride);
    projection_->apply(scratch, stride, rows, epilogue_, out, out_stride);
}

}  // namespace csp

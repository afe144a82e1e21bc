// e(x): position encoding and feed-forward net, in tiles of rows that stay in the cache.
#include "location_encoder.h"

#include <algorithm>

#include "position_family.h"

namespace csp {

LocationEncoder::LocationEncoder(const ModelConfig &config, const TensorMap &tensors, const Kernels &kernels)
    : encoding_(make_position_encoding(config, kernels)),
      network_(config, static_cast<std::size_t>(encoding_->dim()), tensors, kernels) {}

void LocationEncoder::embed(const double *lonlat, std::size_t n, float *out) const {
    const std::size_t stride = padded_row(network_.in());
    const std::size_t tile = std::min(n, network_.preferred_rows());
    Scratch scratch(tile * stride + network_.scratch_size(tile));
    float *features = scratch.data();
    for (std::size_t first = 0; first < n; first += tile) {
        const std::size_t rows = std::min(tile, n - first);
        for (std::size_t row = 0; row < rows; ++row)
            encoding_->encode(lonlat + 2 * (first + row), 1, features + row * stride);
        network_.apply(features, stride, rows, features + tile * stride, out + first * network_.out());
    }
}

}  // namespace csp

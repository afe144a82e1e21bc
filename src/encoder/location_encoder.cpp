// e(x): position encoding and network, in tiles of rows that stay in the cache.
#include "location_encoder.h"

#include <algorithm>

#include "dates.h"
#include "linear.h"
#include "position_family.h"

namespace csp {

LocationEncoder::LocationEncoder(const ModelConfig &config, const TensorMap &tensors, const Kernels &kernels)
    : encoding_(make_position_encoding(config, tensors, kernels)),
      network_(make_location_network(config, static_cast<std::size_t>(encoding_->dim() + date_dim(config)), tensors,
                                     kernels)),
      config_(config) {}

void LocationEncoder::embed(const double *lonlat, const float *dates, std::size_t n, float *out,
                            std::size_t out_stride) const {
    const std::size_t stride = padded_row(network_->in());
    const std::size_t tile = std::min(n, network_->preferred_rows());
    Scratch scratch(tile * stride + network_->scratch_size(tile));
    float *features = scratch.data();
    for (std::size_t first = 0; first < n; first += tile) {
        const std::size_t rows = std::min(tile, n - first);
        for (std::size_t row = 0; row < rows; ++row) {
            const double *place = lonlat + 2 * (first + row);
            encoding_->encode(place, 1, features + row * stride);
            if (config_.dates)
                encode_date(config_, dates[first + row], features + row * stride + encoding_->dim());
        }
        network_->apply(features, stride, rows, features + tile * stride, out + first * out_stride, out_stride);
    }
}

}  // namespace csp

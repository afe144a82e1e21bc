// e(x): position encoding and feed-forward net together, on chosen kernels.
#pragma once

#include <cstddef>
#include <memory>

#include "location_network.h"
#include "position_encoding.h"

namespace csp {

class LocationEncoder {
public:
    // Throws Error(data_corrupted) as Model's constructor does.
    LocationEncoder(const ModelConfig &config, const TensorMap &tensors, const Kernels &kernels);

    std::size_t embedding_dim() const { return network_->out(); }
    std::size_t memory() const { return network_->memory(); }

    // lonlat n pairs in degrees; dates n, or null for a model without; out (n, embedding_dim()), its rows out_stride
    // floats apart. A location gets the same bits alone and in a batch.
    void embed(const double *lonlat, const float *dates, std::size_t n, float *out, std::size_t out_stride) const;

private:
    std::unique_ptr<PositionEncoding> encoding_;
    std::unique_ptr<LocationNetwork> network_;
    ModelConfig config_;
};

}  // namespace csp

// SIREN (Sitzmann et al., 2020), as SatCLIP puts it after spherical harmonics.
//
// Hidden layer: sin(omega (W x + b)), omega 30 in the first and 1 in the others; the last layer is linear. SatCLIP
// computes it in float64, here it is float32 like everything else.
#pragma once

#include <string>
#include <vector>

#include "linear.h"
#include "location_network.h"

namespace csp {

std::string siren_layer_name(int layer);
constexpr const char *siren_last_layer_name = "spa_enc.siren.last_layer";

class Siren : public LocationNetwork {
public:
    // From the tensors <siren_layer_name(i)>.{weight,bias} and spa_enc.siren.last_layer.{weight,bias}.
    Siren(const ModelConfig &config, std::size_t features, const TensorMap &tensors, const Kernels &kernels);

    std::size_t in() const override { return layers_.front().in(); }
    std::size_t out() const override { return layers_.back().out(); }
    std::size_t memory() const override;
    std::size_t preferred_rows() const override;
    std::size_t scratch_size(std::size_t rows) const override;
    void apply(const float *x, std::size_t x_stride, std::size_t rows, float *scratch, float *out,
               std::size_t out_stride) const override;

private:
    const Kernels *kernels_;
    std::size_t stride_;
    std::vector<Linear> layers_;  // the hidden ones with omega in their weights, then the last
};

}  // namespace csp

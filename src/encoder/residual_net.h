// FCNet: the residual network of geo_prior (Mac Aodha et al., ICCV 2019) [geo_net].
//
// Linear -> activation, then blocks x + activation(W2 activation(W1 x)), all as wide as the embedding. Dropout within the
// blocks belongs to training.
#pragma once

#include <string>
#include <vector>

#include "linear.h"
#include "location_network.h"

namespace csp {

// The published names: feats.0 is the first layer, feats.1 its activation, feats.2.. the blocks.
std::string residual_block_name(int block);

class ResidualNet : public LocationNetwork {
public:
    // From the tensors feats.0.{weight,bias} and feats.<2 + block>.w{1,2}.{weight,bias}.
    ResidualNet(const ModelConfig &config, std::size_t features, const TensorMap &tensors, const Kernels &kernels);

    std::size_t in() const override { return first_.in(); }
    std::size_t out() const override { return first_.out(); }
    std::size_t memory() const override;
    std::size_t preferred_rows() const override;
    std::size_t scratch_size(std::size_t rows) const override;
    void apply(const float *x, std::size_t x_stride, std::size_t rows, float *scratch, float *out,
               std::size_t out_stride) const override;

private:
    struct Block {
        Linear first, second;
    };

    // out = sum + activation(W2 activation(W1 sum)); inner is scratch, sum and inner have padded rows.
    void apply_block(const Block &block, const float *sum, std::size_t rows, float *inner, float *out,
                     std::size_t out_stride) const;

    const Kernels *kernels_;
    Epilogue epilogue_;
    Linear first_;
    std::vector<Block> blocks_;
};

}  // namespace csp

// The feed-forward net after the position encoding.
//
// Hidden layer: linear -> activation -> plus the layer's input where the widths agree -> layer
// norm; output layer: linear -> activation, no skip, no norm (Mai et al. 2020, 2023, as the
// published code computes it). Dropout belongs to training.
#pragma once

#include <cstddef>
#include <vector>

#include "linear.h"
#include "location_network.h"

namespace csp {

class FeedForward : public LocationNetwork {
public:
    // From the tensors spa_enc.ffn.layers.<i>.*; throws Error(data_corrupted) if one is missing
    // or wrong. features is the width of the position encoding.
    FeedForward(const ModelConfig &config, std::size_t features, const TensorMap &tensors, const Kernels &kernels);

    std::size_t in() const override { return layers_.front().linear.in(); }
    std::size_t out() const override { return layers_.back().linear.out(); }
    std::size_t memory() const override;

    std::size_t preferred_rows() const override;
    std::size_t scratch_size(std::size_t rows) const override;
    void apply(const float *x, std::size_t x_stride, std::size_t rows, float *scratch, float *out,
               std::size_t out_stride) const override;

private:
    struct Layer {
        Linear linear;
        bool skip;
        AlignedFloats norm_weight;  // null: no layer norm
        AlignedFloats norm_bias;
    };

    void apply_hidden(const Layer &layer, const float *x, std::size_t x_stride, std::size_t rows, float *out,
                      std::size_t stride) const;

    const Kernels *kernels_;
    Epilogue hidden_epilogue_;
    Epilogue output_epilogue_;
    std::size_t hidden_stride_;
    std::vector<Layer> layers_;  // the last is the output layer
};

}  // namespace csp

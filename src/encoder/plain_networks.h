// The networks of hexagridcell and theorydiag, which have no hidden layer: activation(W x + b), and activation of one
// small matrix a scale.
#pragma once

#include <optional>

#include "linear.h"
#include "location_network.h"

namespace csp {

constexpr const char *post_linear_name = "spa_enc.post_linear";
constexpr const char *post_mat_name = "spa_enc.post_mat";  // (F, 6, D / F), as published

class LinearNetwork : public LocationNetwork {
public:
    LinearNetwork(const ModelConfig &config, std::size_t features, const TensorMap &tensors, const Kernels &kernels);

    std::size_t in() const override { return linear_.in(); }
    std::size_t out() const override { return linear_.out(); }
    std::size_t memory() const override { return linear_.memory(); }
    std::size_t preferred_rows() const override { return rows_in_cache(*kernels_, in()); }
    std::size_t scratch_size(std::size_t) const override { return 0; }
    void apply(const float *x, std::size_t x_stride, std::size_t rows, float *scratch, float *out,
               std::size_t out_stride) const override;

private:
    const Kernels *kernels_;
    Epilogue epilogue_;
    Linear linear_;
};

// The six features of scale k give the k-th part of the embedding; a linear layer may follow. The matrices are one dense
// matrix here with zeros between: it costs little beside what one location costs anyway.
class DiagonalNetwork : public LocationNetwork {
public:
    DiagonalNetwork(const ModelConfig &config, std::size_t features, const TensorMap &tensors, const Kernels &kernels);

    std::size_t in() const override { return blocks_.in(); }
    std::size_t out() const override { return blocks_.out(); }
    std::size_t memory() const override { return blocks_.memory() + (projection_ ? projection_->memory() : 0); }
    std::size_t preferred_rows() const override { return rows_in_cache(*kernels_, in() + padded_row(out())); }
    std::size_t scratch_size(std::size_t rows) const override { return projection_ ? rows * padded_row(out()) : 0; }
    void apply(const float *x, std::size_t x_stride, std::size_t rows, float *scratch, float *out,
               std::size_t out_stride) const override;

private:
    const Kernels *kernels_;
    Epilogue epilogue_;
    Linear blocks_;
    std::optional<Linear> projection_;
};

}  // namespace csp

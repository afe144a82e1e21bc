// Encodings that approximate a kernel: rbf, Gaussians around anchors taken from the training places; rff, random Fourier
// features (Rahimi and Recht, 2007).
#include "kernel_features.h"

#include <cmath>

#include "coordinates.h"
#include "position_family.h"
#include "tensor_access.h"

namespace csp {

namespace {

// features[m] = exp(-|x - a_m|^2 / (2 sigma^2)): plain distance in degrees, as published; it knows no date line.
class Rbf : public PositionEncoding {
public:
    Rbf(const std::vector<float> &anchors, double sigma, const Kernels &kernels)
        : PositionEncoding(static_cast<int>(anchors.size() / 2)),
          anchors_(anchors),
          factor_(static_cast<float>(-0.5 / (sigma * sigma))),
          kernels_(&kernels) {}

    void encode_one(float lon, float lat, float *features) const override {
        const std::size_t count = anchors_.size() / 2;
        for (std::size_t m = 0; m < count; ++m) {
            const float dx = lon - anchors_[2 * m];
            const float dy = lat - anchors_[2 * m + 1];
            features[m] = (dx * dx + dy * dy) * factor_;
        }
        kernels_->exp(features, count);
    }

private:
    std::vector<float> anchors_;
    float factor_;
    const Kernels *kernels_;
};

// features[k] = sqrt(2 / F) cos(x . w_k + b_k), x scaled to [-1, 1] by the extent; the angle in float32, as published.
class Rff : public PositionEncoding {
public:
    Rff(const ModelConfig &config, const std::vector<float> &directions, const std::vector<float> &shifts,
        const Kernels &kernels)
        : PositionEncoding(static_cast<int>(shifts.size())),
          extent_(config.extent),
          directions_(directions),
          shifts_(shifts),
          kernels_(&kernels) {}

    void encode_one(float lon, float lat, float *features) const override {
        constexpr std::size_t chunk = 64;
        double angles[chunk];
        float sines[chunk];
        const float x = normalized(lon, extent_.west, extent_.east);
        const float y = normalized(lat, extent_.south, extent_.north);
        const std::size_t count = shifts_.size();
        const float scale = std::sqrt(2.0f / static_cast<float>(count));
        for (std::size_t first = 0; first < count; first += chunk) {
            const std::size_t size = count - first < chunk ? count - first : chunk;
            for (std::size_t k = 0; k < size; ++k)
                angles[k] = (x * directions_[first + k] + y * directions_[count + first + k]) + shifts_[first + k];
            kernels_->sincos(angles, size, sines, features + first);
        }
        for (std::size_t k = 0; k < count; ++k)
            features[k] *= scale;
    }

private:
    Extent extent_;
    std::vector<float> directions_;  // (2, F)
    std::vector<float> shifts_;
    const Kernels *kernels_;
};

int rbf_dim(const ModelConfig &config) {
    return config.anchors;
}

int rff_dim(const ModelConfig &config) {
    return config.frequencies;
}

std::unique_ptr<PositionEncoding> make_rbf(const ModelConfig &config, const TensorMap &tensors,
                                           const Kernels &kernels) {
    return std::make_unique<Rbf>(require_tensor(tensors, rbf_anchors_tensor, {config.anchors, 2}).values,
                                 config.kernel_size, kernels);
}

std::unique_ptr<PositionEncoding> make_rff(const ModelConfig &config, const TensorMap &tensors,
                                           const Kernels &kernels) {
    return std::make_unique<Rff>(config,
                                 require_tensor(tensors, rff_directions_tensor, {2, config.frequencies}).values,
                                 require_tensor(tensors, rff_shifts_tensor, {config.frequencies}).values, kernels);
}

void set_rbf(ModelConfig &config) {
    config.kernel_size = 10;  // degrees: 200 anchors then reach each other
}

void set_rff(ModelConfig &config) {
    config.frequencies = 128;
    config.kernel_size = 30;  // waves of a tenth of the extent and longer
}

}  // namespace

std::vector<PositionFamily> kernel_families() {
    return {{"rbf", {}, set_rbf, nullptr, rbf_dim, make_rbf},
            {"rff", {}, set_rff, require_extent, rff_dim, make_rff}};
}

}  // namespace csp

// Space2Vec-grid [gridcell]: sines and cosines of longitude and latitude at F scales (Mai et al.,
// Multi-Scale Representation Learning for Spatial Feature Distributions using Grid Cells, ICLR 2020).
#include "frequencies.h"
#include "position_family.h"

namespace csp {

namespace {

class Grid : public PositionEncoding {
public:
    Grid(std::vector<double> frequencies, const Kernels &kernels)
        : frequencies_(std::move(frequencies)), kernels_(&kernels) {}

    int dim() const override { return 4 * static_cast<int>(frequencies_.size()); }

    void encode(const double *lonlat, std::size_t n, float *features) const override {
        const std::size_t count = frequencies_.size();
        for (std::size_t i = 0; i < n; ++i)
            for (std::size_t axis = 0; axis < 2; ++axis)
                encode_axis(lonlat[2 * i + axis], features + (4 * i + 2 * axis) * count);
    }

private:
    // features[2k] = sin(x w_k), features[2k + 1] = cos(x w_k), x in degrees.
    void encode_axis(double coordinate, float *features) const {
        constexpr std::size_t chunk = 64;
        double angles[chunk];
        float sines[chunk];
        float cosines[chunk];
        const double x = static_cast<float>(coordinate);
        const std::size_t count = frequencies_.size();
        for (std::size_t first = 0; first < count; first += chunk) {
            const std::size_t size = count - first < chunk ? count - first : chunk;
            for (std::size_t k = 0; k < size; ++k)
                angles[k] = x * frequencies_[first + k];
            kernels_->sincos(angles, size, sines, cosines);
            for (std::size_t k = 0; k < size; ++k) {
                features[2 * (first + k)] = sines[k];
                features[2 * (first + k) + 1] = cosines[k];
            }
        }
    }

    std::vector<double> frequencies_;
    const Kernels *kernels_;
};

std::unique_ptr<PositionEncoding> make(const ModelConfig &config, const Kernels &kernels) {
    return std::make_unique<Grid>(
        geometric_frequencies(config.frequencies, config.min_radius, config.max_radius), kernels);
}

}  // namespace

PositionFamily grid_family() {
    return {"grid", {"Space2Vec-grid", "gridcell"}, true, make};
}

}  // namespace csp

// Space2Vec-grid [gridcell]: sines and cosines of longitude and latitude at F scales (Mai et al.,
// Multi-Scale Representation Learning for Spatial Feature Distributions using Grid Cells, ICLR 2020).
#include "coordinates.h"
#include "frequencies.h"
#include "position_family.h"

namespace csp {

namespace {

int dim(const ModelConfig &config) {
    return 4 * config.frequencies;
}

class Grid : public PositionEncoding {
public:
    Grid(std::vector<double> frequencies, double unit, const Kernels &kernels)
        : PositionEncoding(4 * static_cast<int>(frequencies.size())),
          frequencies_(std::move(frequencies)),
          unit_(unit),
          kernels_(&kernels) {}

    void encode_one(float lon, float lat, float *features) const override {
        kernels_->waves(static_cast<double>(lon) * unit_, frequencies_.data(), frequencies_.size(), features);
        kernels_->waves(static_cast<double>(lat) * unit_, frequencies_.data(), frequencies_.size(),
                        features + 2 * frequencies_.size());
    }

private:
    std::vector<double> frequencies_;
    double unit_;  // of a degree
    const Kernels *kernels_;
};

std::unique_ptr<PositionEncoding> make_grid(const ModelConfig &config, const TensorMap &tensors,
                                            const Kernels &kernels) {
    return std::make_unique<Grid>(configured_frequencies(config, tensors), 1, kernels);
}

// The published class converts degrees to radians and then takes the degrees.
std::unique_ptr<PositionEncoding> make_grid_norm(const ModelConfig &config, const TensorMap &tensors,
                                                 const Kernels &kernels) {
    return std::make_unique<Grid>(configured_frequencies(config, tensors), config.published_defects ? 1 : pi / 180,
                                  kernels);
}

}  // namespace

std::vector<PositionFamily> grid_families() {
    return {{"grid", {"Space2Vec-grid", "gridcell"}, set_radii_in_degrees, require_scales, dim, make_grid},
            {"gridcellnorm", {}, set_radii_in_radians, require_scales, dim, make_grid_norm}};
}

}  // namespace csp

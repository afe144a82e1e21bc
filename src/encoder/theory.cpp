// Space2Vec-theory: waves along three directions 120 degrees apart, whose interference makes the hexagons of grid cells
// (Mai et al., ICLR 2020); theorydiag, the same with a matrix of its own a scale; and hexagridcell, three phases an axis.
#include <cmath>

#include "coordinates.h"
#include "error.h"
#include "frequencies.h"
#include "position_family.h"
#include "waves.h"

namespace csp {

namespace {

const double half_root3 = std::sqrt(3.0) / 2;

int dim(const ModelConfig &config) {
    return 6 * config.frequencies;
}

class Theory : public PositionEncoding {
public:
    Theory(std::vector<double> frequencies, double unit, const Kernels &kernels)
        : PositionEncoding(6 * static_cast<int>(frequencies.size())),
          frequencies_(std::move(frequencies)),
          unit_(unit),
          kernels_(&kernels) {}

    // features[6k + 2j] = sin((x . v_j) w_k), features[6k + 2j + 1] its cosine.
    void encode_one(float lon, float lat, float *features) const override {
        const double x = static_cast<double>(lon) * unit_;
        const double y = static_cast<double>(lat) * unit_;
        const double along[3] = {x, -0.5 * x + half_root3 * y, -0.5 * x - half_root3 * y};
        for_each_wave(*kernels_, along, frequencies_, [&](std::size_t, std::size_t, float sine, float cosine) {
            *features++ = sine;
            *features++ = cosine;
        });
    }

private:
    std::vector<double> frequencies_;
    double unit_;  // of a degree
    const Kernels *kernels_;
};

// features[axis * 3F + 3k + q] = sin(x_axis w_k + 2 pi q / 3).
class HexaGrid : public PositionEncoding {
public:
    HexaGrid(std::vector<double> frequencies, const Kernels &kernels)
        : PositionEncoding(6 * static_cast<int>(frequencies.size())),
          frequencies_(std::move(frequencies)),
          kernels_(&kernels) {}

    void encode_one(float lon, float lat, float *features) const override {
        const double coordinates[2] = {static_cast<double>(lon), static_cast<double>(lat)};
        const auto c = static_cast<float>(half_root3);
        for_each_wave(*kernels_, coordinates, frequencies_,
                      [&](std::size_t k, std::size_t axis, float sine, float cosine) {
                          float *out = features + 3 * (axis * frequencies_.size() + k);
                          out[0] = sine;
                          out[1] = c * cosine - 0.5f * sine;
                          out[2] = -c * cosine - 0.5f * sine;
                      });
    }

private:
    std::vector<double> frequencies_;
    const Kernels *kernels_;
};

std::unique_ptr<PositionEncoding> make_theory(const ModelConfig &config, const TensorMap &tensors,
                                              const Kernels &kernels) {
    return std::make_unique<Theory>(configured_frequencies(config, tensors), 1, kernels);
}

std::unique_ptr<PositionEncoding> make_theory_norm(const ModelConfig &config, const TensorMap &tensors,
                                                   const Kernels &kernels) {
    return std::make_unique<Theory>(configured_frequencies(config, tensors), pi / 180, kernels);
}

std::unique_ptr<PositionEncoding> make_hexagrid(const ModelConfig &config, const TensorMap &tensors,
                                                const Kernels &kernels) {
    std::vector<double> frequencies = config.published_defects
                                          ? legacy_frequencies(config.frequencies, config.max_radius)
                                          : configured_frequencies(config, tensors);
    return std::make_unique<HexaGrid>(std::move(frequencies), kernels);
}

void set_diagonal(ModelConfig &config) {
    set_radii_in_degrees(config);
    config.network = NetworkKind::diagonal;
    config.frequencies = 16;  // divides the usual embedding_dim, 256
}

void set_linear(ModelConfig &config) {
    set_radii_in_degrees(config);
    config.network = NetworkKind::linear;
}

}  // namespace

std::vector<PositionFamily> theory_families() {
    return {{"theory", {"Space2Vec-theory"}, set_radii_in_degrees, require_scales, dim, make_theory},
            {"theorynorm", {}, set_radii_in_radians, require_scales, dim, make_theory_norm},
            {"theorydiag", {}, set_diagonal, require_scales, dim, make_theory},
            {"hexagridcell", {}, set_linear, require_scales, dim, make_hexagrid}};
}

}  // namespace csp

// The place as a point of the unit ball in space: xyz itself, and NeRF's waves of it (Mildenhall et al., 2020).
#include <cmath>

#include "coordinates.h"
#include "frequencies.h"
#include "position_family.h"
#include "waves.h"

namespace csp {

namespace {

struct Point {
    double xyz[3];
};

Point point_of(float lon, float lat) {
    const double l = radians(lon);
    const double p = radians(lat);
    return {{std::cos(p) * std::cos(l), std::cos(p) * std::sin(l), std::sin(p)}};
}

class Xyz : public PositionEncoding {
public:
    Xyz() : PositionEncoding(3) {}

    void encode_one(float lon, float lat, float *features) const override {
        const Point point = point_of(lon, lat);
        for (int axis = 0; axis < 3; ++axis)
            features[axis] = static_cast<float>(point.xyz[axis]);
    }
};

// features[s * 3F + axis * F + k]: s = 0 sin, 1 cos of axis * w_k.
class Nerf : public PositionEncoding {
public:
    Nerf(std::vector<double> frequencies, const Kernels &kernels)
        : PositionEncoding(6 * static_cast<int>(frequencies.size())),
          frequencies_(std::move(frequencies)),
          kernels_(&kernels) {}

    void encode_one(float lon, float lat, float *features) const override {
        const Point point = point_of(lon, lat);
        const std::size_t count = frequencies_.size();
        for_each_wave(*kernels_, point.xyz, frequencies_,
                      [&](std::size_t k, std::size_t axis, float sine, float cosine) {
                          features[axis * count + k] = sine;
                          features[(3 + axis) * count + k] = cosine;
                      });
    }

private:
    std::vector<double> frequencies_;
    const Kernels *kernels_;
};

// The published class takes 16 frequencies, whatever it is told.
int nerf_frequency_count(const ModelConfig &config) {
    return config.published_defects ? 16 : config.frequencies;
}

void check_nerf(const ModelConfig &config) {
    if (!config.published_defects)
        require_scales(config);
}

int xyz_dim(const ModelConfig &) {
    return 3;
}

int nerf_dim(const ModelConfig &config) {
    return 6 * nerf_frequency_count(config);
}

std::unique_ptr<PositionEncoding> make_xyz(const ModelConfig &, const TensorMap &, const Kernels &) {
    return std::make_unique<Xyz>();
}

std::unique_ptr<PositionEncoding> make_nerf(const ModelConfig &config, const TensorMap &tensors,
                                            const Kernels &kernels) {
    return std::make_unique<Nerf>(
        config.published_defects ? nerf_frequencies(16) : configured_frequencies(config, tensors), kernels);
}

// Finer than 2^7 a unit is noise for what is known of a place by its image.
void set_nerf(ModelConfig &config) {
    config.frequency_list = FrequencyList::nerf;
    config.frequencies = 8;
}

}  // namespace

std::vector<PositionFamily> cartesian_families() {
    return {{"xyz", {}, nullptr, nullptr, xyz_dim, make_xyz},
            {"NeRF", {}, set_nerf, check_nerf, nerf_dim, make_nerf}};
}

}  // namespace csp

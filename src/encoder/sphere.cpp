// Sphere2Vec: products of sines and cosines of longitude and latitude at F scales, which keep distances on the sphere
// (Mai et al., Sphere2Vec, ISPRS Journal of Photogrammetry and Remote Sensing, 2023). p_k = lat w_k, l_k = lon w_k, in
// radians.
#include <cmath>

#include "coordinates.h"
#include "frequencies.h"
#include "position_family.h"
#include "waves.h"

namespace csp {

namespace {

struct Wave {
    float sine, cosine;
};

// What the features of a scale are made of.
struct Scale {
    Wave lat, lon;              // at this scale
    Wave plain_lat, plain_lon;  // of the coordinates themselves
};

void sphere_c(const Scale &s, float *out) {
    out[0] = s.lat.sine;
    out[1] = s.lat.cosine * s.lon.cosine;
    out[2] = s.lat.cosine * s.lon.sine;
}

void sphere_c_plus(const Scale &s, float *out) {
    out[0] = s.lat.sine;
    out[1] = s.lat.cosine;
    out[2] = s.lon.sine;
    out[3] = s.lon.cosine;
    out[4] = s.lat.cosine * s.lon.cosine;
    out[5] = s.lat.cosine * s.lon.sine;
}

void mixed_products(const Scale &s, float *out) {
    out[0] = s.lat.cosine * s.plain_lon.cosine;
    out[1] = s.plain_lat.cosine * s.lon.cosine;
    out[2] = s.lat.cosine * s.plain_lon.sine;
    out[3] = s.plain_lat.cosine * s.lon.sine;
}

void sphere_m(const Scale &s, float *out) {
    out[0] = s.lat.sine;
    mixed_products(s, out + 1);
}

void sphere_m_plus(const Scale &s, float *out) {
    out[0] = s.lat.sine;
    out[1] = s.lat.cosine;
    out[2] = s.lon.sine;
    out[3] = s.lon.cosine;
    mixed_products(s, out + 4);
}

Wave wave_of(double angle) {
    return {static_cast<float>(std::sin(angle)), static_cast<float>(std::cos(angle))};
}

template <void (*combine)(const Scale &, float *), int features_a_scale>
class Sphere : public PositionEncoding {
public:
    Sphere(std::vector<double> frequencies, const Kernels &kernels)
        : PositionEncoding(features_a_scale * static_cast<int>(frequencies.size())),
          frequencies_(std::move(frequencies)),
          kernels_(&kernels) {}

    void encode_one(float lon, float lat, float *features) const override {
        const double coordinates[2] = {radians(lat), radians(lon)};
        Scale scale{};
        if (features_a_scale == 5 || features_a_scale == 8) {  // the mixed-scale ones
            scale.plain_lat = wave_of(coordinates[0]);
            scale.plain_lon = wave_of(coordinates[1]);
        }
        for_each_wave(*kernels_, coordinates, frequencies_,
                      [&](std::size_t k, std::size_t axis, float sine, float cosine) {
                          (axis == 0 ? scale.lat : scale.lon) = {sine, cosine};
                          if (axis == 1)
                              combine(scale, features + k * features_a_scale);
                      });
    }

private:
    std::vector<double> frequencies_;
    const Kernels *kernels_;
};

// All products of a wave of longitude with one of latitude, then the waves themselves.
class SphereDfs : public PositionEncoding {
    // One more would have more features than validate() lets pass.
    static constexpr std::size_t most_frequencies = 127;

public:
    SphereDfs(std::vector<double> frequencies, const Kernels &kernels)
        : PositionEncoding(4 * static_cast<int>(frequencies.size() * (frequencies.size() + 1))),
          frequencies_(std::move(frequencies)),
          kernels_(&kernels) {}

    void encode_one(float lon, float lat, float *features) const override {
        const double coordinates[2] = {radians(lat), radians(lon)};
        const std::size_t count = frequencies_.size();
        // Beyond the products: sin p_k, cos p_k, sin l_k, cos l_k.
        float *waves = features + 4 * count * count;
        float of_lat[2 * most_frequencies];  // sin p_0, sin p_1, ..., cos p_0, ...
        float of_lon[2 * most_frequencies];
        for_each_wave(*kernels_, coordinates, frequencies_,
                      [&](std::size_t k, std::size_t axis, float sine, float cosine) {
                          float *of_axis = axis == 0 ? of_lat : of_lon;
                          waves[4 * k + 2 * axis] = of_axis[k] = sine;
                          waves[4 * k + 2 * axis + 1] = of_axis[count + k] = cosine;
                      });
        for (std::size_t i = 0; i < 2 * count; ++i)
            for (std::size_t j = 0; j < 2 * count; ++j)
                *features++ = of_lon[i] * of_lat[j];
    }

private:
    std::vector<double> frequencies_;
    const Kernels *kernels_;
};

template <typename Encoding>
std::unique_ptr<PositionEncoding> make(const ModelConfig &config, const TensorMap &tensors, const Kernels &kernels) {
    return std::make_unique<Encoding>(configured_frequencies(config, tensors), kernels);
}

// The published sphereM+ and dfs take no notice of min_radius.
template <typename Encoding>
std::unique_ptr<PositionEncoding> make_or_legacy(const ModelConfig &config, const TensorMap &tensors,
                                                 const Kernels &kernels) {
    if (!config.published_defects)
        return make<Encoding>(config, tensors, kernels);
    return std::make_unique<Encoding>(legacy_frequencies(config.frequencies, config.max_radius), kernels);
}

template <int features_a_scale>
int dim(const ModelConfig &config) {
    return features_a_scale * config.frequencies;
}

int dfs_dim(const ModelConfig &config) {
    return 4 * config.frequencies * (config.frequencies + 1);
}

void set_defaults(ModelConfig &config) {
    config.min_radius = 0.06;
    config.max_radius = 1;
}

void set_dfs_defaults(ModelConfig &config) {
    set_defaults(config);
    config.frequencies = 8;  // 288 features
}

}  // namespace

std::vector<PositionFamily> sphere_families() {
    return {{"sphereC", {"Sphere2Vec-sphereC", "sphere"}, set_defaults, require_scales, dim<3>,
             make<Sphere<sphere_c, 3>>},
            {"sphereC+", {"Sphere2Vec-sphereC+", "spheregrid"}, set_defaults, require_scales, dim<6>,
             make<Sphere<sphere_c_plus, 6>>},
            {"sphereM", {"Sphere2Vec-sphereM", "spheremixscale"}, set_defaults, require_scales, dim<5>,
             make<Sphere<sphere_m, 5>>},
            {"sphereM+", {"Sphere2Vec-sphereM+", "spheregridmixscale"}, set_defaults, require_scales, dim<8>,
             make_or_legacy<Sphere<sphere_m_plus, 8>>},
            {"dfs", {"Sphere2Vec-dfs", "dft"}, set_dfs_defaults, require_scales, dfs_dim, make_or_legacy<SphereDfs>}};
}

}  // namespace csp

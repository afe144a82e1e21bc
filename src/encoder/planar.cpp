// Encodings by a handful of features of the plane: naive, the scaled coordinates; wrap [geo_net] and wrap_ffn
// [geo_net_fft], their first waves (Mac Aodha et al., Presence-Only Geographical Priors, ICCV 2019).
#include <cmath>

#include "coordinates.h"
#include "position_family.h"

namespace csp {

namespace {

class Naive : public PositionEncoding {
public:
    explicit Naive(const Extent &extent) : PositionEncoding(2), extent_(extent) {}

    void encode_one(float lon, float lat, float *features) const override {
        features[0] = normalized(lon, extent_.west, extent_.east);
        features[1] = normalized(lat, extent_.south, extent_.north);
    }

private:
    Extent extent_;
};

int wrap_dim(const ModelConfig &config) {
    switch (config.wrap_features) {
        case WrapFeatures::encode_cos_sin: return 4;
        case WrapFeatures::encode_3D: return 3;
        case WrapFeatures::encode_none: break;
    }
    return 2;
}

// x = lon / 180 and y = lat / 90 in float32. Latitude has the period of 180 degrees: both poles are one.
class Wrap : public PositionEncoding {
public:
    explicit Wrap(const ModelConfig &config) : PositionEncoding(wrap_dim(config)), kind_(config.wrap_features) {}

    void encode_one(float lon, float lat, float *features) const override {
        const float x = lon / 180.0f;
        const float y = lat / 90.0f;
        switch (kind_) {
            case WrapFeatures::encode_cos_sin: return waves(x, y, features);
            case WrapFeatures::encode_3D: return three_dimensions(x, y, features);
            case WrapFeatures::encode_none: break;
        }
        features[0] = x;
        features[1] = y;
    }

private:
    static void waves(double x, double y, float *features) {
        features[0] = static_cast<float>(std::sin(pi * x));
        features[1] = static_cast<float>(std::sin(pi * y));
        features[2] = static_cast<float>(std::cos(pi * x));
        features[3] = static_cast<float>(std::cos(pi * y));
    }

    static void three_dimensions(double x, double y, float *features) {
        features[0] = static_cast<float>(std::cos(pi * x) * std::cos(pi * y));
        features[1] = static_cast<float>(std::sin(pi * x) * std::cos(pi * y));
        features[2] = static_cast<float>(std::sin(pi * y));
    }

    WrapFeatures kind_;
};

int naive_dim(const ModelConfig &) {
    return 2;
}

std::unique_ptr<PositionEncoding> make_naive(const ModelConfig &config, const TensorMap &, const Kernels &) {
    return std::make_unique<Naive>(config.extent);
}

std::unique_ptr<PositionEncoding> make_wrap(const ModelConfig &config, const TensorMap &, const Kernels &) {
    return std::make_unique<Wrap>(config);
}

void set_fcnet(ModelConfig &config) {
    config.network = NetworkKind::fcnet;
    config.hidden_layers = 4;
    config.activation = Activation::relu;
}

}  // namespace

std::vector<PositionFamily> planar_families() {
    return {{"naive", {}, nullptr, require_extent, naive_dim, make_naive},
            {"wrap", {"geo_net"}, set_fcnet, nullptr, wrap_dim, make_wrap},
            {"wrap_ffn", {"geo_net_fft"}, nullptr, nullptr, wrap_dim, make_wrap}};
}

}  // namespace csp

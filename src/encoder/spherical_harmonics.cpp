// Spherical harmonics up to a degree (Russwurm et al., Geographic Location Encoding with Spherical Harmonics and
// Sinusoidal Representation Networks, ICLR 2024), in the two conventions of SatCLIP.
//
// For l = 0..L-1 and m = -l..l: Y = K P_l^|m|(cos theta) times 1, sqrt 2 cos(m phi) or sqrt 2 sin(|m| phi) for m = 0,
// m > 0 and m < 0, with K = sqrt((2l+1)/(4 pi) (l-|m|)!/(l+|m|)!) and P with the Condon-Shortley sign; phi is the
// longitude plus 180 degrees and theta the latitude plus 90 degrees: measured from the south pole.
#include <cmath>

#include "coordinates.h"
#include "position_family.h"

namespace csp {

namespace {

int dim(const ModelConfig &config) {
    return config.degrees * config.degrees;
}

class SphericalHarmonics : public PositionEncoding {
public:
    explicit SphericalHarmonics(const ModelConfig &config)
        : PositionEncoding(config.degrees * config.degrees), degrees_(config.degrees), analytic_(config.harmonics == Harmonics::analytic) {
        for (int m = 0; m < degrees_; ++m) {
            diagonal_.push_back(m == 0 ? std::sqrt(1 / (4 * pi)) : -std::sqrt((2.0 * m + 1) / (2.0 * m)));
            for (int l = m + 1; l < degrees_; ++l) {
                const double square = static_cast<double>(l) * l - static_cast<double>(m) * m;
                up_.push_back(std::sqrt((4.0 * l * l - 1) / square));
                const double before = (l - 1.0) * (l - 1.0) - static_cast<double>(m) * m;
                down_.push_back(std::sqrt((2.0 * l + 1) * before / ((2.0 * l - 3) * square)));
            }
        }
    }

    void encode_one(float lon, float lat, float *features) const override {
        const double phi = radians(lon) + pi;
        const double theta = radians(lat) + pi / 2;
        const double x = std::cos(theta);
        const double y = std::sin(theta);
        double sectoral = 1;  // K P_m^m
        std::size_t next = 0;
        for (int m = 0; m < degrees_; ++m) {
            sectoral *= m == 0 ? diagonal_[0] : diagonal_[static_cast<std::size_t>(m)] * y;
            encode_order(m, phi, x, sectoral, next, features);
        }
    }

private:
    // All degrees of one order, by the recurrence of the normalised functions in l.
    void encode_order(int m, double phi, double x, double sectoral, std::size_t &next, float *features) const {
        const double cosine = m == 0 ? zonal_factor() : order_factor(m) * std::cos(m * phi);
        const double sine = m == 0 ? 0 : order_factor(m) * std::sin(m * phi);
        double previous = 0;
        double current = sectoral;
        for (int l = m; l < degrees_; ++l) {
            if (l > m) {
                const double following = up_[next] * x * current - down_[next] * previous;
                ++next;
                previous = current;
                current = following;
            }
            features[l * l + l + m] = static_cast<float>(current * cosine);
            if (m > 0)
                features[l * l + l - m] = static_cast<float>(current * sine);
        }
    }

    double zonal_factor() const { return analytic_ ? pi : 1; }

    double order_factor(int m) const { return (analytic_ && m % 2 != 0 ? -1 : 1) * std::sqrt(2.0); }

    int degrees_;
    bool analytic_;
    std::vector<double> diagonal_;  // K P_m^m from K P_(m-1)^(m-1)
    std::vector<double> up_, down_;  // of the recurrence, order by order
};

std::unique_ptr<PositionEncoding> make(const ModelConfig &config, const TensorMap &, const Kernels &) {
    return std::make_unique<SphericalHarmonics>(config);
}

void set_siren(ModelConfig &config) {
    config.network = NetworkKind::siren;
    config.hidden_layers = 2;
}

}  // namespace

std::vector<PositionFamily> harmonics_families() {
    return {{"spherical_harmonics", {"Siren(SH)", "sphericalharmonics"}, set_siren, nullptr, dim, make}};
}

}  // namespace csp

// Sphere2Vec-sphereC+ [spheregrid]: products of sines and cosines of longitude and latitude that
// keep spherical distance at F scales, beside the features of grid in radians (Mai et al.,
// Sphere2Vec, ISPRS Journal of Photogrammetry and Remote Sensing, 2023).
#include "frequencies.h"
#include "position_family.h"

namespace csp {

namespace {

constexpr double pi = 3.14159265358979323846;

double radians(double degrees) {
    return static_cast<double>(static_cast<float>(degrees)) * pi / 180.0;
}

class SphereGrid : public PositionEncoding {
public:
    SphereGrid(std::vector<double> frequencies, const Kernels &kernels)
        : frequencies_(std::move(frequencies)), kernels_(&kernels) {}

    int dim() const override { return 6 * static_cast<int>(frequencies_.size()); }

    void encode(const double *lonlat, std::size_t n, float *features) const override {
        for (std::size_t i = 0; i < n; ++i)
            encode_location(radians(lonlat[2 * i]), radians(lonlat[2 * i + 1]),
                            features + i * static_cast<std::size_t>(dim()));
    }

private:
    void encode_location(double lon, double lat, float *features) const {
        constexpr std::size_t chunk = 64;
        double angles[2 * chunk];  // latitudes, then longitudes
        float sines[2 * chunk];
        float cosines[2 * chunk];
        const std::size_t count = frequencies_.size();
        for (std::size_t first = 0; first < count; first += chunk) {
            const std::size_t size = count - first < chunk ? count - first : chunk;
            for (std::size_t k = 0; k < size; ++k) {
                angles[k] = lat * frequencies_[first + k];
                angles[size + k] = lon * frequencies_[first + k];
            }
            kernels_->sincos(angles, 2 * size, sines, cosines);
            for (std::size_t k = 0; k < size; ++k)
                combine(sines[k], cosines[k], sines[size + k], cosines[size + k], features + 6 * (first + k));
        }
    }

    static void combine(float sin_lat, float cos_lat, float sin_lon, float cos_lon, float *features) {
        features[0] = sin_lat;
        features[1] = cos_lat;
        features[2] = sin_lon;
        features[3] = cos_lon;
        features[4] = cos_lat * cos_lon;
        features[5] = cos_lat * sin_lon;
    }

    std::vector<double> frequencies_;
    const Kernels *kernels_;
};

std::unique_ptr<PositionEncoding> make(const ModelConfig &config, const Kernels &kernels) {
    return std::make_unique<SphereGrid>(
        geometric_frequencies(config.frequencies, config.min_radius, config.max_radius), kernels);
}

}  // namespace

PositionFamily sphere_grid_family() {
    return {"sphereC+", {"Sphere2Vec-sphereC+", "spheregrid"}, true, make};
}

}  // namespace csp

// Position encodings: against features that the published code computed, and by their formulas.
#include "../../src/encoder/position_encoding.h"

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "../../src/encoder/position_family.h"
#include "encoder_support.h"

namespace {

using csp_test::all_kernels;

// sin and cos are within 1.5e-7 of the truth; the reference is rounded to float32 (6e-8 more at
// most) and a product of two of them may double the error.
constexpr double tolerance = 2e-7;
constexpr double product_tolerance = 3e-7;

csp::ModelConfig encoding_config(const std::string &name, int frequencies, double min_radius, double max_radius) {
    csp::ModelConfig config;
    csp::set_position_encoding(config, name);
    config.frequencies = frequencies;
    config.min_radius = min_radius;
    config.max_radius = max_radius;
    return config;
}

nlohmann::json reference() {
    std::ifstream file(CSP_TEST_DATA "/position_encoders.json");
    return nlohmann::json::parse(file);
}

TEST(PositionEncoding, AgreesWithPublishedFeatures) {
    const nlohmann::json data = reference();
    ASSERT_EQ(data["encodings"].size(), 12u);
    std::vector<double> lonlat;
    for (const auto &location : data["locations"])
        lonlat.insert(lonlat.end(), {location[0].get<double>(), location[1].get<double>()});
    for (const csp::Kernels *kernels : all_kernels())
        for (const auto &entry : data["encodings"]) {
            csp::ModelConfig config =
                encoding_config(entry["type"], entry["frequencies"], entry["min_radius"], entry["max_radius"]);
            config.published_defects = true;
            const auto encoding = csp::make_position_encoding(config, {}, *kernels);
            const std::size_t n = lonlat.size() / 2;
            const auto dim = static_cast<std::size_t>(encoding->dim());
            std::vector<float> features(n * dim);
            encoding->encode(lonlat.data(), n, features.data());
            ASSERT_EQ(entry["features"].size(), n);
            for (std::size_t i = 0; i < n; ++i) {
                const auto expected = entry["features"][i].get<std::vector<double>>();
                ASSERT_EQ(expected.size(), dim);
                for (std::size_t j = 0; j < dim; ++j)
                    EXPECT_NEAR(features[i * dim + j], expected[j], tolerance)
                        << kernels->name << " " << entry["type"] << " location " << i << " feature " << j;
            }
        }
}

std::vector<double> awkward_locations() {
    std::vector<double> lonlat = {180, 90, -180, -90, 0.1, 0.2, 13.404954, 52.520008, 1e-30, -1e-30, 179.9999999, 0};
    for (int i = 0; i < 60; ++i)
        lonlat.insert(lonlat.end(), {180 * std::sin(i * 1.3), 90 * std::cos(i * 2.1)});
    return lonlat;
}

double frequency(const csp::ModelConfig &config, int k) {
    const double increment = std::log(config.max_radius / config.min_radius) / (config.frequencies - 1);
    return 1.0 / (config.min_radius * std::exp(k * increment));
}

void check_grid(const csp::ModelConfig &config, const double *lonlat, const float *features) {
    const int count = config.frequencies;
    for (int axis = 0; axis < 2; ++axis)
        for (int k = 0; k < count; ++k) {
            const double angle = static_cast<double>(static_cast<float>(lonlat[axis])) * frequency(config, k);
            EXPECT_NEAR(features[axis * 2 * count + 2 * k], std::sin(angle), tolerance) << angle;
            EXPECT_NEAR(features[axis * 2 * count + 2 * k + 1], std::cos(angle), tolerance) << angle;
        }
}

void check_sphere(const csp::ModelConfig &config, const double *lonlat, const float *features) {
    for (int k = 0; k < config.frequencies; ++k, features += 6) {
        const double lon = static_cast<double>(static_cast<float>(lonlat[0])) * M_PI / 180 * frequency(config, k);
        const double lat = static_cast<double>(static_cast<float>(lonlat[1])) * M_PI / 180 * frequency(config, k);
        EXPECT_NEAR(features[0], std::sin(lat), tolerance);
        EXPECT_NEAR(features[1], std::cos(lat), tolerance);
        EXPECT_NEAR(features[2], std::sin(lon), tolerance);
        EXPECT_NEAR(features[3], std::cos(lon), tolerance);
        EXPECT_NEAR(features[4], std::cos(lat) * std::cos(lon), product_tolerance);
        EXPECT_NEAR(features[5], std::cos(lat) * std::sin(lon), product_tolerance);
    }
}

// Counts around the chunks of the encodings and of the kernels, and the finest scales in use:
// there angles reach 1.8e6 (grid) and a rounding of the coordinate or of the angle would show.
TEST(PositionEncoding, FollowsItsFormula) {
    const std::vector<double> lonlat = awkward_locations();
    for (const csp::Kernels *kernels : all_kernels())
        for (const char *name : {"grid", "sphereC+"})
            for (int frequencies : {2, 3, 17, 31, 32, 33, 63, 64, 65, 130, 1024})
                for (double min_radius : {1e-6, 1e-4, 0.1}) {
                    const csp::ModelConfig config = encoding_config(name, frequencies, min_radius, 360);
                    const auto encoding = csp::make_position_encoding(config, {}, *kernels);
                    const auto dim = static_cast<std::size_t>(encoding->dim());
                    std::vector<float> features(lonlat.size() / 2 * dim);
                    encoding->encode(lonlat.data(), lonlat.size() / 2, features.data());
                    for (std::size_t i = 0; i < lonlat.size() / 2; i += frequencies > 100 ? 16 : 1)
                        (name[0] == 'g' ? check_grid : check_sphere)(config, lonlat.data() + 2 * i,
                                                                     features.data() + i * dim);
                }
}

TEST(PositionEncoding, RoundsCoordinatesToFloat32First) {
    const auto encoding = csp::make_position_encoding(encoding_config("grid", 4, 1e-4, 360));
    const double precise[2] = {13.404954, 52.520008};
    const double rounded[2] = {static_cast<float>(precise[0]), static_cast<float>(precise[1])};
    ASSERT_NE(precise[0], rounded[0]);
    float a[16], b[16];
    encoding->encode(precise, 1, a);
    encoding->encode(rounded, 1, b);
    for (int i = 0; i < 16; ++i)
        EXPECT_EQ(a[i], b[i]);
    // Without the rounding the finest feature would be another number altogether.
    EXPECT_GT(std::fabs(a[0] - std::sin(precise[0] / 1e-4)), 1e-4);
}

TEST(PositionEncoding, NotANumberStaysNotANumber) {
    const auto encoding = csp::make_position_encoding(encoding_config("grid", 4, 0.1, 360));
    const double lonlat[2] = {std::nan(""), 10};
    float features[16];
    encoding->encode(lonlat, 1, features);
    EXPECT_TRUE(std::isnan(features[0]));
    EXPECT_FALSE(std::isnan(features[8]));
}

TEST(PositionEncoding, NamesAndAliases) {
    for (const char *name : {"grid", "Space2Vec-grid", "gridcell", "GRIDCELL", "space2vec-GRID"})
        EXPECT_EQ(csp::canonical_position_encoding(name), "grid") << name;
    for (const char *name : {"sphereC+", "Sphere2Vec-sphereC+", "spheregrid", "spherec+"})
        EXPECT_EQ(csp::canonical_position_encoding(name), "sphereC+") << name;
    for (const std::string &name : csp::position_encoding_names())
        EXPECT_EQ(csp::canonical_position_encoding(name), name);
    for (const std::string &name : {std::string(), std::string("gri"), std::string("grid\0x", 6), std::string("grid ")})
        csp_test::expect_error(csp::ErrorKind::undefined_object, [&] { csp::canonical_position_encoding(name); }, name);
    try {
        csp::canonical_position_encoding("gird");
    } catch (const csp::Error &error) {
        EXPECT_NE(error.hint().find("grid, gridcellnorm, theory"), std::string::npos) << error.hint();
    }
}

TEST(PositionEncoding, InvalidParametersAreRefused) {
    csp_test::expect_error(csp::ErrorKind::invalid_parameter,
                           [] { csp::make_position_encoding(encoding_config("grid", 1, 0.1, 360)); });
    csp_test::expect_error(csp::ErrorKind::undefined_object,
                           [] { csp::make_position_encoding(encoding_config("none", 4, 0.1, 360)); });
    const auto refused = [](const std::string &name, auto change) {
        csp::ModelConfig config;
        csp::set_position_encoding(config, name);
        change(config);
        csp_test::expect_error(csp::ErrorKind::invalid_parameter, [&] { csp::make_position_encoding(config); }, name);
    };
    refused("grid", [](csp::ModelConfig &c) { c.min_radius = 0; });
    refused("grid", [](csp::ModelConfig &c) { c.max_radius = c.min_radius; });
    refused("grid", [](csp::ModelConfig &c) { c.min_radius = std::nan(""); });
    refused("NeRF", [](csp::ModelConfig &c) { c.frequencies = 33; });
    refused("rbf", [](csp::ModelConfig &c) { c.kernel_size = 0; });
    refused("rbf", [](csp::ModelConfig &c) { c.anchors = 0; });
    refused("rff", [](csp::ModelConfig &c) { c.extent.east = c.extent.west; });
    refused("naive", [](csp::ModelConfig &c) { c.extent.north = std::nan(""); });
    refused("tile", [](csp::ModelConfig &c) { c.min_radius = 0.001; });
    refused("tile", [](csp::ModelConfig &c) { c.min_radius = 0; });
    refused("dfs", [](csp::ModelConfig &c) { c.frequencies = 200; });
    refused("spherical_harmonics", [](csp::ModelConfig &c) { c.degrees = 101; });
    refused("grid", [](csp::ModelConfig &c) { c.network = csp::NetworkKind::diagonal; });
    refused("theorydiag", [](csp::ModelConfig &c) { c.frequencies = 24; });
}

}  // namespace

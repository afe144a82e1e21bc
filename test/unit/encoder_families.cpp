// Every position encoding by its formula (doc/numerics.md), computed a second time in plain double arithmetic; and what
// the encodings keep in a model.
#include <algorithm>
#include <cmath>
#include <functional>
#include <map>

#include "../../src/encoder/dates.h"
#include "../../src/encoder/frequencies.h"
#include "../../src/encoder/kernel_features.h"
#include "../../src/encoder/position_family.h"
#include "../../src/encoder/tile.h"
#include "encoder_support.h"

namespace {

using csp::ModelConfig;
using Features = std::vector<double>;

// Sines and cosines are within 1.5e-7 of the truth, and some features are products of two.
constexpr double tolerance = 1e-6;

ModelConfig config_of(const std::string &name) {
    ModelConfig config;
    csp::set_position_encoding(config, name);
    return config;
}

std::vector<double> places() {
    std::vector<double> lonlat = {0, 0, 180, 90, -180, -90, 12.5, -89.9, 126.978, 37.5665, -0.1246, 51.5007};
    for (int i = 0; i < 40; ++i)
        lonlat.insert(lonlat.end(), {180 * std::sin(i * 1.3), 90 * std::cos(i * 2.1)});
    return lonlat;
}

double rounded(double x) {
    return static_cast<float>(x);
}

double rad(double degrees) {
    return rounded(degrees) * M_PI / 180;
}

std::vector<double> scales(const ModelConfig &config) {
    std::vector<double> w;
    for (int k = 0; k < config.frequencies; ++k)
        w.push_back(1 / (config.min_radius *
                         std::pow(config.max_radius / config.min_radius, double(k) / (config.frequencies - 1))));
    return w;
}

// Compares an encoding with a formula at all places, on every instruction set.
void check(const ModelConfig &config, const csp::TensorMap &tensors,
           const std::function<Features(double lon, double lat)> &formula) {
    const std::vector<double> lonlat = places();
    for (const csp::Kernels *kernels : csp_test::all_kernels()) {
        const auto encoding = csp::make_position_encoding(config, tensors, *kernels);
        ASSERT_EQ(encoding->dim(), csp::position_dim(config)) << config.position_encoding;
        std::vector<float> features(static_cast<std::size_t>(encoding->dim()));
        for (std::size_t i = 0; i < lonlat.size(); i += 2) {
            encoding->encode(&lonlat[i], 1, features.data());
            const Features expected = formula(lonlat[i], lonlat[i + 1]);
            ASSERT_EQ(expected.size(), features.size()) << config.position_encoding;
            for (std::size_t j = 0; j < expected.size(); ++j)
                ASSERT_NEAR(features[j], expected[j], tolerance)
                    << config.position_encoding << " on " << kernels->name << " at " << lonlat[i] << ", "
                    << lonlat[i + 1] << " feature " << j;
        }
    }
}

void append_theory(Features &out, double x, double y, const std::vector<double> &w) {
    const double root3 = std::sqrt(3.0);
    for (double f : w)
        for (double along : {x, (-x + root3 * y) / 2, (-x - root3 * y) / 2}) {
            out.push_back(std::sin(along * f));
            out.push_back(std::cos(along * f));
        }
}

TEST(PositionFamilies, GridInDegreesAndRadians) {
    for (const bool published : {false, true})
        for (const char *name : {"grid", "gridcellnorm"}) {
            ModelConfig config = config_of(name);
            config.published_defects = published;
            const double unit = config.position_encoding == "gridcellnorm" && !published ? M_PI / 180 : 1;
            check(config, {}, [&](double lon, double lat) {
                Features out;
                for (double x : {lon, lat})
                    for (double w : scales(config)) {
                        out.push_back(std::sin(rounded(x) * unit * w));
                        out.push_back(std::cos(rounded(x) * unit * w));
                    }
                return out;
            });
        }
}

TEST(PositionFamilies, Theory) {
    for (const char *name : {"theory", "theorynorm", "theorydiag"}) {
        const ModelConfig config = config_of(name);
        const double unit = config.position_encoding == "theorynorm" ? M_PI / 180 : 1;
        check(config, {}, [&](double lon, double lat) {
            Features out;
            append_theory(out, rounded(lon) * unit, rounded(lat) * unit, scales(config));
            return out;
        });
    }
}

TEST(PositionFamilies, HexagridcellAndItsPublishedFrequencies) {
    for (const bool published : {false, true}) {
        ModelConfig config = config_of("hexagridcell");
        config.published_defects = published;
        std::vector<double> w = scales(config);
        if (published)
            for (int k = 0; k < config.frequencies; ++k)
                w[k] = std::pow(config.max_radius, -double(k) / (config.frequencies - 1));
        check(config, {}, [&](double lon, double lat) {
            Features out;
            for (double x : {lon, lat})
                for (double f : w)
                    for (int q = 0; q < 3; ++q)
                        out.push_back(std::sin(rounded(x) * f + 2 * M_PI * q / 3));
            return out;
        });
    }
}

Features sphere_features(const std::string &name, double lon, double lat, double w) {
    const double l = rad(lon), p = rad(lat), lk = l * w, pk = p * w;
    if (name == "sphereC")
        return {std::sin(pk), std::cos(pk) * std::cos(lk), std::cos(pk) * std::sin(lk)};
    if (name == "sphereC+")
        return {std::sin(pk), std::cos(pk), std::sin(lk), std::cos(lk), std::cos(pk) * std::cos(lk),
                std::cos(pk) * std::sin(lk)};
    Features mixed = {std::cos(pk) * std::cos(l), std::cos(p) * std::cos(lk), std::cos(pk) * std::sin(l),
                      std::cos(p) * std::sin(lk)};
    Features out = {std::sin(pk)};
    if (name == "sphereM+")
        out.insert(out.end(), {std::cos(pk), std::sin(lk), std::cos(lk)});
    out.insert(out.end(), mixed.begin(), mixed.end());
    return out;
}

TEST(PositionFamilies, Sphere2Vec) {
    for (const std::string name : {"sphereC", "sphereC+", "sphereM", "sphereM+"}) {
        const ModelConfig config = config_of(name);
        check(config, {}, [&](double lon, double lat) {
            Features out;
            for (double w : scales(config))
                for (double feature : sphere_features(name, lon, lat, w))
                    out.push_back(feature);
            return out;
        });
    }
}

TEST(PositionFamilies, Dfs) {
    ModelConfig config = config_of("dfs");
    config.frequencies = 5;
    check(config, {}, [&](double lon, double lat) {
        Features of_lon, of_lat, out;
        for (const auto function : {+[](double x) { return std::sin(x); }, +[](double x) { return std::cos(x); }})
            for (double w : scales(config)) {
                of_lon.push_back(function(rad(lon) * w));
                of_lat.push_back(function(rad(lat) * w));
            }
        for (double a : of_lon)
            for (double b : of_lat)
                out.push_back(a * b);
        for (int k = 0; k < 5; ++k)
            out.insert(out.end(), {of_lat[k], of_lat[5 + k], of_lon[k], of_lon[5 + k]});
        return out;
    });
}

TEST(PositionFamilies, SphericalLegacyFrequenciesAreAllOne) {
    for (const char *name : {"sphereM+", "dfs"}) {
        ModelConfig config = config_of(name);
        config.published_defects = true;  // with the usual max_radius of 1
        const auto encoding = csp::make_position_encoding(config);
        std::vector<float> features(encoding->dim());
        const double place[2] = {12.5, 41.9};
        encoding->encode(place, 1, features.data());
        const std::size_t period = std::string(name) == "dfs" ? 1 : 8;
        for (std::size_t k = 1; k < 8; ++k)
            EXPECT_EQ(features[k * period], features[0]) << name;
    }
}

TEST(PositionFamilies, XyzAndNerf) {
    const auto xyz = [](double lon, double lat) {
        return Features{std::cos(rad(lat)) * std::cos(rad(lon)), std::cos(rad(lat)) * std::sin(rad(lon)),
                        std::sin(rad(lat))};
    };
    check(config_of("xyz"), {}, xyz);
    for (const bool published : {false, true}) {
        ModelConfig config = config_of("NeRF");
        config.published_defects = published;
        const int count = published ? 16 : config.frequencies;
        check(config, {}, [&](double lon, double lat) {
            Features out;
            for (int s = 0; s < 2; ++s)
                for (double c : xyz(lon, lat))
                    for (int k = 0; k < count; ++k)
                        out.push_back(s == 0 ? std::sin(c * M_PI * std::exp2(k)) : std::cos(c * M_PI * std::exp2(k)));
            return out;
        });
    }
}

TEST(PositionFamilies, NaiveAndWrap) {
    ModelConfig naive = config_of("naive");
    naive.extent = {-10, 30, 35, 70};
    check(naive, {}, [](double lon, double lat) {
        return Features{2 * (rounded(lon) + 10) / 40 - 1, 2 * (rounded(lat) - 35) / 35 - 1};
    });
    for (const char *name : {"wrap", "wrap_ffn"}) {
        ModelConfig config = config_of(name);
        check(config, {}, [](double lon, double lat) {
            const double x = lon / 180, y = lat / 90;
            return Features{std::sin(M_PI * x), std::sin(M_PI * y), std::cos(M_PI * x), std::cos(M_PI * y)};
        });
        config.wrap_features = csp::WrapFeatures::encode_3D;
        check(config, {}, [](double lon, double lat) {
            const double x = lon / 180, y = lat / 90;
            return Features{std::cos(M_PI * x) * std::cos(M_PI * y), std::sin(M_PI * x) * std::cos(M_PI * y),
                            std::sin(M_PI * y)};
        });
        config.wrap_features = csp::WrapFeatures::encode_none;
        check(config, {}, [](double lon, double lat) { return Features{lon / 180, lat / 90}; });
    }
}

TEST(PositionFamilies, RbfAndRff) {
    ModelConfig rbf = config_of("rbf");
    rbf.anchors = 37;
    rbf.kernel_size = 20;
    csp::TensorMap tensors = {{csp::rbf_anchors_tensor, csp_test::random_tensor({37, 2}, 80, 1)}};
    check(rbf, tensors, [&](double lon, double lat) {
        Features out;
        const auto &anchors = tensors.at(csp::rbf_anchors_tensor).values;
        for (int m = 0; m < 37; ++m) {
            const double dx = rounded(lon) - anchors[2 * m], dy = rounded(lat) - anchors[2 * m + 1];
            out.push_back(std::exp(-(dx * dx + dy * dy) / 800));
        }
        return out;
    });
    // In float32, as published.
    const auto scaled = [](double x, double most) { return static_cast<float>((rounded(x) + most) / (2 * most) * 2 - 1); };
    ModelConfig rff = config_of("rff");
    rff.frequencies = 70;
    tensors = {{csp::rff_directions_tensor, csp_test::random_tensor({2, 70}, 5, 2)},
               {csp::rff_shifts_tensor, csp_test::random_tensor({70}, 3, 3)}};
    check(rff, tensors, [&](double lon, double lat) {
        Features out;
        const auto &directions = tensors.at(csp::rff_directions_tensor).values;
        for (int k = 0; k < 70; ++k)
            out.push_back(std::sqrt(2.0 / 70) * std::cos(scaled(lon, 180) * directions[k] + scaled(lat, 90) * directions[70 + k] +
                                                         tensors.at(csp::rff_shifts_tensor).values[k]));
        return out;
    });
}

TEST(PositionFamilies, Tile) {
    ModelConfig config = config_of("tile");
    config.min_radius = 7;
    config.extent = {-30, 60, -40, 45};
    config.embedding_dim = 12;
    ASSERT_EQ(csp::tile_count(config), 13 * 13);  // 90 / 7 and 85 / 7, rounded up
    const csp::TensorMap tensors = {{csp::tile_tensor, csp_test::random_tensor({169, 12}, 1, 4)}};
    const auto number = csp::make_trainable_encoding(config);
    ASSERT_EQ(number->dim(), 1);
    check(config, tensors, [&](double lon, double lat) {
        const double column = std::clamp(std::floor((rounded(lon) + 30) / 7), 0.0, 12.0);
        const double row = std::clamp(std::floor((rounded(lat) + 40) / 7), 0.0, 12.0);
        float feature;
        number->encode_one(static_cast<float>(lon), static_cast<float>(lat), &feature);
        EXPECT_EQ(feature, row * 13 + column);
        const auto &table = tensors.at(csp::tile_tensor).values;
        const auto begin = table.begin() + static_cast<int>(row * 13 + column) * 12;
        return Features(begin, begin + 12);
    });
    config.published_defects = true;
    EXPECT_EQ(csp::tile_count(config), 1);
}

// P_l^m by its definition, with the Condon-Shortley sign, for the few degrees where that is easily written down.
double legendre(int l, int m, double x) {
    const double y = std::sqrt(1 - x * x);
    switch (10 * l + m) {
        case 0: return 1;
        case 10: return x;
        case 11: return -y;
        case 20: return (3 * x * x - 1) / 2;
        case 21: return -3 * x * y;
        case 22: return 3 * y * y;
        case 30: return (5 * x * x * x - 3 * x) / 2;
        case 31: return -1.5 * (5 * x * x - 1) * y;
        case 32: return 15 * x * y * y;
        case 33: return -15 * y * y * y;
        default: return std::nan("");
    }
}

TEST(PositionFamilies, SphericalHarmonicsOfLowDegree) {
    for (const bool analytic : {false, true}) {
        ModelConfig config = config_of("spherical_harmonics");
        config.degrees = 4;
        config.harmonics = analytic ? csp::Harmonics::analytic : csp::Harmonics::closed_form;
        check(config, {}, [&](double lon, double lat) {
            const double phi = rad(lon) + M_PI, theta = rad(lat) + M_PI / 2;
            Features out;
            for (int l = 0; l < 4; ++l)
                for (int m = -l; m <= l; ++m) {
                    const int order = std::abs(m);
                    const double k = std::sqrt((2 * l + 1) / (4 * M_PI) * std::tgamma(l - order + 1) /
                                               std::tgamma(l + order + 1));
                    const double sign = analytic && order % 2 ? -1 : 1;
                    const double wave = m == 0   ? (analytic ? M_PI : 1)
                                        : m > 0 ? sign * std::sqrt(2) * std::cos(m * phi)
                                                : sign * std::sqrt(2) * std::sin(order * phi);
                    out.push_back(k * legendre(l, order, std::cos(theta)) * wave);
                }
            return out;
        });
    }
}

// Of all orders together, by the addition theorem: the squares of a degree add up to (2l + 1) / (4 pi) everywhere.
TEST(PositionFamilies, SphericalHarmonicsOfHighDegree) {
    ModelConfig config = config_of("spherical_harmonics");
    config.degrees = 60;
    const auto encoding = csp::make_position_encoding(config);
    std::vector<float> features(encoding->dim());
    const std::vector<double> lonlat = places();
    for (std::size_t i = 0; i < lonlat.size(); i += 2) {
        encoding->encode(&lonlat[i], 1, features.data());
        for (int l = 0; l < 60; ++l) {
            double sum = 0;
            for (int j = l * l; j < (l + 1) * (l + 1); ++j)
                sum += double(features[j]) * features[j];
            EXPECT_NEAR(sum * 4 * M_PI / (2 * l + 1), 1, 1e-5) << l;
        }
    }
}

TEST(PositionFamilies, FrequencyLists) {
    ModelConfig config = config_of("grid");
    config.frequencies = 3;
    config.frequency_list = csp::FrequencyList::random;
    csp_test::expect_error(csp::ErrorKind::data_corrupted, [&] { csp::make_position_encoding(config); });
    const csp::TensorMap tensors = {{csp::frequencies_tensor, {{3}, {0.5f, 0.25f, 2.0f}}}};
    EXPECT_EQ(csp::configured_frequencies(config, tensors), (std::vector<double>{0.5, 0.25, 2}));
    config.frequency_list = csp::FrequencyList::nerf;
    EXPECT_EQ(csp::configured_frequencies(config, {}), (std::vector<double>{M_PI, 2 * M_PI, 4 * M_PI}));
}

TEST(PositionFamilies, MissingTensorsAreAnError) {
    for (const char *name : {"rbf", "rff", "tile"})
        csp_test::expect_error(csp::ErrorKind::data_corrupted, [&] { csp::make_position_encoding(config_of(name)); },
                               name);
}

TEST(PositionFamilies, Dates) {
    ModelConfig config = config_of("grid");
    EXPECT_EQ(csp::date_dim(config), 0);
    config.dates = true;
    ASSERT_EQ(csp::date_dim(config), 2);
    float features[2];
    csp::encode_date(config, 0.75f, features);
    EXPECT_NEAR(features[0], 1, 1e-7);
    EXPECT_NEAR(features[1], 0, 1e-7);
    config = config_of("wrap");
    config.dates = true;
    config.wrap_features = csp::WrapFeatures::encode_none;
    ASSERT_EQ(csp::date_dim(config), 1);
    csp::encode_date(config, 0.75f, features);
    EXPECT_EQ(features[0], 0.5f);
}

// The names that the papers and the two code bases use.
TEST(PositionFamilies, PublishedNames) {
    const std::map<std::string, std::string> names = {
        {"Space2Vec-grid", "grid"}, {"gridcell", "grid"}, {"Space2Vec-theory", "theory"}, {"geo_net", "wrap"},
        {"geo_net_fft", "wrap_ffn"}, {"sphere", "sphereC"}, {"spheregrid", "sphereC+"}, {"spheremixscale", "sphereM"},
        {"spheregridmixscale", "sphereM+"}, {"dft", "dfs"}, {"tile_ffn", "tile"}, {"Sphere2Vec-sphereC", "sphereC"},
        {"Sphere2Vec-sphereC+", "sphereC+"}, {"Sphere2Vec-sphereM", "sphereM"}, {"Sphere2Vec-sphereM+", "sphereM+"},
        {"Sphere2Vec-dfs", "dfs"}, {"nerf", "NeRF"}};
    for (const auto &[published, canonical] : names)
        EXPECT_EQ(csp::canonical_position_encoding(published), canonical);
    for (const char *name : {"grid", "gridcellnorm", "theory", "theorynorm", "theorydiag", "hexagridcell", "naive", "rbf",
                             "rff", "wrap", "wrap_ffn", "xyz", "NeRF", "sphereC", "sphereC+", "sphereM", "sphereM+", "dfs",
                             "tile", "spherical_harmonics"})
        EXPECT_EQ(csp::canonical_position_encoding(name), name);
    EXPECT_EQ(csp::position_encoding_names().size(), 20u);
}

}  // namespace

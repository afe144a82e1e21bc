// What the programs about position encodings share: any encoding with its usual parameters, and tensors for those that
// keep some. All numbers are made without a random generator, so that bench/encodings.py makes the same.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "../src/encoder/kernel_features.h"
#include "../src/encoder/position_encoding.h"
#include "../src/encoder/tile.h"

namespace csp_bench {

// The i-th of numbers that fill [0, 1) evenly.
inline double even(std::size_t i, double step) {
    const double x = (static_cast<double>(i) + 0.5) * step;
    return x - std::floor(x);
}

// The i-th of numbers in [0, 1) that look random (the mixer of SplitMix64).
inline double scattered(uint64_t i) {
    uint64_t x = (i + 1) * 0x9e3779b97f4a7c15;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return static_cast<double>((x ^ (x >> 31)) >> 11) * 0x1p-53;
}

constexpr double golden_step = 0.6180339887498949;
constexpr double lon_step = 0.7548776662466927;
constexpr double lat_step = 0.5698402909980532;

// Longitude and latitude of the i-th place.
inline double lon_of(std::size_t i) {
    return 360 * even(i, lon_step) - 180;
}
inline double lat_of(std::size_t i) {
    return 180 * even(i, lat_step) - 90;
}

inline std::vector<double> places(std::size_t n) {
    std::vector<double> lonlat;
    for (std::size_t i = 0; i < n; ++i)
        lonlat.insert(lonlat.end(), {lon_of(i), lat_of(i)});
    return lonlat;
}

// An encoding by its name; frequencies of 0: as many as are usual for it.
inline csp::ModelConfig config_of(const std::string &name, int frequencies) {
    csp::ModelConfig config;
    csp::set_position_encoding(config, name);
    if (frequencies > 0)
        config.frequencies = frequencies;
    return config;
}

// Quantile of the normal distribution, near enough for directions that need only look drawn from it.
inline double about_normal(double u) {
    return (std::pow(u, 0.135) - std::pow(1 - u, 0.135)) / 0.1975;
}

inline csp::Tensor tensor(std::vector<int64_t> shape) {
    csp::Tensor result{std::move(shape), {}};
    result.values.resize(static_cast<std::size_t>(result.shape[0] * (result.shape.size() > 1 ? result.shape[1] : 1)));
    return result;
}

// What training would have left in the model: anchors of rbf, directions and shifts of rff, the table of tile.
inline csp::TensorMap tensors_of(const csp::ModelConfig &config) {
    csp::TensorMap tensors;
    if (config.position_encoding == "rbf") {
        csp::Tensor anchors = tensor({config.anchors, 2});
        for (std::size_t i = 0; i < anchors.values.size(); ++i)
            anchors.values[i] = static_cast<float>(i % 2 == 0 ? lon_of(1000 + i / 2) : lat_of(1000 + i / 2));
        tensors[csp::rbf_anchors_tensor] = anchors;
    } else if (config.position_encoding == "rff") {
        csp::Tensor directions = tensor({2, config.frequencies});
        const auto count = static_cast<std::size_t>(config.frequencies);
        for (std::size_t i = 0; i < directions.values.size(); ++i)
            directions.values[i] = static_cast<float>(std::sqrt(config.kernel_size) *
                                                      about_normal(even(i % count, i < count ? lon_step : lat_step)));
        csp::Tensor shifts = tensor({config.frequencies});
        for (std::size_t i = 0; i < count; ++i)
            shifts.values[i] = static_cast<float>(6.283185307179586 * even(i, golden_step));
        tensors[csp::rff_directions_tensor] = directions;
        tensors[csp::rff_shifts_tensor] = shifts;
    } else if (csp::is_tile(config)) {
        csp::Tensor table = tensor({csp::tile_count(config), config.embedding_dim});
        for (std::size_t i = 0; i < table.values.size(); ++i)
            table.values[i] = static_cast<float>(2 * scattered(i) - 1);
        tensors[csp::tile_tensor] = table;
    }
    return tensors;
}

inline std::unique_ptr<csp::PositionEncoding> encoding_of(const csp::ModelConfig &config) {
    return csp::make_position_encoding(config, tensors_of(config));
}

}  // namespace csp_bench

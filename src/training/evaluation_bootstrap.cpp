// Groups of rows, resamples of groups, intervals of what comes of them.
#include "evaluation_bootstrap.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "random.h"

namespace csp {
namespace {

constexpr double none = std::numeric_limits<double>::quiet_NaN();

uint64_t key_of(int64_t seed, uint64_t purpose) { return mix_bits(static_cast<uint64_t>(seed), purpose); }
constexpr uint64_t for_groups = 0x67726f75, for_resamples = 0x626f6f74, for_placeless = 0x6e6f7768;

// Of many rows, some that follow each other go to a group together: its sums are in the cache then.
constexpr int64_t rows_apart = 1 << 16;
constexpr int64_t rows_of_a_run = 16;

}  // namespace

RowPlaces::RowPlaces(const EvaluationOptions &options) : options_(options) {
    if (options.block_size > 0) blocks_.emplace(options.block_shape, options.block_size);
}

int64_t RowPlaces::unit_of(int64_t row, const double *lonlat) const {
    if (blocks_ && lonlat) return blocks_->block(lonlat[0], lonlat[1]);
    if (blocks_) return static_cast<int64_t>(key_of(row, for_placeless));
    return row < rows_apart ? row : -(row / rows_of_a_run);
}

RowPlace RowPlaces::next(const double *lonlat) {
    const int64_t unit = unit_of(rows_++, lonlat);
    RowPlace place{0, options_.folds > 0 ? fold_of_block(unit, options_.folds, options_.seed) : 0};
    if (options_.bootstrap == 0) return place;
    if (!blocks_ && unit >= 0 && unit < bootstrap_groups) {
        place.group = static_cast<int>(unit);
        return place;
    }
    const auto found = groups_.find(unit);
    if (found != groups_.end()) {
        place.group = found->second;
    } else if (blocks_ && groups_.size() < bootstrap_groups) {
        place.group = static_cast<int>(groups_.size());
        groups_.emplace(unit, place.group);
    } else {
        const uint64_t bits = mix_bits(key_of(options_.seed, for_groups), static_cast<uint64_t>(unit));
        place.group = static_cast<int>(bits >> 32) & (bootstrap_groups - 1);
    }
    return place;
}

std::vector<uint32_t> draw_groups(const std::vector<int> &used, int groups, int64_t seed, int resample) {
    std::vector<uint32_t> weights(static_cast<std::size_t>(groups), 0);
    const uint64_t key = mix_bits(key_of(seed, for_resamples), static_cast<uint64_t>(resample));
    for (std::size_t i = 0; i < used.size(); ++i)
        ++weights[static_cast<std::size_t>(used[(mix_bits(key, i) >> 32) * used.size() >> 32])];
    return weights;
}

double quantile(const std::vector<double> &sorted, double share) {
    if (sorted.empty()) return none;
    const double at = share * static_cast<double>(sorted.size() - 1);
    const auto below = static_cast<std::size_t>(at);
    const std::size_t above = std::min(below + 1, sorted.size() - 1);
    return sorted[below] + (at - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

Interval percentile_interval(std::vector<double> values, double confidence) {
    values.erase(std::remove_if(values.begin(), values.end(), [](double v) { return std::isnan(v); }), values.end());
    std::sort(values.begin(), values.end());
    return {quantile(values, (1 - confidence) / 2), quantile(values, (1 + confidence) / 2)};
}

}  // namespace csp

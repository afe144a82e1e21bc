// Intervals by a bootstrap, in memory that does not grow with the rows.
//
// A bootstrap draws as many rows as there are, with replacement. Here rows are first put into at most bootstrap_groups groups,
// and groups are drawn: one row each as long as there are no more rows, and one spatial block each where blocks are asked for
// (a cluster bootstrap), as long as there are no more blocks. Beyond that, rows or blocks are put into groups at random.
#pragma once

#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "evaluation_options.h"

namespace csp {

constexpr int bootstrap_groups = 1024;

// Where a row counts.
struct RowPlace {
    int group;  // of the bootstrap, from 0
    int fold;   // from 1; 0: there are none
};

// Puts rows into groups and folds, in the order in which they come.
class RowPlaces {
public:
    explicit RowPlaces(const EvaluationOptions &options);

    // lonlat: null for a row without a place, which is a block of its own.
    RowPlace next(const double *lonlat);

private:
    // What is drawn together: a block, a row, some rows.
    int64_t unit_of(int64_t row, const double *lonlat) const;

    const EvaluationOptions &options_;
    std::optional<SpatialBlocks> blocks_;
    std::unordered_map<int64_t, int> groups_;  // of the first blocks
    int64_t rows_ = 0;
};

// How often each of n groups is drawn in one resample. used: those that hold rows.
std::vector<uint32_t> draw_groups(const std::vector<int> &used, int groups, int64_t seed, int resample);

// The share of sorted values below which `share` of them lie, between two of them in proportion. NaN for none.
double quantile(const std::vector<double> &sorted, double share);

// Low and high end of the interval of the values of all resamples; NaN ones are left out.
struct Interval {
    double low, high;
};
Interval percentile_interval(std::vector<double> values, double confidence);

}  // namespace csp

// Sums over rows from which all figures follow, and intervals of these by a bootstrap, in memory that does not grow with the rows.
//
// A bootstrap draws as many rows as there are, with replacement. Here rows are first put into at most bootstrap_groups groups,
// and groups are drawn: one row each as long as there are no more rows, and one spatial block each where blocks are asked for
// (a cluster bootstrap), as long as there are no more blocks. Beyond that, groups are drawn at random.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "evaluation_options.h"
#include "evaluation_outcome.h"

namespace csp {

constexpr int bootstrap_groups = 1024;

// One row of the result of csp_evaluate. Values that there are none of are NaN.
struct Figure {
    std::string metric, scope;
    std::optional<std::string> part;
    double value, low, high;
    int64_t rows;
};

// Called from time to time; may throw.
using Check = std::function<void()>;

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

// The rows of one scope.
class ScopeSums {
public:
    ScopeSums(const EvaluationOptions &options, int classes);

    // truth: as judge() has it.
    void add(const RowPlace &place, int truth, const Outcome &outcome);

    // All figures. labels: of the classes.
    std::vector<Figure> figures(const std::string &scope, const std::vector<std::string> &labels, const Check &check) const;

private:
    // Rows and hits of each class in each of some groups.
    struct Count {
        uint32_t rows, hits;
    };
    struct ClassCounts {
        int groups = 0;
        std::vector<Count> counts;  // (class, group)
        void resize(int classes, int group_count);
        void add(int group, int truth, bool hit);
        // Mean accuracy of the classes that have rows in that group.
        double macro_accuracy(int group) const;
    };

    // Those of a class and group that are not 0: few, where there are many classes.
    struct ClassCount {
        int truth, group;
        uint32_t rows, hits;
    };

    struct Spread;

    double *group_sums(int group) { return &sums_[static_cast<std::size_t>(group) * width_]; }
    std::vector<double> total(const std::vector<uint32_t> *weights) const;
    std::vector<ClassCount> class_counts() const;
    static double macro_accuracy(const std::vector<ClassCount> &counts, const std::vector<uint32_t> *weights);
    Spread resample(const Check &check) const;
    void add_whole(const std::string &scope, const Spread &spread, std::vector<Figure> &figures) const;
    void add_folds(const std::string &scope, std::vector<Figure> &figures) const;
    void add_classes(const std::string &scope, const std::vector<std::string> &labels, std::vector<Figure> &figures) const;

    const EvaluationOptions &options_;
    int classes_;
    std::size_t width_;  // of the sums of a group
    std::vector<double> sums_, folds_, by_class_;
    ClassCounts counts_, fold_counts_;
};

}  // namespace csp

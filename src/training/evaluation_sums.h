// Sums over the rows of a scope, from which all its figures follow: memory does not grow with the rows.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "evaluation_bootstrap.h"
#include "evaluation_outcome.h"

namespace csp {

// One row of the result of csp_evaluate. Values that there are none of are NaN.
struct Figure {
    std::string metric, scope;
    std::optional<std::string> part;
    double value, low, high;
    int64_t rows;
};

// Called from time to time; may throw.
using Check = std::function<void()>;

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
        std::size_t classes = 0;
        std::vector<Count> counts;  // (group, class)
        void resize(int class_count, int group_count);
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

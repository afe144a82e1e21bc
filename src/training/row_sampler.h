// Which rows an epoch goes through: all of a stage, or a draw that holds back frequent classes.
#pragma once

#include <cstdint>
#include <vector>

#include "options.h"
#include "random.h"

namespace csp {

using RowIds = std::vector<int64_t>;

// Of each class of `rows`, max(1, count * ratio) rows drawn without replacement, halves
// rounded to even; in the order of `rows`. All must have a class.
RowIds stratified_subset(const RowIds &rows, const int32_t *classes, double ratio, RandomStream &random);

class RowSampler {
public:
    // classes: of all rows of the data, -1 for none; null: every epoch has all rows.
    RowSampler(const TrainingOptions &options, const RowIds &rows, const int32_t *classes);

    // The rows of the next epoch, in no particular order.
    RowIds draw(RandomStream &random) const;

    // How many they are: the same for every epoch.
    std::size_t size() const;

private:
    struct Class {
        RowIds rows;
        std::size_t drawn;  // in an epoch; with replacement where these are more than the rows
    };

    RowIds always_;  // rows that every epoch has: those without a class, or all
    std::vector<Class> classes_;
};

}  // namespace csp

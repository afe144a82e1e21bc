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

// How an epoch's rows are shuffled where they cannot all be within reach: their order in the data is cut into blocks of
// neighbours, the blocks are put into random order, and rows are shuffled within windows of so many. A window's rows
// come from all over the data, and are read as a few long pieces.
struct ShuffleWindows {
    std::size_t block_rows = 0, window_rows = 0;  // 0: rows are shuffled as a whole

    // Into how many windows, of equal size, so many rows are cut; and where one begins.
    std::size_t count(std::size_t rows) const;
    std::size_t begin(std::size_t window, std::size_t rows) const { return rows * window / count(rows); }
};

void shuffle(RowIds &rows, const ShuffleWindows &windows, RandomStream &random);

class RowSampler {
public:
    // rows must outlive this object. classes: of all rows of the data, -1 for none; null: every epoch has all rows.
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

    const RowIds *all_ = nullptr;  // every epoch has them; null: the following
    RowIds always_;                // rows without a class, which every epoch has
    std::vector<Class> classes_;
};

}  // namespace csp

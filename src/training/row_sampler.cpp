// Which rows an epoch goes through.
#include "row_sampler.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace csp {
namespace {

// In the order of the class ids, so that a seed means the same draws everywhere.
std::map<int32_t, RowIds> rows_by_class(const RowIds &rows, const int32_t *classes) {
    std::map<int32_t, RowIds> by_class;
    for (int64_t row : rows) by_class[classes[row]].push_back(row);
    return by_class;
}

// The first `count` steps of a shuffle.
void draw_without_replacement(RowIds rows, std::size_t count, RandomStream &random, RowIds &drawn) {
    for (std::size_t i = 0; i < count; ++i) {
        std::swap(rows[i], rows[i + random.below(rows.size() - i)]);
        drawn.push_back(rows[i]);
    }
}

void draw_with_replacement(const RowIds &rows, std::size_t count, RandomStream &random, RowIds &drawn) {
    for (std::size_t i = 0; i < count; ++i) drawn.push_back(rows[random.below(rows.size())]);
}

}  // namespace

RowIds stratified_subset(const RowIds &rows, const int32_t *classes, double ratio, RandomStream &random) {
    if (ratio == 1) return rows;
    RowIds subset;
    for (const auto &[id, of_class] : rows_by_class(rows, classes)) {
        const double share = std::nearbyint(static_cast<double>(of_class.size()) * ratio);
        draw_without_replacement(of_class, std::max<std::size_t>(1, static_cast<std::size_t>(share)), random, subset);
    }
    std::sort(subset.begin(), subset.end());
    return subset;
}

std::size_t ShuffleWindows::count(std::size_t rows) const {
    if (window_rows == 0) return 1;
    return std::max<std::size_t>(1, (rows + window_rows / 2) / window_rows);
}

namespace {

void shuffle_range(RowIds &rows, std::size_t begin, std::size_t end, RandomStream &random) {
    for (std::size_t n = end - begin; n > 1; --n) std::swap(rows[begin + n - 1], rows[begin + random.below(n)]);
}

// Cut elsewhere each time, so that not the same rows are always neighbours.
void shuffle_blocks(RowIds &rows, std::size_t block_rows, RandomStream &random) {
    const std::size_t first = random.below(block_rows) + 1;  // rows of the first block
    const std::size_t blocks = 1 + (rows.size() + block_rows - 1 - std::min(first, rows.size())) / block_rows;
    RowIds shuffled;
    shuffled.reserve(rows.size());
    for (const int64_t block : random.permutation(static_cast<int64_t>(blocks))) {
        const auto b = static_cast<std::size_t>(block);
        const std::size_t begin = b == 0 ? 0 : first + (b - 1) * block_rows;
        const std::size_t end = std::min(rows.size(), first + b * block_rows);
        shuffled.insert(shuffled.end(), rows.begin() + static_cast<std::ptrdiff_t>(begin),
                        rows.begin() + static_cast<std::ptrdiff_t>(end));
    }
    rows = std::move(shuffled);
}

}  // namespace

void shuffle(RowIds &rows, const ShuffleWindows &windows, RandomStream &random) {
    const std::size_t count = windows.count(rows.size());
    if (count > 1) {
        std::sort(rows.begin(), rows.end());
        shuffle_blocks(rows, windows.block_rows, random);
    }
    for (std::size_t w = 0; w < count; ++w)
        shuffle_range(rows, windows.begin(w, rows.size()), windows.begin(w + 1, rows.size()), random);
}

RowSampler::RowSampler(const TrainingOptions &options, const RowIds &rows, const int32_t *classes) {
    const auto most = static_cast<std::size_t>(options.max_rows_per_class);
    if (!classes || (most == 0 && !options.balance_classes)) {
        all_ = &rows;
        return;
    }
    std::size_t labelled = 0;
    for (auto &[id, of_class] : rows_by_class(rows, classes)) {
        if (id < 0) {
            always_ = of_class;
            continue;
        }
        labelled += of_class.size();
        classes_.push_back({of_class, std::min(most, of_class.size())});
    }
    if (!options.balance_classes || classes_.empty()) return;
    const double mean = static_cast<double>(labelled) / static_cast<double>(classes_.size());
    for (Class &c : classes_) c.drawn = most > 0 ? most : static_cast<std::size_t>(std::lround(mean));
}

RowIds RowSampler::draw(RandomStream &random) const {
    if (all_) return *all_;
    RowIds drawn = always_;
    for (const Class &c : classes_) {
        if (c.drawn > c.rows.size())
            draw_with_replacement(c.rows, c.drawn, random, drawn);
        else
            draw_without_replacement(c.rows, c.drawn, random, drawn);
    }
    return drawn;
}

std::size_t RowSampler::size() const {
    std::size_t size = all_ ? all_->size() : always_.size();
    for (const Class &c : classes_) size += c.drawn;
    return size;
}

}  // namespace csp

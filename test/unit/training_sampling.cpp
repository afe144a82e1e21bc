// Which rows an epoch draws, and which labels a few-shot run keeps.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "../../src/training/row_sampler.h"

namespace csp {
namespace {

// 1 row of class 0, 10 of class 1, 30 of class 2, and 5 without a class, in turns of no order.
struct Labelled {
    std::vector<int32_t> classes;
    RowIds rows;

    Labelled() {
        const std::pair<int32_t, int> counts[] = {{2, 20}, {-1, 5}, {0, 1}, {1, 10}, {2, 10}};
        for (const auto &[id, count] : counts) classes.insert(classes.end(), static_cast<std::size_t>(count), id);
        for (std::size_t i = 0; i < classes.size(); ++i) rows.push_back(static_cast<int64_t>(i));
    }

    std::map<int32_t, int> counts(const RowIds &drawn) const {
        std::map<int32_t, int> counts;
        for (int64_t row : drawn) ++counts[classes[static_cast<std::size_t>(row)]];
        return counts;
    }
};

RandomStream stream(int64_t seed = 1) { return RandomStream(seed, RandomPurpose::order); }

bool has_repeats(const RowIds &rows) { return std::set<int64_t>(rows.begin(), rows.end()).size() < rows.size(); }

TrainingOptions options_of(int max_rows_per_class, bool balance) {
    TrainingOptions options;
    options.max_rows_per_class = max_rows_per_class;
    options.balance_classes = balance;
    return options;
}

TEST(RowSampler, TakesAllRowsUnlessToldOtherwise) {
    const Labelled data;
    RandomStream random = stream();
    EXPECT_EQ(RowSampler(TrainingOptions(), data.rows, data.classes.data()).draw(random), data.rows);
    EXPECT_EQ(RowSampler(options_of(3, true), data.rows, nullptr).draw(random), data.rows);
    EXPECT_EQ(random.next(), stream().next()) << "nothing was drawn";
}

TEST(RowSampler, TakesAtMostSoManyRowsOfAClass) {
    const Labelled data;
    const RowSampler sampler(options_of(8, false), data.rows, data.classes.data());
    RandomStream random = stream(), same = stream();
    const RowIds first = sampler.draw(random), second = sampler.draw(random);
    EXPECT_EQ(data.counts(first), (std::map<int32_t, int>{{-1, 5}, {0, 1}, {1, 8}, {2, 8}}));
    EXPECT_EQ(sampler.size(), first.size());
    EXPECT_FALSE(has_repeats(first));
    EXPECT_NE(first, second) << "each epoch draws anew";
    EXPECT_EQ(sampler.draw(same), first);
}

TEST(RowSampler, EpochsReachEveryRowEqually) {
    const Labelled data;
    const RowSampler sampler(options_of(8, false), data.rows, data.classes.data());
    RandomStream random = stream();
    std::map<int64_t, int> seen;
    for (int epoch = 0; epoch < 3000; ++epoch)
        for (int64_t row : sampler.draw(random)) ++seen[row];
    for (const auto &[row, count] : seen) {
        const int32_t id = data.classes[static_cast<std::size_t>(row)];
        EXPECT_NEAR(count / 3000.0, id == 2 ? 8.0 / 30 : id == 1 ? 0.8 : 1.0, 0.045) << row;
    }
    EXPECT_EQ(seen.size(), data.rows.size());
}

TEST(RowSampler, BalancedClassesGiveTheSame) {
    const Labelled data;
    RandomStream random = stream();
    const RowSampler to_the_mean(options_of(0, true), data.rows, data.classes.data());
    const RowIds drawn = to_the_mean.draw(random);
    EXPECT_EQ(data.counts(drawn), (std::map<int32_t, int>{{-1, 5}, {0, 14}, {1, 14}, {2, 14}}));  // 41 / 3
    EXPECT_EQ(to_the_mean.size(), drawn.size());
    const RowSampler to_a_number(options_of(7, true), data.rows, data.classes.data());
    EXPECT_EQ(data.counts(to_a_number.draw(random)), (std::map<int32_t, int>{{-1, 5}, {0, 7}, {1, 7}, {2, 7}}));
    RowIds of_class_2;
    for (int64_t row : drawn)
        if (data.classes[static_cast<std::size_t>(row)] == 2) of_class_2.push_back(row);
    EXPECT_FALSE(has_repeats(of_class_2)) << "a class with enough rows does not repeat any";
}

TEST(StratifiedSubset, KeepsAShareOfEachClass) {
    std::vector<int32_t> classes;
    RowIds rows;
    for (int count : {1, 3, 5, 7, 100}) classes.insert(classes.end(), static_cast<std::size_t>(count), count);
    for (std::size_t i = 0; i < classes.size(); ++i) rows.push_back(static_cast<int64_t>(i));
    RandomStream random = stream(), same = stream(), other = stream(2);
    const RowIds subset = stratified_subset(rows, classes.data(), 0.5, random);
    std::map<int32_t, int> counts;
    for (int64_t row : subset) ++counts[classes[static_cast<std::size_t>(row)]];
    // Halves to even: 0.5 to 0 but at least 1, 1.5 to 2, 2.5 to 2, 3.5 to 4.
    EXPECT_EQ(counts, (std::map<int32_t, int>{{1, 1}, {3, 2}, {5, 2}, {7, 4}, {100, 50}}));
    EXPECT_TRUE(std::is_sorted(subset.begin(), subset.end()));
    EXPECT_FALSE(has_repeats(subset));
    EXPECT_EQ(stratified_subset(rows, classes.data(), 0.5, same), subset);
    EXPECT_NE(stratified_subset(rows, classes.data(), 0.5, other), subset);
    EXPECT_EQ(stratified_subset(rows, classes.data(), 1, random), rows);
}

}  // namespace
}  // namespace csp

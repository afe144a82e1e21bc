// Random numbers, random locations and the order of rows: repeatable, and with the right distribution.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <vector>

#include "../../src/training/negatives.h"
#include "../../src/training/random.h"
#include "../../src/training/samples.h"

namespace csp {
namespace {

// Chi-square statistic of counts that are expected to be equal.
double chi_square(const std::vector<int> &counts) {
    double total = 0, statistic = 0;
    for (int count : counts) total += count;
    const double expected = total / static_cast<double>(counts.size());
    for (int count : counts) statistic += (count - expected) * (count - expected) / expected;
    return statistic;
}

TEST(Random, StreamsAreRepeatableAndIndependent) {
    RandomStream a(7, RandomPurpose::order), again(7, RandomPurpose::order);
    RandomStream other_seed(8, RandomPurpose::order), other_purpose(7, RandomPurpose::negatives);
    for (int i = 0; i < 100; ++i) {
        const uint64_t bits = a.next();
        EXPECT_EQ(bits, again.next());
        EXPECT_NE(bits, other_seed.next());
        EXPECT_NE(bits, other_purpose.next());
    }
}

TEST(Random, BelowReachesEveryNumberEquallyOften) {
    RandomStream random(1, RandomPurpose::order);
    std::vector<int> counts(7);
    for (int i = 0; i < 70000; ++i) ++counts[random.below(7)];
    EXPECT_LT(chi_square(counts), 22.5);  // 6 degrees of freedom: exceeded once in 1,000
}

TEST(Random, PermutationsHoldEveryRowOnce) {
    RandomStream random(1, RandomPurpose::order);
    std::vector<int> first_places(5);
    for (int i = 0; i < 5000; ++i) {
        std::vector<int64_t> order = random.permutation(5);
        ++first_places[static_cast<std::size_t>(order.front())];
        std::sort(order.begin(), order.end());
        EXPECT_EQ(order, (std::vector<int64_t>{0, 1, 2, 3, 4}));
    }
    EXPECT_LT(chi_square(first_places), 18.5);  // 4 degrees of freedom: once in 1,000
    EXPECT_TRUE(random.permutation(0).empty());
}

TEST(Random, CountedBitsAreHalfOnesAndDifferByKey) {
    std::vector<uint64_t> words(10007), others(10007);
    fill_with_bits(mix_bits(3, 4), words);
    fill_with_bits(mix_bits(3, 5), others);
    std::vector<double> ones(64);
    int same = 0;
    for (std::size_t i = 0; i < words.size(); ++i) {
        for (std::size_t bit = 0; bit < 64; ++bit) ones[bit] += static_cast<double>((words[i] >> bit) & 1);
        same += __builtin_popcountll(~(words[i] ^ others[i]));
    }
    const double n = static_cast<double>(words.size());
    for (double count : ones) EXPECT_NEAR(count / n, 0.5, 4 * 0.5 / std::sqrt(n));
    EXPECT_NEAR(same / (64 * n), 0.5, 4 * 0.5 / std::sqrt(64 * n));
}

// Boxes of equal area: 10 of longitude by 10 of sin(latitude).
TEST(Negatives, AreUniformByArea) {
    RandomStream random(5, RandomPurpose::negatives);
    std::vector<double> lonlat(2 * 100000);
    sample_locations(NegativeSampler::area, random, lonlat);
    std::vector<int> boxes(100);
    int beyond_60 = 0;
    for (std::size_t i = 0; i < lonlat.size(); i += 2) {
        const double lon = lonlat[i], lat = lonlat[i + 1];
        ASSERT_TRUE(lon >= -180 && lon < 180 && lat >= -90 && lat <= 90);
        const auto column = static_cast<std::size_t>((lon + 180) / 36);
        const double height = (std::sin(lat * 3.14159265358979323846 / 180) + 1) * 5;
        ++boxes[column * 10 + std::min<std::size_t>(static_cast<std::size_t>(height), 9)];
        beyond_60 += std::abs(lat) > 60;
    }
    EXPECT_LT(chi_square(boxes), 148.3);  // 99 degrees of freedom: once in 1,000
    EXPECT_NEAR(beyond_60 / 100000.0, 0.134, 0.004);
}

// What 100,000 draws tell of a sampler.
struct Support {
    double west = 180, east = -180, south = 90, north = -90;
    double beyond_60 = 0, beyond_ellipse = 0;  // shares
    std::vector<int> columns = std::vector<int>(10), rows = std::vector<int>(10);  // of the map
};

Support support_of(NegativeSampler sampler) {
    RandomStream random(9, RandomPurpose::negatives);
    std::vector<double> lonlat(2 * 100000);
    sample_locations(sampler, random, lonlat);
    Support support;
    for (std::size_t i = 0; i < lonlat.size(); i += 2) {
        const double lon = lonlat[i], lat = lonlat[i + 1];
        support.west = std::min(support.west, lon), support.east = std::max(support.east, lon);
        support.south = std::min(support.south, lat), support.north = std::max(support.north, lat);
        support.beyond_60 += (std::abs(lat) > 60) / 100000.0;
        support.beyond_ellipse += ((lon / 180) * (lon / 180) + (lat / 90) * (lat / 90) > 1 + 1e-12) / 100000.0;
        ++support.columns[std::min<std::size_t>(static_cast<std::size_t>((lon + 180) / 36), 9)];
        ++support.rows[std::min<std::size_t>(static_cast<std::size_t>((lat + 90) / 18), 9)];
    }
    return support;
}

constexpr double chi_square_9 = 27.9;  // 9 degrees of freedom: once in 1,000

TEST(Negatives, UniformInDegreesCrowdsThePoles) {
    const Support support = support_of(NegativeSampler::uniform);
    EXPECT_LT(chi_square(support.columns), chi_square_9);
    EXPECT_LT(chi_square(support.rows), chi_square_9);
    EXPECT_NEAR(support.beyond_60, 1.0 / 3, 0.006);
    EXPECT_NEAR(support.beyond_ellipse, 1 - 3.14159265358979323846 / 4, 0.006);
    EXPECT_TRUE(support.west >= -180 && support.east < 180 && support.south >= -90 && support.north < 90);
}

TEST(Negatives, PublishedSphericalIsTheNorthEastQuarter) {
    const Support support = support_of(NegativeSampler::spherical);
    EXPECT_TRUE(support.west >= 0 && support.west < 0.1 && support.east < 180 && support.east > 179.9);
    EXPECT_TRUE(support.south >= 0 && support.south < 0.1 && support.north < 90 && support.north > 89.9);
    EXPECT_NEAR(support.beyond_60, 1.0 / 3, 0.006);
    EXPECT_LT(chi_square({support.columns.begin() + 5, support.columns.end()}), 18.5);  // 4 degrees of freedom
}

TEST(Negatives, PublishedSphericaloldIsAnEllipse) {
    const Support support = support_of(NegativeSampler::sphericalold);
    EXPECT_EQ(support.beyond_ellipse, 0);
    EXPECT_LT(chi_square(support.columns), chi_square_9);
    EXPECT_LT(chi_square(support.rows), chi_square_9);
    EXPECT_NEAR(support.beyond_60, 1.0 / 3, 0.006);
    EXPECT_TRUE(support.west < -179 && support.east > 179 && support.south < -89.5 && support.north > 89.5);
}

TEST(Negatives, ObservedAreRowsThatAreNotHeldOut) {
    const std::vector<double> lonlat = {10, 10, 20, 20, 30, 30, 40, 40};
    const std::vector<uint8_t> validation = {0, 1, 0, 0};
    TrainingData data;
    data.rows = 4;
    data.lonlat = lonlat.data();
    data.validation = validation.data();
    Samples samples(data, ModelConfig(), at::TensorOptions(at::kCPU).dtype(at::kFloat));
    while (samples.encode_some()) continue;
    RandomStream random(7, RandomPurpose::negatives);
    const RandomPlaces places = samples.draw_places(3000, NegativeSampler::observed, random);
    const at::Tensor drawn = samples.position_features(places, 0, 3000);
    std::vector<int> counts;
    for (int64_t row = 0; row < 4; ++row) {
        const at::Tensor features = samples.position_features({row});
        counts.push_back(static_cast<int>(drawn.eq(features).all(1).sum().item<int64_t>()));
    }
    EXPECT_EQ(counts[1], 0);
    EXPECT_EQ(counts[0] + counts[2] + counts[3], 3000);
    EXPECT_LT(chi_square({counts[0], counts[2], counts[3]}), 13.9);  // 2 degrees of freedom
}

TEST(Epoch, HoldsEveryRowOnceAndLeavesNoneAlone) {
    for (std::size_t rows : {2u, 3u, 8u, 9u, 10u, 17u, 100u}) {
        for (int batch_size : {2, 4, 8, 512}) {
            RowIds ids(rows), seen;
            for (std::size_t i = 0; i < rows; ++i) ids[i] = static_cast<int64_t>(3 * i);
            RandomStream random(1, RandomPurpose::order);
            const Epoch epoch(ids, batch_size, random);
            for (int64_t b = 0; b < epoch.batches(); ++b) {
                const RowIds batch = epoch.batch(b);
                EXPECT_GE(batch.size(), 2u) << rows << " rows in batches of " << batch_size;
                EXPECT_LE(batch.size(), static_cast<std::size_t>(batch_size) + 1);
                seen.insert(seen.end(), batch.begin(), batch.end());
            }
            std::sort(seen.begin(), seen.end());
            EXPECT_EQ(seen, ids);
        }
    }
}

}  // namespace
}  // namespace csp

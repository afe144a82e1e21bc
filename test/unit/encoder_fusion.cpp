// The product rule.
#include "../../src/encoder/fusion.h"

#include <cmath>
#include <limits>
#include <numeric>

#include "encoder_support.h"

namespace {

using Row = std::vector<float>;

Row fused(const Row &image, const Row &place) {
    Row out(image.size() + 1, 42);
    csp::fuse(image.data(), place.data(), image.size(), out.data());
    EXPECT_EQ(out.back(), 42) << "written beyond the end";
    out.pop_back();
    return out;
}

TEST(Fusion, IsTheScaledProduct) {
    const Row out = fused({0.5f, 0.3f, 0.2f}, {0.1f, 0.6f, 0.9f});
    const double products[] = {0.05, 0.18, 0.18};
    for (int i = 0; i < 3; ++i)
        EXPECT_NEAR(out[i], products[i] / 0.41, 1e-7);
}

TEST(Fusion, NeitherScaleMatters) {
    const Row image = {5, 3, 2}, place = {0.02f, 0.12f, 0.18f};
    const Row out = fused(image, place), same = fused({0.5f, 0.3f, 0.2f}, {0.1f, 0.6f, 0.9f});
    for (int i = 0; i < 3; ++i)
        EXPECT_NEAR(out[i], same[i], 1e-6);
}

TEST(Fusion, AnEvenPlaceLeavesTheImage) {
    const Row out = fused({0.5f, 0.25f, 0.25f, 0}, Row(4, 0.125f));
    EXPECT_EQ(out, (Row{0.5f, 0.25f, 0.25f, 0}));
}

TEST(Fusion, ManyClassesAddUpToOne) {
    const std::size_t n = 8142;
    Row image = csp_test::random_values(n, 1, 1), place = csp_test::random_values(n, 1, 2);
    for (std::size_t i = 0; i < n; ++i)
        image[i] = std::fabs(image[i]), place[i] = std::fabs(place[i]);
    const Row out = fused(image, place);
    EXPECT_NEAR(std::accumulate(out.begin(), out.end(), 0.0), 1, 1e-6);
}

// Products far below the smallest float, and far above the largest.
TEST(Fusion, DoesNotUnderflowOrOverflow) {
    const float tiny = std::numeric_limits<float>::denorm_min(), huge = std::numeric_limits<float>::max();
    EXPECT_EQ(fused({tiny, tiny}, {tiny, 3 * tiny}), (Row{0.25f, 0.75f}));
    EXPECT_EQ(fused({huge, huge}, {huge, huge}), (Row{0.5f, 0.5f}));
    EXPECT_EQ(fused({tiny, 0}, {tiny, 1}), (Row{1, 0}));
}

TEST(Fusion, WithoutACommonClassTheImageDecides) {
    EXPECT_EQ(fused({3, 1, 0}, {0, 0, 1}), (Row{0.75f, 0.25f, 0}));
    EXPECT_EQ(fused({2, 2}, {0, 0}), (Row{0.5f, 0.5f}));
}

TEST(Fusion, InPlace) {
    Row image = {0.5f, 0.5f}, place = {0.25f, 0.75f};
    csp::fuse(image.data(), place.data(), 2, image.data());
    EXPECT_EQ(image, (Row{0.25f, 0.75f}));
    image = {0.5f, 0.5f};
    csp::fuse(image.data(), place.data(), 2, place.data());
    EXPECT_EQ(place, (Row{0.25f, 0.75f}));
}

Row fused(const Row &image, const Row &place, double strength, double temperature = 1) {
    Row out(image.size());
    csp::fuse(image.data(), place.data(), {strength, temperature}, image.size(), out.data());
    return out;
}

TEST(Fusion, StrengthIsAnExponent) {
    const Row image = {0.5f, 0.3f, 0.2f}, place = {0.1f, 0.6f, 0.9f};
    EXPECT_EQ(fused(image, place, 1), fused(image, place));
    EXPECT_EQ(fused(image, place, 0), (Row{0.5f, 0.3f, 0.2f}));
    for (double strength : {0.25, 0.5, 2.0, 10.0}) {
        const Row out = fused(image, place, strength);
        double sum = 0;
        for (int i = 0; i < 3; ++i)
            sum += image[i] * std::pow(static_cast<double>(place[i]), strength);
        for (int i = 0; i < 3; ++i)
            EXPECT_NEAR(out[i], image[i] * std::pow(static_cast<double>(place[i]), strength) / sum, 1e-6);
    }
}

TEST(Fusion, TemperatureIsARootOfTheProduct) {
    const Row image = {0.5f, 0.3f, 0.2f}, place = {0.1f, 0.6f, 0.9f};
    for (double strength : {0.0, 0.5, 1.0, 1000.0})
        for (double temperature : {0.01, 0.5, 2.0, 100.0}) {
            const Row out = fused(image, place, strength, temperature);
            std::vector<long double> powers;
            for (int i = 0; i < 3; ++i)
                powers.push_back(std::pow(image[i] * std::pow(static_cast<long double>(place[i]), strength), 1 / temperature));
            const long double sum = powers[0] + powers[1] + powers[2];
            if (!(sum > 0))
                continue;  // beyond a long double too
            for (int i = 0; i < 3; ++i)
                EXPECT_NEAR(out[i], powers[i] / sum, 1e-6) << strength << " " << temperature;
        }
    EXPECT_EQ(fused({0.5f, 0.5f, 0}, {0, 1, 1}, 0, 2), (Row{0.5f, 0.5f, 0})) << "a place that is left out rules out nothing";
    EXPECT_EQ(fused({3, 1, 0}, {0, 0, 1}, 1, 5), (Row{0.75f, 0.25f, 0})) << "without a common class the image decides, as it is";
}

// Copies of each other, averaged by their logarithms, are what each is.
TEST(Fusion, OfCopiesIsTheSame) {
    const Row p = {0.5f, 0.3f, 0.2f}, out = fused(p, p, 1, 2);
    for (int i = 0; i < 3; ++i)
        EXPECT_NEAR(out[i], p[i], 1e-6);
}

// 1e-45 to the tenth power is beyond a double.
TEST(Fusion, PowersDoNotUnderflowOrOverflow) {
    const float tiny = std::numeric_limits<float>::denorm_min(), huge = std::numeric_limits<float>::max();
    EXPECT_EQ(fused({tiny, tiny}, {tiny, tiny}, 10), (Row{0.5f, 0.5f}));
    EXPECT_EQ(fused({huge, huge}, {huge, huge}, 10), (Row{0.5f, 0.5f}));
    EXPECT_EQ(fused({1, 0, 1}, {tiny, 1, 0}, 10), (Row{1, 0, 0}));
    EXPECT_NEAR(fused({tiny, tiny}, {tiny, 2 * tiny}, 2)[1], 0.8f, 1e-6);
}

TEST(Fusion, WithoutACommonClassTheImageDecidesAtAnyStrength) {
    for (double strength : {0.5, 3.0})
        EXPECT_EQ(fused({3, 1, 0}, {0, 0, 1}, strength), (Row{0.75f, 0.25f, 0}));
    csp_test::expect_error(csp::ErrorKind::invalid_data, [&] { fused({0, 0}, {1, 1}, 0.5); });
    csp_test::expect_error(csp::ErrorKind::invalid_data, [&] { fused({0, 0}, {1, 1}, 0); });
}

TEST(Fusion, WhatIsMissingLeavesTheOther) {
    const Row image = {3, 1}, place = {0.2f, 0.6f}, nothing = {0, 0};
    Row out(2);
    csp::fuse_known(image.data(), nullptr, {0.5, 3}, 2, out.data());
    EXPECT_EQ(out, (Row{0.75f, 0.25f}));
    csp::fuse_known(nullptr, place.data(), {0.5, 3}, 2, out.data());
    EXPECT_NEAR(out[1], 0.75f, 1e-6) << "by the place as it is, whatever its strength beside an image";
    csp::fuse_known(nullptr, nothing.data(), {}, 2, out.data());
    EXPECT_EQ(out, (Row{0.5f, 0.5f}));
    csp_test::expect_error(csp::ErrorKind::invalid_data, [&] { csp::fuse_known(nothing.data(), nullptr, {}, 2, out.data()); });
    csp::fuse_known(image.data(), place.data(), {}, 2, out.data());
    EXPECT_EQ(out, fused(image, place));
}

TEST(Fusion, AnImageWithoutClassesIsAnError) {
    for (const Row &image : {Row{0, 0}, Row{}}) {
        const Row place(image.size(), 0.5f);
        csp_test::expect_error(csp::ErrorKind::invalid_data, [&] { fused(image, place); });
    }
}

}  // namespace

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

TEST(Fusion, AnImageWithoutClassesIsAnError) {
    for (const Row &image : {Row{0, 0}, Row{}}) {
        const Row place(image.size(), 0.5f);
        csp_test::expect_error(csp::ErrorKind::invalid_data, [&] { fused(image, place); });
    }
}

}  // namespace

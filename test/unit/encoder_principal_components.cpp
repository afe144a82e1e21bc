#include "encoder/principal_components.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace {

// Rows that spread by 3, 2, 1 and 0.1 along the axes of a rotation of four dimensions.
struct Spread {
    static constexpr std::size_t n = 4000, dim = 4;
    double axes[dim][dim] = {{0.5, 0.5, 0.5, 0.5}, {0.5, -0.5, 0.5, -0.5}, {0.5, 0.5, -0.5, -0.5}, {0.5, -0.5, -0.5, 0.5}};
    std::vector<float> rows;

    Spread() {
        const double deviations[dim] = {3, 2, 1, 0.1};
        std::mt19937 random(1);
        std::normal_distribution<double> normal;
        for (std::size_t i = 0; i < n; ++i) {
            double row[dim] = {10, -20, 30, 0};
            for (std::size_t a = 0; a < dim; ++a) {
                const double score = deviations[a] * normal(random);
                for (std::size_t k = 0; k < dim; ++k) row[k] += score * axes[a][k];
            }
            rows.insert(rows.end(), row, row + dim);
        }
    }
};

TEST(PrincipalComponents, AreTheDirectionsOfMostVariance) {
    const Spread spread;
    const csp::PrincipalComponents found = csp::principal_components(spread.rows.data(), spread.n, spread.dim, 3);
    ASSERT_EQ(found.axes.size(), 3u);
    const double expected[] = {3, 2, 1};
    for (std::size_t a = 0; a < 3; ++a) {
        double cosine = 0, length = 0;
        for (std::size_t k = 0; k < spread.dim; ++k) {
            cosine += found.axes[a][k] * spread.axes[a][k];
            length += found.axes[a][k] * found.axes[a][k];
        }
        EXPECT_GT(std::fabs(cosine), 0.99) << a;
        EXPECT_NEAR(length, 1, 1e-5) << a;
        EXPECT_NEAR(found.deviations[a], expected[a], 0.1) << a;
    }
    EXPECT_NEAR(found.mean[0], 10, 0.2);
    EXPECT_NEAR(found.mean[2], 30, 0.2);
}

TEST(PrincipalComponents, AreFewerWhereRowsSpanLess) {
    const std::vector<float> line = {1, 2, 3, 2, 4, 6, 3, 6, 9};
    const csp::PrincipalComponents of_line = csp::principal_components(line.data(), 3, 3, 3);
    ASSERT_EQ(of_line.axes.size(), 1u);
    EXPECT_NEAR(of_line.axes[0][2], 3 / std::sqrt(14.0), 1e-5);  // of two signs that of the largest element
    EXPECT_TRUE(csp::principal_components(line.data(), 1, 3, 3).axes.empty());
    const std::vector<float> same = {5, 5, 5, 5};
    EXPECT_TRUE(csp::principal_components(same.data(), 2, 2, 3).axes.empty());
}

TEST(PrincipalComponents, AreTheSameEveryTime) {
    const Spread spread;
    const auto a = csp::principal_components(spread.rows.data(), spread.n, spread.dim, 3);
    const auto b = csp::principal_components(spread.rows.data(), spread.n, spread.dim, 3);
    EXPECT_EQ(a.axes, b.axes);
    EXPECT_EQ(a.deviations, b.deviations);
}

}  // namespace

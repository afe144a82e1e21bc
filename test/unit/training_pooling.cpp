// Exponents of image and place fitted to rows, against the log-loss computed here in float64 from its definition.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "../../src/training/pooling_search.h"
#include "../../src/training/random.h"

namespace csp {
namespace {

using Row = std::vector<double>;

Row normalized_row(Row values) {
    double sum = 0;
    for (double value : values) sum += std::exp(value);
    for (double &value : values) value -= std::log(sum);
    return values;
}

// Rows with ln P of each class, by image and by place, and what came.
struct Rows {
    std::vector<Row> image, place;
    std::vector<int64_t> classes;

    double log_loss(double a, double b) const {
        double sum = 0;
        for (std::size_t i = 0; i < classes.size(); ++i) {
            Row row = image[i];
            for (std::size_t c = 0; c < row.size(); ++c) row[c] = a * image[i][c] + b * place[i][c];
            sum -= normalized_row(row)[static_cast<std::size_t>(classes[i])];
        }
        return sum / static_cast<double>(classes.size());
    }
};

at::Tensor tensor_of(const std::vector<Row> &rows) {
    std::vector<float> values;
    for (const Row &row : rows) values.insert(values.end(), row.begin(), row.end());
    return at::from_blob(values.data(), {int64_t(rows.size()), int64_t(rows[0].size())}, at::kFloat).clone();
}

Pair fit(const Rows &rows) {
    std::vector<int64_t> classes = rows.classes;
    PoolingSearch search(tensor_of(rows.image), tensor_of(rows.place),
                         at::from_blob(classes.data(), {int64_t(classes.size())}, at::kLong));
    int steps = 0;
    for (; !search.done(); ++steps) search.step();
    EXPECT_LT(steps, 40);
    return search.exponents();
}

// Evidence for each class of four: what came is drawn by the sum of `true_image` times that of the image and `true_place`
// times that of the place, which are independent, or the same where `copies`.
Rows rows_of(std::size_t n, double true_image, double true_place, bool copies = false) {
    RandomStream random(7, RandomPurpose::order);
    const auto evidence = [&] {
        Row row(4);
        for (double &value : row) value = 4 * random.uniform() - 2;
        return normalized_row(row);
    };
    Rows rows;
    for (std::size_t i = 0; i < n; ++i) {
        const Row image = evidence(), place = copies ? image : evidence();
        Row truth(4);
        for (std::size_t c = 0; c < 4; ++c) truth[c] = true_image * image[c] + true_place * place[c];
        truth = normalized_row(truth);
        double left = random.uniform();
        std::size_t drawn = 0;
        while (drawn < 3 && (left -= std::exp(truth[drawn])) > 0) ++drawn;
        rows.image.push_back(image);
        rows.place.push_back(place);
        rows.classes.push_back(static_cast<int64_t>(drawn));
    }
    return rows;
}

// The least log-loss on a grid that is made finer around its best point.
double least_log_loss(const Rows &rows) {
    double a = 5, b = 5, best = std::numeric_limits<double>::infinity();
    for (double width = 5; width > 1e-3; width /= 2) {
        const double a0 = a, b0 = b;
        for (int i = -2; i <= 2; ++i)
            for (int j = -2; j <= 2; ++j) {
                const double x = std::clamp(a0 + i * width / 2, 0.01, 10.0), y = std::clamp(b0 + j * width / 2, 0.0, 10.0);
                if (const double loss = rows.log_loss(x, y); loss < best) best = loss, a = x, b = y;
            }
    }
    return best;
}

void expect_no_worse_than_either(const Rows &rows, Pair fitted) {
    const double loss = rows.log_loss(fitted[0], fitted[1]), n = static_cast<double>(rows.classes.size());
    EXPECT_LE(loss, rows.log_loss(1, 0) + 1e-5);
    EXPECT_LE(loss, rows.log_loss(0.01, 1) + 1e-5);
    EXPECT_LE(rows.log_loss(0.01, 1), rows.log_loss(0, 1) + 0.01) << "the least share of an image hardly harms";
    // The preference costs less than half of the squared way to it, of one row.
    EXPECT_LE(loss, least_log_loss(rows) + (std::pow(fitted[0], 2) + std::pow(fitted[1], 2) + 2) / n);
}

TEST(PoolingSearch, FindsTheExponents) {
    for (const Pair truth : {Pair{1, 1}, Pair{0.5, 2}, Pair{2, 0.3}}) {
        const Rows rows = rows_of(2000, truth[0], truth[1]);
        const Pair fitted = fit(rows);
        expect_no_worse_than_either(rows, fitted);
        for (int i : {0, 1}) EXPECT_NEAR(fitted[i], truth[i], 0.15);
        EXPECT_LT(rows.log_loss(fitted[0], fitted[1]), std::min(rows.log_loss(1, 0), rows.log_loss(0, 1)) - 0.01);
    }
}

// The log-loss and the preference are least there: in all directions it is more.
TEST(PoolingSearch, EndsAtTheMinimum) {
    const Rows rows = rows_of(300, 0.8, 1.4);
    const double n = 300;
    const Pair fitted = fit(rows), preferred = rows.log_loss(1, 0) < rows.log_loss(0, 1) ? Pair{1, 0} : Pair{0.01, 1};
    const auto objective = [&](double a, double b) {
        return rows.log_loss(a, b) + (std::pow(a - preferred[0], 2) + std::pow(b - preferred[1], 2)) / (2 * n);
    };
    for (double angle = 0; angle < 6.2; angle += 0.3)
        EXPECT_LT(objective(fitted[0], fitted[1]),
                  objective(fitted[0] + 0.01 * std::cos(angle), fitted[1] + 0.01 * std::sin(angle)));
}

TEST(PoolingSearch, LeavesOutAnImageThatIsOfNoUse) {
    const Rows rows = rows_of(2000, -0.2, 1);  // none, and even misleading
    const Pair fitted = fit(rows);
    expect_no_worse_than_either(rows, fitted);
    EXPECT_EQ(fitted[0], 0.01);
    EXPECT_NEAR(fitted[1], 1, 0.15);
}

TEST(PoolingSearch, LeavesOutAPlaceThatIsOfNoUse) {
    const Rows rows = rows_of(2000, 1, -0.2);
    const Pair fitted = fit(rows);
    expect_no_worse_than_either(rows, fitted);
    EXPECT_NEAR(fitted[0], 1, 0.15);
    EXPECT_EQ(fitted[1], 0);
}

// Each is right as it is: together they must not be believed more than one of them.
TEST(PoolingSearch, CountsCopiesOnce) {
    const Rows rows = rows_of(2000, 0.5, 0.5, true);
    const Pair fitted = fit(rows);
    expect_no_worse_than_either(rows, fitted);
    EXPECT_NEAR(fitted[0] + fitted[1], 1, 0.1);
    EXPECT_LT(rows.log_loss(fitted[0], fitted[1]), rows.log_loss(1, 1) - 0.05);
}

TEST(PoolingSearch, FewRowsThatAreAllRightDoNotMakeItCertain) {
    Rows rows;
    for (int64_t i = 0; i < 20; ++i) {
        Row row(3, std::log(0.1));
        row[static_cast<std::size_t>(i % 3)] = std::log(0.8);
        rows.image.push_back(row);
        rows.place.push_back(row);
        rows.classes.push_back(i % 3);
    }
    const Pair fitted = fit(rows);
    expect_no_worse_than_either(rows, fitted);
    EXPECT_LT(fitted[0] + fitted[1], 4);
}

// A function that Newton's method overshoots, with its minimum in a corner, on an edge and inside.
TEST(NewtonSearch, StaysWithinTheBounds) {
    for (const Pair minimum : {Pair{-4, -4}, Pair{0.5, 9}, Pair{3, 0.2}, Pair{0.25, 0.75}}) {
        NewtonSearch search({1, 0}, {0, 0}, {1, 1}, 1e-6);
        const auto part = [](double d) { return std::log(std::cosh(5 * d)) + d * d / 100; };
        const auto slope = [](double d) { return 5 * std::tanh(5 * d) + d / 50; };
        const auto bend = [](double d) { return 25 / std::pow(std::cosh(5 * d), 2) + 0.02; };
        while (!search.done()) {
            const auto [x, y] = search.point();
            ASSERT_TRUE(x >= 0 && x <= 1 && y >= 0 && y <= 1);
            const double dx = x - minimum[0], dy = y - minimum[1];
            search.give({part(dx) + part(dy), {slope(dx), slope(dy)}, bend(dx), 0, bend(dy)});
        }
        for (int i : {0, 1}) EXPECT_NEAR(search.best()[i], std::clamp(minimum[i], 0.0, 1.0), 1e-5);
    }
}

}  // namespace
}  // namespace csp

// Losses of scores, block by block, against torch's own operations on all of them.
#include "../../src/training/scores.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

namespace csp {
namespace {

struct Case {
    at::Tensor rows, candidates, bias, targets;

    // Columns so many that a block has 64 rows.
    explicit Case(int64_t columns, at::ScalarType type, bool with_bias) {
        const auto wave = [&](int64_t n, double step) { return at::sin(at::arange(n, at::kDouble) * step).to(type); };
        rows = wave(150 * 3, 0.37).view({150, 3}).mul(2).requires_grad_(true);
        candidates = wave(columns * 3, 0.011).view({columns, 3}).clone().requires_grad_(true);
        if (with_bias) bias = wave(columns, 1.3).clone().requires_grad_(true);
        targets = at::arange(150, at::kLong).mul(7919).remainder(columns);
    }
    Scores scores(Precision precision = Precision::float32) const { return {rows, candidates, bias, precision}; }
    at::Tensor matrix() const { return at::linear(rows, candidates, bias); }
};

at::Tensor picked(const at::Tensor &scores, const at::Tensor &targets, double smoothing) {
    const at::Tensor logarithms = at::log_softmax(scores, 1);
    return -(1 - smoothing) * logarithms.gather(1, targets.unsqueeze(1)).sum() - smoothing * logarithms.mean(1).sum();
}

at::Tensor told(const at::Tensor &scores, const at::Tensor &targets, double present, double absent) {
    const at::Tensor all = absent * ell(at::sigmoid(-scores));
    if (!targets.defined()) return all.sum();
    const at::Tensor own = targets.unsqueeze(1);
    return all.sum() - all.gather(1, own).sum() + present * ell(at::sigmoid(scores.gather(1, own))).sum();
}

double largest(const at::Tensor &a) { return a.abs().max().item<double>(); }

void expect_equal(const Case &c, const BlockLoss &loss, const std::function<at::Tensor(const at::Tensor &)> &expected,
                  double tolerance) {
    const at::Tensor plain = expected(c.matrix()), sum = sum_loss(c.scores(), loss);
    EXPECT_NEAR(sum.item<double>() / plain.item<double>(), 1, tolerance);
    plain.backward();
    std::vector<at::Tensor> reference;
    for (const at::Tensor *x : {&c.rows, &c.candidates, &c.bias}) {
        if (!x->defined()) continue;
        reference.push_back(x->grad().clone());
        x->mutable_grad() = at::Tensor();
    }
    (sum * 0.5).backward();
    std::size_t i = 0;
    for (const at::Tensor *x : {&c.rows, &c.candidates, &c.bias}) {
        if (!x->defined()) continue;
        EXPECT_LE(largest(x->grad() * 2 - reference[i]), tolerance * largest(reference[i])) << "argument " << i;
        ++i;
    }
}

void expect_all_equal(int64_t columns, at::ScalarType type, bool with_bias, double tolerance) {
    for (double smoothing : {0.0, 0.2}) {
        const Case c(columns, type, with_bias);
        expect_equal(c, pick_columns(c.targets, smoothing),
                     [&](const at::Tensor &scores) { return picked(scores, c.targets, smoothing); }, tolerance);
    }
    const Case present(columns, type, with_bias), absent(columns, type, with_bias);
    expect_equal(present, tell_present(present.targets, 40, 1),
                 [&](const at::Tensor &scores) { return told(scores, present.targets, 40, 1); }, tolerance);
    expect_equal(absent, tell_present({}, 0, 0.3),
                 [&](const at::Tensor &scores) { return told(scores, {}, 0, 0.3); }, tolerance);
}

TEST(Scores, LossesOfOneBlockAreThoseOfTheMatrix) {
    expect_all_equal(37, at::kDouble, true, 1e-12);
    expect_all_equal(37, at::kFloat, true, 2e-6);
    expect_all_equal(37, at::kFloat, false, 2e-6);
}

TEST(Scores, LossesOfManyBlocksAreThoseOfTheMatrix) {
    expect_all_equal(33000, at::kDouble, true, 1e-12);
    expect_all_equal(33000, at::kFloat, true, 5e-5);
}

TEST(Scores, InBfloat16TheyAreNear) {
    const Case c(3000, at::kFloat, true);
    for (const BlockLoss &loss : {pick_columns(c.targets, 0.1), tell_present(c.targets, 5, 1)}) {
        const at::Tensor exact = sum_loss(c.scores(), loss), rounded = sum_loss(c.scores(Precision::bfloat16), loss);
        EXPECT_NEAR(rounded.item<double>() / exact.item<double>(), 1, 0.01);
        EXPECT_NE(rounded.item<double>(), exact.item<double>());
        exact.backward();
        const at::Tensor by_rows = c.rows.grad().clone();
        c.rows.mutable_grad() = at::Tensor();
        rounded.backward();
        EXPECT_LE(largest(c.rows.grad() - by_rows), 0.02 * largest(by_rows));
        c.rows.mutable_grad() = at::Tensor();
    }
}

// Far out, where exponentials overflow and probabilities vanish.
TEST(Scores, OfAnySizeHaveFiniteLosses) {
    for (float size : {1e-30f, 1.0f, 80.0f, 1000.0f, 1e30f}) {
        at::Tensor rows = at::full({1, 1}, size).requires_grad_(true);
        const at::Tensor candidates = at::tensor({1.0f, -1.0f, 0.5f}).view({3, 1}), target = at::zeros({1}, at::kLong);
        const at::Tensor exact = at::linear(rows.to(at::kDouble), candidates.to(at::kDouble));
        for (const auto &[loss, expected] : {std::pair(pick_columns(target), picked(exact, target, 0)),
                                             std::pair(tell_present(target, 2, 1), told(exact, target, 2, 1))}) {
            const at::Tensor sum = sum_loss({rows, candidates, {}}, loss);
            EXPECT_NEAR(sum.item<double>(), expected.item<double>(), 1e-5 * (1 + std::abs(expected.item<double>())))
                << size;
            sum.backward();
            EXPECT_TRUE(rows.grad().isfinite().all().item<bool>()) << size;
        }
    }
}

TEST(Scores, ThatAreNoNumbersGiveALossThatIsNone) {
    const at::Tensor rows = at::full({1, 1}, NAN), candidates = at::ones({50, 1}), target = at::zeros({1}, at::kLong);
    EXPECT_TRUE(std::isnan(sum_loss({rows, candidates, {}}, pick_columns(target)).item<double>()));
    EXPECT_TRUE(std::isnan(sum_loss({rows, candidates, {}}, tell_present(target, 1, 1)).item<double>()));
}

}  // namespace
}  // namespace csp

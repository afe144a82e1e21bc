// The objectives against values of an independent implementation, and at their edges.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "../../src/training/objectives.h"

namespace csp {
namespace {

// The deterministic toy model of the golden values: element i of parameter k is 0.5 sin(0.7 i + k).
at::Tensor parameter(int k, at::IntArrayRef shape) {
    const int64_t count = c10::multiply_integers(shape);
    return (at::sin(at::arange(count, at::kDouble) * 0.7 + k) * 0.5).view(shape);
}

struct Toy {
    at::Tensor image_weight = parameter(0, {5, 6}), image_bias = parameter(1, {5});
    at::Tensor location_weight = parameter(2, {5, 2}), location_bias = parameter(3, {5});
    at::Tensor class_weight = parameter(4, {3, 5}), observer_weight = parameter(5, {1, 5});
    at::Tensor decoder_weight = parameter(6, {6, 5}), decoder_bias = parameter(7, {6});
    at::Tensor images = at::cos(at::arange(24, at::kDouble) * 0.9).view({4, 6});
    at::Tensor places = at::tensor({1.0, 2.0, -1.5, .5, .3, -2.0, 2.5, 1.0}, at::kDouble).view({4, 2});
    at::Tensor negatives =
        at::tensor({.5, .25, -2.0, 1.0, 1.0, -1.0, 3.0, 0.0, .1, .2, -.3, .4, .7, -.8, -1.1, -1.2}, at::kDouble)
            .view({8, 2});
    at::Tensor labels = at::tensor({0, 2, 1, 2}, at::kLong);

    at::Tensor embed(const at::Tensor &x) const { return at::linear(x, location_weight, location_bias); }
    at::Tensor u() const { return normalize_rows(embed(places)); }
    at::Tensor v() const { return normalize_rows(at::linear(images, image_weight, image_bias)); }
    at::Tensor random(int n) const { return normalize_rows(embed(negatives.narrow(0, 0, 4 * n))); }
    // The published objectives: temperatures 0.5, 2 and 0.25, weights 0.7 and 0.3.
    double contsoftmax(int n, bool symmetric) const {
        const at::Tensor in_batch =
            symmetric ? in_batch_loss(u(), v(), 0.5) + in_batch_loss(v(), u(), 0.5) : in_batch_loss(u(), v(), 0.5);
        return (in_batch + 0.7 * negative_location_loss(u(), v(), random(n), 2) + 0.3 * in_batch_loss(u(), u(), 0.25))
            .item<double>();
    }
    double imgcontloss(int n, double weight_negative, double weight_dropout) const {
        return (nce_in_batch_loss(u(), v()) + weight_negative * nce_negative_location_loss(v(), random(n)) +
                weight_dropout * nce_in_batch_loss(u(), u()))
            .item<double>();
    }
    Scores scores(const at::Tensor &x) const { return {embed(x), class_weight, {}}; }
    at::Tensor background() const { return negatives.narrow(0, 0, 4); }
    ObserverScores observer_scores() const {
        const auto of_observer = [&](const at::Tensor &x) { return at::linear(embed(x), observer_weight).squeeze(1); };
        return {of_observer(places), of_observer(background()),
                at::matmul(observer_weight, class_weight.t()).expand({4, 3}), at::ones({4}, at::kDouble)};
    }
};

// A matrix of scores that is its own rows.
Scores as_scores(const at::Tensor &matrix) { return {matrix, at::eye(matrix.size(1), matrix.options()), {}}; }

// The published values were computed in float32: a float's spacing there is 2.4e-7.
constexpr double float_tolerance = 2.4e-7;

TEST(Objectives, ContrastiveLossHasThePublishedValues) {
    EXPECT_NEAR(Toy().contsoftmax(1, false), 2.15600753, float_tolerance);
    EXPECT_NEAR(Toy().contsoftmax(2, false), 2.41157579, float_tolerance);
    EXPECT_NEAR(Toy().contsoftmax(1, true), 3.70626855, float_tolerance);
    EXPECT_NEAR(Toy().contsoftmax(2, true), 3.96183681, float_tolerance);
}

TEST(Objectives, NceLossHasThePublishedValues) {
    const Toy toy;
    EXPECT_NEAR(toy.imgcontloss(1, 0.7, 0), 1.91619754, float_tolerance);
    EXPECT_NEAR(toy.imgcontloss(2, 0.7, 0), 1.85711718, float_tolerance);
    EXPECT_NEAR(toy.imgcontloss(1, 0, 0), 1.38642108, float_tolerance);
    EXPECT_NEAR(toy.imgcontloss(1, 0.7, 0.3), 2.22303605, float_tolerance);
    EXPECT_NEAR(toy.imgcontloss(2, 0.7, 0.3), 2.16395569, float_tolerance);
    EXPECT_NEAR(nce_positive_loss(toy.u(), toy.v()).item<double>(), 0.70354760, float_tolerance);
}

TEST(Objectives, RegressionLossHasThePublishedValue) {
    const Toy toy;
    const at::Tensor decoded = at::linear(toy.embed(toy.places), toy.decoder_weight, toy.decoder_bias);
    EXPECT_NEAR(l2_regression_loss(decoded, toy.images).item<double>(), 0.86318445, 2 * float_tolerance);
}

TEST(Objectives, FullLossHasThePublishedValue) {
    const Toy toy;
    const at::Tensor loss =
        full_loss(toy.scores(toy.places), toy.labels, 3) + 0.7 * background_loss(toy.scores(toy.background()));
    EXPECT_NEAR(loss.item<double>(), 1.45621347, float_tolerance);
}

TEST(Objectives, FullLossOfObserversHasThePublishedValue) {
    const Toy toy;
    const at::Tensor loss = full_loss(toy.scores(toy.places), toy.labels, 3) + background_loss(toy.scores(toy.background())) +
                            observer_loss(toy.observer_scores(), toy.labels, 3);
    EXPECT_NEAR(loss.item<double>(), 4.16724253, 2 * float_tolerance);
}

TEST(Objectives, RowsWithoutAnObserverDoNotCount) {
    const Toy toy;
    ObserverScores scores = toy.observer_scores(), first_two = scores;
    scores.present = at::tensor({1.0, 1.0, 0.0, 0.0}, at::kDouble);
    for (at::Tensor *tensor : {&first_two.places, &first_two.background, &first_two.classes, &first_two.present})
        *tensor = tensor->narrow(0, 0, 2);
    EXPECT_NEAR(observer_loss(scores, toy.labels, 3).item<double>(),
                observer_loss(first_two, toy.labels.narrow(0, 0, 2), 3).item<double>(), 1e-12);
    scores.present = at::zeros({4}, at::kDouble);
    EXPECT_EQ(observer_loss(scores, toy.labels, 3).item<double>(), 0);
}

TEST(Objectives, NceTermsFollowTheirFormulas) {
    const Toy toy;
    const at::Tensor u = toy.u(), v = toy.v(), random = toy.random(2);
    const auto presence = [](const at::Tensor &a, const at::Tensor &b) {
        return 1 / (1 + std::exp(-(a * b).sum().item<double>()));
    };
    double in_batch = 0, negative = 0;
    for (int i = 0; i < 4; ++i) {
        in_batch -= std::log(presence(u[i], v[i]) + 1e-5) / 4;
        for (int j = 0; j < 4; ++j)
            if (j != i) in_batch -= std::log(1 - presence(u[i], v[j]) + 1e-5) / 12;
        for (int n = 0; n < 2; ++n) negative -= std::log(1 - presence(random[n * 4 + i], v[i]) + 1e-5) / 8;
    }
    EXPECT_NEAR(nce_in_batch_loss(u, v).item<double>(), in_batch, 1e-12);
    EXPECT_NEAR(nce_negative_location_loss(v, random).item<double>(), negative, 1e-12);
}

TEST(Objectives, NceOfASingleRowHasNoOthers) {
    const Toy toy;
    const at::Tensor u = toy.u().narrow(0, 0, 1), v = toy.v().narrow(0, 0, 1);
    EXPECT_EQ(nce_in_batch_loss(u, v).item<double>(), nce_positive_loss(u, v).item<double>());
    EXPECT_TRUE(std::isfinite(nce_in_batch_loss(u, v).item<double>()));
}

TEST(Objectives, ContrastiveTermsFollowTheirFormulas) {
    const Toy toy;
    const at::Tensor u = toy.u(), v = toy.v(), random = toy.random(2);
    const auto cosine = [](const at::Tensor &a, const at::Tensor &b) { return (a * b).sum().item<double>(); };
    double in_batch = 0, negative = 0, dropout = 0;
    for (int i = 0; i < 4; ++i) {
        double images = 0, twins = 0;
        for (int j = 0; j < 4; ++j)
            images += std::exp(cosine(u[i], v[j]) / 0.5), twins += std::exp(cosine(u[i], v[j]) / 0.25);
        in_batch += (std::log(images) - cosine(u[i], v[i]) / 0.5) / 4;
        dropout += (std::log(twins) - cosine(u[i], v[i]) / 0.25) / 4;
        double places = std::exp(cosine(u[i], v[i]) / 2);
        for (int n = 0; n < 2; ++n) places += std::exp(cosine(random[n * 4 + i], v[i]) / 2);
        negative += (std::log(places) - cosine(u[i], v[i]) / 2) / 4;
    }
    EXPECT_NEAR(in_batch_loss(u, v, 0.5).item<double>(), in_batch, 1e-12);
    EXPECT_NEAR(in_batch_loss(u, v, 0.25).item<double>(), dropout, 1e-12);
    EXPECT_NEAR(negative_location_loss(u, v, random, 2).item<double>(), negative, 1e-12);
}

TEST(Objectives, FullLossFollowsItsFormula) {
    const Toy toy;
    const at::Tensor scores = at::linear(toy.embed(toy.places), toy.class_weight);
    double expected = 0;
    for (int i = 0; i < 4; ++i) {
        for (int c = 0; c < 3; ++c) {
            const double p = 1 / (1 + std::exp(-scores[i][c].item<double>()));
            const bool present = toy.labels[i].item<int64_t>() == c;
            expected += (present ? -5 * std::log(p + 1e-5) : -std::log(1 - p + 1e-5)) / 12;
        }
    }
    EXPECT_NEAR(full_loss(toy.scores(toy.places), toy.labels, 5).item<double>(), expected, 1e-12);
}

TEST(Objectives, CrossEntropyMixesInTheUniformTarget) {
    const Scores scores = as_scores(at::tensor({1.0, 2.0, 4.0}, at::kDouble).view({1, 3}));
    const double total = std::log(std::exp(1.0) + std::exp(2.0) + std::exp(4.0));
    const at::Tensor label = at::tensor({1}, at::kLong);
    EXPECT_NEAR(cross_entropy_loss(scores, label, 0).item<double>(), total - 2, 1e-12);
    EXPECT_NEAR(cross_entropy_loss(scores, label, 0.3).item<double>(), 0.7 * (total - 2) + 0.3 * (total - 7.0 / 3),
                1e-12);
}

TEST(Objectives, ZeroVectorsGiveFiniteLossesAndGradients) {
    at::Tensor embeddings = at::zeros({4, 5});
    embeddings[1].fill_(1);
    embeddings.requires_grad_(true);
    const at::Tensor u = normalize_rows(embeddings);
    const at::Tensor loss = in_batch_loss(u, u, 0.1) + negative_location_loss(u, u, u, 0.1) + in_batch_loss(u, u, 0.1);
    EXPECT_TRUE(std::isfinite(loss.item<double>()));
    EXPECT_EQ(u[0].abs().sum().item<double>(), 0);
    loss.backward();
    EXPECT_TRUE(embeddings.grad().isfinite().all().item<bool>());
}

TEST(Objectives, HopelessScoresStayBounded) {
    const at::Tensor scores = at::tensor({-1000.0f, 1000.0f}).view({1, 2}).requires_grad_(true);
    const at::Tensor loss =
        full_loss(as_scores(scores), at::tensor({0}, at::kLong), 1) + background_loss(as_scores(scores));
    EXPECT_NEAR(loss.item<double>(), -1.5 * std::log(1e-5), 1e-3);
    loss.backward();
    EXPECT_TRUE(scores.grad().isfinite().all().item<bool>());
}

// A tensor that one of the functions makes on the CPU could not meet those on `meta`.
TEST(Objectives, StayOnTheDeviceOfTheirArguments) {
    const at::TensorOptions meta = at::TensorOptions(at::kMeta).dtype(at::kFloat);
    const at::Tensor u = normalize_rows(at::empty({4, 5}, meta)), random = at::empty({8, 5}, meta);
    const at::Tensor scores = at::empty({4, 3}, meta), labels = at::empty({4}, meta.dtype(at::kLong));
    const at::Tensor row = at::empty({4}, meta);
    for (const at::Tensor &loss :
         {in_batch_loss(u, u, 1),
          negative_location_loss(u, u, random, 1), nce_in_batch_loss(u, u), nce_negative_location_loss(u, random),
          nce_positive_loss(u, u), l2_regression_loss(u, u), full_loss(as_scores(scores), labels, 3), background_loss(as_scores(scores)),
          observer_loss({row, row, scores, row}, labels, 3), cross_entropy_loss(as_scores(scores), labels, 0.1)}) {
        EXPECT_TRUE(loss.is_meta());
        EXPECT_EQ(loss.dim(), 0);
    }
    EXPECT_THROW(u * at::zeros({4, 5}), c10::Error) << "a CPU tensor among meta tensors must be an error";
}

}  // namespace
}  // namespace csp

// Adam against torch's own, and the learning-rate schedules.
#include <gtest/gtest.h>
#include <torch/optim/adam.h>
#include <torch/types.h>

#include "../../src/training/optimizer.h"

namespace csp {
namespace {

void expect_equal_to_torch(double weight_decay) {
    const at::Tensor start = at::cos(at::arange(10, at::kFloat));
    ParameterGroup group{start.clone(), at::zeros_like(start)};
    Lanes lanes(2);
    Adam adam(weight_decay);
    adam.add(group, 0.5);
    at::Tensor reference = start.clone().requires_grad_(true);
    torch::optim::Adam torch_adam({reference}, torch::optim::AdamOptions(0.05).weight_decay(weight_decay));
    for (int step = 0; step < 20; ++step) {
        const at::Tensor gradient = at::sin(at::arange(10, at::kFloat) * 3 + step);
        adam.zero_gradients();
        group.gradients.add_(gradient);
        adam.step(0.1, lanes);
        reference.mutable_grad() = gradient;
        torch_adam.step();
        EXPECT_LT((group.values - reference.detach()).abs().max().item<double>(), 1e-6) << "step " << step;
    }
    EXPECT_GT((group.values - start).abs().max().item<double>(), 0.1);
}

TEST(AdamOptimizer, StepsAsTorchDoes) { expect_equal_to_torch(0); }

TEST(AdamOptimizer, DecaysWeightsAsTorchDoes) { expect_equal_to_torch(0.1); }

TEST(AdamOptimizer, LeavesAFrozenGroupAlone) {
    ParameterGroup group{at::ones({3}), at::ones({3})};
    Lanes lanes(2);
    Adam adam(0.1);
    adam.add(group, 0);
    adam.step(0.1, lanes);
    EXPECT_TRUE(group.values.equal(at::ones({3})));
}

TEST(Schedules, FollowTheirFormulas) {
    EXPECT_EQ(scheduled_rate(Schedule::constant, 0.1, 0.5, 7, 10), 0.1);
    EXPECT_DOUBLE_EQ(scheduled_rate(Schedule::exponential, 0.1, 0.5, 3, 10), 0.0125);
    EXPECT_DOUBLE_EQ(scheduled_rate(Schedule::cosine, 0.1, 0.5, 0, 10), 0.1);
    EXPECT_DOUBLE_EQ(scheduled_rate(Schedule::cosine, 0.1, 0.5, 5, 10), 0.05);
    EXPECT_GT(scheduled_rate(Schedule::cosine, 0.1, 0.5, 9, 10), 0);
}

TEST(Schedules, AWarmUpRisesInEvenStepsToOne) {
    EXPECT_EQ(warmup_factor(0, 0, 100), 1);
    EXPECT_DOUBLE_EQ(warmup_factor(0.1, 0, 100), 0.1);
    EXPECT_DOUBLE_EQ(warmup_factor(0.1, 4, 100), 0.5);
    EXPECT_EQ(warmup_factor(0.1, 9, 100), 1);
    EXPECT_EQ(warmup_factor(0.1, 50, 100), 1);
    EXPECT_DOUBLE_EQ(warmup_factor(0.5, 0, 3), 0.5) << "a part of a batch counts as one";
}

}  // namespace
}  // namespace csp

// Batches divided among lanes: the same losses and gradients, whatever their number.
#include "../../src/training/lanes.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>

#include "../../src/training/batch_losses.h"
#include "../../src/training/device.h"
#include "../../src/training/position_tensors.h"
#include "../../src/training/stage_plan.h"
#include "training_support.h"

namespace csp {
namespace {

using csp_test::small_options;
using csp_test::ToyData;

TEST(Lanes, AllRunAtOnceAndAgain) {
    Lanes lanes(3);
    for (int round = 0; round < 100; ++round) {
        std::atomic<int> here{0}, sum{0};
        lanes.run([&](int lane) {
            ++here;
            while (here < 3) std::this_thread::yield();  // ends only if all three are at it
            sum += lane;
        });
        EXPECT_EQ(sum, 3);
    }
}

TEST(Lanes, AnErrorOfOneReachesTheCallerAndLeavesThemUsable) {
    Lanes lanes(2);
    for (int failing : {0, 1}) {
        EXPECT_THROW(lanes.run([&](int lane) {
            if (lane == failing) throw std::runtime_error("one failed");
        }),
                     std::runtime_error);
        lanes.run([](int) {});
    }
}

TEST(Lanes, SharesCoverEverythingOnce) {
    for (int64_t total : {0, 1, 2, 7, 1024}) {
        for (int parts : {1, 2, 3, 8}) {
            EXPECT_EQ(share_begin(total, parts, 0), 0);
            EXPECT_EQ(share_begin(total, parts, parts), total);
            for (int i = 0; i < parts; ++i) {
                const int64_t size = share_begin(total, parts, i + 1) - share_begin(total, parts, i);
                EXPECT_LE(std::abs(static_cast<double>(size) - static_cast<double>(total) / parts), 1);
            }
        }
    }
}

// Loss and gradients of one batch, as numbers.
std::vector<double> step(int lane_count, const TrainingOptions &options, const TrainingData &data, bool supervised) {
    const at::TensorOptions cpu = tensor_options("cpu");
    const ModelConfig config = complete_config(options, data);
    Samples samples(data, config, cpu, draw_position_tensors(config, data, 1));
    while (samples.encode_some()) continue;
    Network network(config, samples.feature_dim(), cpu, 1, network_settings(options));
    Lanes lanes(lane_count);
    ProcessGroup alone;
    BatchLosses losses(options, samples, network, lanes, alone);
    const RowIds rows = {1, 2, 5, 7, 8, 10, 11};  // all have a label; no multiple of the lanes
    const at::Tensor loss = supervised ? losses.supervised(rows) : losses.contrastive(rows, 0.7).total;
    std::vector<double> numbers = {loss.item<double>()};
    for (const ParameterGroup *group : {&network.encoder(), &network.head()}) {
        const at::Tensor gradients = group->gradients.to(at::kDouble);
        numbers.insert(numbers.end(), gradients.data_ptr<double>(), gradients.data_ptr<double>() + gradients.numel());
    }
    return numbers;
}

void expect_same_in_lanes(const TrainingOptions &options, const TrainingData &data, bool supervised) {
    const std::vector<double> one = step(1, options, data, supervised);
    for (int lanes : {2, 3, 16}) {
        const std::vector<double> several = step(lanes, options, data, supervised);
        ASSERT_EQ(several.size(), one.size());
        for (std::size_t i = 0; i < one.size(); ++i)
            ASSERT_NEAR(several[i], one[i], 1e-5 * (1 + std::abs(one[i]))) << lanes << " lanes, number " << i;
    }
}

TEST(Lanes, GiveTheSameContrastiveGradients) {
    const ToyData toy(30);
    for (Objective objective : {Objective::mc, Objective::mc_symmetric, Objective::nce, Objective::l2_regression}) {
        for (double dropout : {0.0, 0.5}) {
            for (bool learned : {false, true}) {
                SCOPED_TRACE(std::string(to_string(objective)) + (learned ? ", learned temperature" : ""));
                TrainingOptions options = small_options();
                options.objective = objective;
                options.model.dropout = dropout;
                options.learn_temperature = learned;
                options.negatives = 2;
                options.weight_dropout = 0.4;
                expect_same_in_lanes(options, toy.view(), false);
            }
        }
    }
}

TEST(Lanes, GiveTheSameSupervisedGradients) {
    const ToyData toy(30);
    for (SupervisedLoss loss :
         {SupervisedLoss::full_loss, SupervisedLoss::cross_entropy, SupervisedLoss::full_loss_user}) {
        SCOPED_TRACE(to_string(loss));
        TrainingOptions options = small_options();
        options.loss = loss;
        options.model.dropout = 0.5;
        expect_same_in_lanes(options, toy.view(), true);
    }
}

// Twins share what comes before the first layer of dropout: as if they went through the network by themselves.
TEST(Dropout, RowsBeyondThoseGivenAreTheFirstOnceMore) {
    const at::Tensor x = at::sin(at::arange(5 * 7, at::kFloat)).view({5, 7});
    Dropout shared(0.5, 9, {{0, 5}, {100, 3}}), whole(0.5, 9, {{0, 5}, {100, 3}});
    const at::Tensor repeated = at::cat({x, x.narrow(0, 0, 3)});
    EXPECT_TRUE(shared(x).equal(whole(repeated)));
    EXPECT_TRUE(shared.leaky_relu(x, 0.2).equal(whole.leaky_relu(repeated, 0.2)));
}

TEST(Dropout, DependsOnTheRowsNumberNotOnItsPlace) {
    const at::Tensor x = at::ones({6, 100});
    Dropout whole(0.3, 4, {{10, 6}}), first(0.3, 4, {{10, 2}}), last(0.3, 4, {{12, 4}}), other(0.3, 5, {{10, 6}});
    const at::Tensor all = whole(x);
    EXPECT_TRUE(all.narrow(0, 0, 2).equal(first(x.narrow(0, 0, 2))));
    EXPECT_TRUE(all.narrow(0, 2, 4).equal(last(x.narrow(0, 0, 4))));
    EXPECT_FALSE(all.equal(other(x)));
    EXPECT_FALSE(all.equal(whole(x))) << "another layer";
}

TEST(Dropout, OfLeakyReluInOnePassIsThatInTwo) {
    for (double slope : {0.0, 0.2}) {
        // Nowhere 0, where the slope is a matter of taste.
        at::Tensor x = at::sin(at::arange(1, 40 * 33 + 1, at::kFloat)).view({40, 33}).requires_grad_(true);
        at::Tensor y = x.detach().clone().requires_grad_(true);
        Dropout fused(0.4, 2, {{0, 40}, {40, 40}}), plain(0.4, 2, {{0, 40}, {40, 40}});
        const at::Tensor weights = at::cos(at::arange(80 * 33, at::kFloat)).view({80, 33});
        const at::Tensor a = fused.leaky_relu(x, slope), b = plain(at::leaky_relu(y, slope));
        EXPECT_LE((a - b).abs().max().item<double>(), 1e-6);
        (a * weights).sum().backward();
        (b * weights).sum().backward();
        EXPECT_LE((x.grad() - y.grad()).abs().max().item<double>(), 1e-6);
    }
}

}  // namespace
}  // namespace csp

// Training on other devices than the CPU, without a GPU: steps on LibTorch's `meta`, whole runs
// on a device of the tests' own.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <functional>
#include <vector>

#include "../../src/encoder/error.h"
#include "../../src/training/batch_losses.h"
#include "../../src/training/device.h"
#include "../../src/training/make_trainer.h"
#include "../../src/training/optimizer.h"
#include "../../src/training/position_tensors.h"
#include "../../src/training/stage_plan.h"
#include "host_device.h"
#include "training_support.h"

namespace csp {
namespace {

using csp_test::host_device;
using csp_test::small_options;
using csp_test::ToyData;

constexpr Objective objectives[] = {Objective::mc, Objective::mc_symmetric, Objective::nce, Objective::l2_regression};
constexpr SupervisedLoss losses[] = {SupervisedLoss::full_loss, SupervisedLoss::cross_entropy,
                                     SupervisedLoss::full_loss_user};
constexpr NegativeSampler samplers[] = {NegativeSampler::area, NegativeSampler::uniform, NegativeSampler::spherical,
                                        NegativeSampler::sphericalold, NegativeSampler::observed};

// One step of both stages; the tensors it leaves are on the device of `device`.
void step_on(const at::TensorOptions &device, const TrainingOptions &options, const TrainingData &data) {
    const ModelConfig config = complete_config(options, data);
    Samples samples(data, config, device, draw_position_tensors(config, data, 1));
    while (samples.encode_some()) continue;
    Network network(config, samples.feature_dim(), device, 1, network_settings(options));
    Lanes lanes(1);
    ProcessGroup alone;
    BatchLosses batch_losses(options, samples, network, lanes, alone);
    const RowIds rows = {1, 2, 5, 7, 8, 10};  // all have a label
    const at::Tensor loss = batch_losses.contrastive(rows).total + batch_losses.supervised(rows);
    EXPECT_EQ(loss.device(), device.device());
    Adam adam(0.01);
    adam.add(network.encoder(), 1);
    adam.add(network.head(), 1);
    adam.step(0.1, lanes);
    adam.zero_gradients();
    network.limit_logit_scale();
    for (const ParameterGroup *group : {&network.encoder(), &network.head()}) {
        EXPECT_EQ(group->values.device(), device.device());
        EXPECT_EQ(group->gradients.device(), device.device());
    }
}

TEST(Device, EveryCombinationStepsOnMeta) {
    const ToyData toy(30);
    const at::TensorOptions meta = at::TensorOptions(at::kMeta).dtype(at::kFloat);
    for (Objective objective : objectives) {
        for (SupervisedLoss loss : losses) {
            for (NegativeSampler sampler : samplers) {
                for (int switches = 0; switches < 4; ++switches) {
                    SCOPED_TRACE(std::string(to_string(objective)) + " " + to_string(loss) + " " + to_string(sampler) +
                                 " switches " + std::to_string(switches));
                    TrainingOptions options = small_options();
                    options.model.layer_norm = false;  // its meta kernel is part of torch's Python
                    options.objective = objective;
                    options.loss = loss;
                    options.negative_sampler = sampler;
                    options.learn_temperature = switches & 1;
                    options.precision = switches & 2 ? Precision::bfloat16 : Precision::float32;
                    step_on(meta, options, toy.view());
                }
            }
        }
    }
}

// Calls body with the options of every position encoding with every network that goes with it.
void for_each_architecture(const TrainingOptions &base, const std::function<void(const TrainingOptions &)> &body) {
    for (const std::string &encoding : position_encoding_names()) {
        for (NetworkKind network : {NetworkKind::ffn, NetworkKind::fcnet, NetworkKind::siren, NetworkKind::linear,
                                    NetworkKind::diagonal}) {
            if (network == NetworkKind::diagonal && encoding != "theorydiag") continue;
            TrainingOptions options = base;
            set_position_encoding(options.model, encoding);
            options.model.frequencies = 4;
            options.model.anchors = 8;
            options.model.degrees = 4;
            options.model.network = network;
            options.model.diagonal_projection = true;
            options.model.activation = base.model.activation;  // relu has no meta kernel in LibTorch 1.13
            SCOPED_TRACE(encoding + " " + to_string(network));
            body(options);
        }
    }
}

TEST(Device, EveryArchitectureStepsOnMeta) {
    const ToyData toy(30);
    const at::TensorOptions meta = at::TensorOptions(at::kMeta).dtype(at::kFloat);
    TrainingOptions base = small_options();
    base.model.layer_norm = false;
    for_each_architecture(base, [&](const TrainingOptions &options) {
        if (options.model.position_encoding == "tile") return;  // index_select has no meta kernel in LibTorch 1.13
        step_on(meta, options, toy.view());
    });
}

// Learning rates so small that Adam makes little of how a sum was rounded: it divides each
// gradient by its size, be that next to nothing.
TrainingOptions short_options() {
    TrainingOptions options = small_options();
    options.pretrain_epochs = options.epochs = 2;
    options.pretrain_learning_rate = options.learning_rate = 1e-4;
    return options;
}

struct Run {
    std::vector<double> losses;  // of the epochs
    double top1 = 0;
    TensorMap tensors;
};

Run run_on(const at::TensorOptions &device, const TrainingOptions &options, const TrainingData &data) {
    const auto trainer = make_trainer_on(device, options, data);
    EXPECT_EQ(trainer->device(), device.device().str());
    Run run;
    Progress progress;
    while (trainer->advance(10, progress)) {
        if (!progress.epoch_finished) continue;
        run.losses.push_back(progress.metrics.loss);
        run.top1 = progress.metrics.validation_top1;
    }
    run.tensors = trainer->finish().tensors;
    return run;
}

void expect_the_same_on_the_host_device(const TrainingOptions &options, const TrainingData &data) {
    const Run cpu = run_on(tensor_options("cpu"), options, data), host = run_on(host_device(), options, data);
    ASSERT_EQ(cpu.losses.size(), host.losses.size());
    for (std::size_t i = 0; i < cpu.losses.size(); ++i) EXPECT_NEAR(cpu.losses[i], host.losses[i], 1e-5) << i;
    EXPECT_EQ(cpu.top1, host.top1);
    ASSERT_EQ(cpu.tensors.size(), host.tensors.size());
    for (const auto &[name, tensor] : cpu.tensors) {
        const std::vector<float> &values = host.tensors.at(name).values;
        for (std::size_t i = 0; i < values.size(); ++i) ASSERT_NEAR(tensor.values[i], values[i], 1e-5) << name;
    }
}

TEST(Device, WholeRunsOnAnotherDeviceGiveTheSame) {
    const ToyData toy(150);
    for (Objective objective : objectives) {
        for (SupervisedLoss loss : losses) {
            SCOPED_TRACE(std::string(to_string(objective)) + " " + to_string(loss));
            TrainingOptions options = short_options();
            options.objective = objective;
            options.loss = loss;
            options.weight_contrastive = 0.5;
            expect_the_same_on_the_host_device(options, toy.view());
        }
    }
}

TEST(Device, EveryOptionRunsOnAnotherDevice) {
    const ToyData toy(150);
    const std::function<void(TrainingOptions &)> variants[] = {
        [](TrainingOptions &o) { o.learn_temperature = true; },
        [](TrainingOptions &o) { o.precision = Precision::bfloat16, o.negatives = 3; },
        [](TrainingOptions &o) { o.negative_sampler = NegativeSampler::observed; },
        [](TrainingOptions &o) { o.max_rows_per_class = 20, o.balance_classes = true, o.label_ratio = 0.5; },
        [](TrainingOptions &o) { o.encoder_learning_rate = 0, o.weight_decay = 0.01; },
        [](TrainingOptions &o) { o.image_classifier = o.calibration = true, o.image_learning_rate = 1e-4; }};
    for (std::size_t i = 0; i < std::size(variants); ++i) {
        SCOPED_TRACE("variant " + std::to_string(i));
        TrainingOptions options = short_options();
        variants[i](options);
        expect_the_same_on_the_host_device(options, toy.view());
    }
    for (Activation activation : {Activation::relu, Activation::leakyrelu, Activation::sigmoid, Activation::tanh}) {
        TrainingOptions options = short_options();
        options.model.activation = activation;
        expect_the_same_on_the_host_device(options, toy.view());
    }
}

TEST(Device, EveryArchitectureRunsOnAnotherDevice) {
    const ToyData toy(60);
    TrainingOptions base = short_options();
    base.pretrain_epochs = base.epochs = 1;
    for_each_architecture(base, [&](const TrainingOptions &options) {
        expect_the_same_on_the_host_device(options, toy.view());
    });
}

TEST(Device, GoesOnFromAModelOnAnotherDevice) {
    const ToyData toy(150);
    TrainingOptions options = short_options();
    const TensorMap first = run_on(host_device(), options, toy.view()).tensors;
    TrainingData data = toy.view();
    data.initial = &first;
    expect_the_same_on_the_host_device(options, data);
}

// What makes the tests above tell something.
TEST(Device, ATensorLeftOnTheCpuIsAnError) {
    const at::Tensor there = at::ones({4, 5}, host_device()), here = at::ones({4, 5});
    EXPECT_EQ(there.device().type(), c10::DeviceType::PrivateUse1);
    EXPECT_THROW(there * here, c10::Error);
    EXPECT_THROW(at::matmul(there, here.t()), c10::Error);
    EXPECT_THROW(at::cat({there, here}), c10::Error);
    EXPECT_THROW(there.index_select(0, at::zeros({2}, at::kLong)), c10::Error);
    EXPECT_EQ((there * here.to(host_device())).sum().item<float>(), 20);
    EXPECT_EQ((2 * there + 1).sum().item<float>(), 60);
    ToyData toy(30);
    Network network(small_options().model, 32, host_device(), 1);
    EXPECT_THROW(network.embed(at::ones({3, 32}), nullptr), c10::Error);
}

}  // namespace
}  // namespace csp

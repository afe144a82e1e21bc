// Whole runs of both stages on small made-up data.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <new>
#include <vector>

#include "../../src/encoder/error.h"
#include "../../src/encoder/model.h"
#include "../../src/training/device.h"
#include "../../src/training/make_trainer.h"
#include "../../src/training/random.h"
#include "../../src/training/torch_guard.h"
#include "training_support.h"

namespace csp {
namespace {

using csp_test::error_of;
using csp_test::FinishedRun;
using csp_test::small_options;
using csp_test::ToyData;

FinishedRun train(const TrainingOptions &options, const TrainingData &data, double slice = 0.05) {
    const auto trainer = make_trainer(options, data);
    FinishedRun run;
    Progress progress;
    while (trainer->advance(slice, progress)) {
        if (progress.epoch_finished) run.epochs.push_back(progress.metrics);
    }
    EXPECT_FALSE(trainer->advance(slice, progress));
    run.model = trainer->finish();
    return run;
}

void expect_equal_tensors(const TensorMap &a, const TensorMap &b) {
    ASSERT_EQ(a.size(), b.size());
    for (const auto &[name, tensor] : a) EXPECT_EQ(tensor.values, b.at(name).values) << name;
}

TEST(Trainer, LearnsInBothStagesAndGivesAWorkingModel) {
    const ToyData toy(600);
    const FinishedRun run = train(small_options(), toy.view());
    ASSERT_EQ(run.epochs.size(), 30u);
    const EpochMetrics &first = run.epochs[0], &pretrained = run.epochs[14], &last = run.epochs[29];
    EXPECT_EQ(first.stage, Stage::pretraining);
    EXPECT_EQ(pretrained.epoch, 15);
    EXPECT_EQ(last.stage, Stage::supervised);
    EXPECT_LT(pretrained.loss, 0.9 * first.loss);
    EXPECT_LT(pretrained.loss_in_batch, first.loss_in_batch);
    EXPECT_LT(pretrained.validation_loss, 0.9 * first.validation_loss);
    EXPECT_TRUE(std::isnan(first.validation_top1));
    EXPECT_TRUE(std::isnan(last.loss_in_batch));
    EXPECT_LT(last.loss, run.epochs[15].loss);
    EXPECT_GT(last.validation_top1, 0.85);

    const Model model(run.model.config, {"south", "middle", "north"}, run.model.tensors);
    const double north[] = {10, 50};
    std::vector<float> embedding(32), probabilities(3);
    model.embed(north, 1, embedding.data());
    model.probabilities(embedding.data(), 1, probabilities.data());
    EXPECT_GT(probabilities[2], 0.5);
}

TEST(Trainer, TheSameSeedGivesTheSameWeightsHoweverItIsSliced) {
    const ToyData toy(200);
    TrainingOptions options = small_options();
    options.pretrain_epochs = options.epochs = 3;
    const FinishedRun a = train(options, toy.view(), 10), b = train(options, toy.view(), 0);
    expect_equal_tensors(a.model.tensors, b.model.tensors);
    options.seed = 1;
    const FinishedRun c = train(options, toy.view());
    for (const auto &[name, tensor] : a.model.tensors) {
        EXPECT_NE(tensor.values, c.model.tensors.at(name).values) << name;
    }
}

TEST(Trainer, TheSameSeedGivesTheSameWeightsWithTwoThreads) {
    const ToyData toy(200);
    TrainingOptions options = small_options();
    options.pretrain_epochs = options.epochs = 2;
    options.threads = 2;
    expect_equal_tensors(train(options, toy.view()).model.tensors, train(options, toy.view()).model.tensors);
}

TEST(Trainer, RowsHeldOutDoNotInfluenceTheWeights) {
    ToyData toy(200), changed(200);
    for (std::size_t i = 4; i < 200; i += 10) {
        std::fill_n(changed.features.begin() + static_cast<std::ptrdiff_t>(8 * i), 8, 3.0f);
        if (changed.classes[i] >= 0) changed.classes[i] = (changed.classes[i] + 1) % 3;
    }
    TrainingOptions options = small_options();
    options.pretrain_epochs = options.epochs = 2;
    options.weight_contrastive = 0.5;
    const FinishedRun a = train(options, toy.view()), b = train(options, changed.view());
    expect_equal_tensors(a.model.tensors, b.model.tensors);
    EXPECT_NE(a.epochs.front().validation_loss, b.epochs.front().validation_loss);
    EXPECT_NE(a.epochs.back().validation_loss, b.epochs.back().validation_loss);
}

TEST(Trainer, EachStageRunsAlone) {
    const ToyData toy(200);
    TrainingOptions options = small_options();
    options.pretrain_epochs = options.epochs = 2;
    TrainingData no_labels = toy.view(), no_features = toy.view();
    no_labels.classes = nullptr;
    no_labels.class_count = 0;
    no_features.features = nullptr;
    no_features.image_dim = 0;
    const FinishedRun pretrained = train(options, no_labels), supervised = train(options, no_features);
    ASSERT_EQ(pretrained.epochs.size(), 2u);
    EXPECT_EQ(pretrained.model.config.class_count, 0);
    EXPECT_EQ(pretrained.model.tensors.count("class_emb.weight"), 0u);
    EXPECT_EQ(pretrained.model.config.image_dim, 8);
    ASSERT_EQ(supervised.epochs.size(), 2u);
    EXPECT_EQ(supervised.epochs.front().stage, Stage::supervised);
    EXPECT_EQ(supervised.model.config.image_dim, 0);
    EXPECT_EQ(supervised.model.tensors.count("img_dec.weight"), 0u);
    EXPECT_NO_THROW(Model(pretrained.model.config, {}, pretrained.model.tensors));
    EXPECT_NO_THROW(Model(supervised.model.config, {"a", "b", "c"}, supervised.model.tensors));
}

TEST(Trainer, EveryOptionOfTheObjectivesTrains) {
    const ToyData toy(300);
    const std::function<void(TrainingOptions &)> variants[] = {
        [](TrainingOptions &o) { o.weight_negative = 0; },
        [](TrainingOptions &o) { o.weight_dropout = 0; },
        [](TrainingOptions &o) { o.weight_in_batch = 0; },
        [](TrainingOptions &o) { o.negatives = 3; },
        [](TrainingOptions &o) { o.loss = SupervisedLoss::full_loss; },
        [](TrainingOptions &o) { o.loss = SupervisedLoss::full_loss, o.weight_background = 0, o.positive_weight = 2; },
        [](TrainingOptions &o) { o.loss = SupervisedLoss::full_loss_user; },
        [](TrainingOptions &o) { o.negative_sampler = NegativeSampler::uniform; },
        [](TrainingOptions &o) { o.negative_sampler = NegativeSampler::sphericalold; },
        [](TrainingOptions &o) { o.negative_sampler = NegativeSampler::observed; },
        [](TrainingOptions &o) { o.learn_temperature = true, o.objective = Objective::mc_symmetric; },
        [](TrainingOptions &o) { o.max_rows_per_class = 50; },
        [](TrainingOptions &o) { o.balance_classes = true; },
        [](TrainingOptions &o) { o.label_ratio = 0.5; },
        [](TrainingOptions &o) { o.precision = Precision::bfloat16; },
        [](TrainingOptions &o) { o.weight_contrastive = 0.5; },
        [](TrainingOptions &o) { o.objective = Objective::mc_symmetric; },
        [](TrainingOptions &o) { o.objective = Objective::nce; },
        [](TrainingOptions &o) { o.objective = Objective::nce, o.weight_negative = 0, o.weight_dropout = 0; },
        [](TrainingOptions &o) { o.objective = Objective::l2_regression, o.weight_contrastive = 0.5; },
        [](TrainingOptions &o) { o.encoder_learning_rate = 0; },
        [](TrainingOptions &o) { o.model.dropout = 0, o.model.hidden_layers = 0; },
        [](TrainingOptions &o) { o.schedule = Schedule::exponential, o.pretrain_schedule = Schedule::constant; }};
    for (std::size_t i = 0; i < std::size(variants); ++i) {
        SCOPED_TRACE("variant " + std::to_string(i));
        TrainingOptions options = small_options();
        options.pretrain_epochs = options.epochs = 6;
        variants[i](options);
        const FinishedRun run = train(options, toy.view());
        EXPECT_LT(run.epochs[5].loss, run.epochs[0].loss);
        EXPECT_LT(run.epochs[11].loss, run.epochs[6].loss);
        EXPECT_EQ(run.model.config.class_head,
                  options.loss == SupervisedLoss::cross_entropy ? ClassHead::softmax : ClassHead::sigmoid);
        EXPECT_EQ(run.model.tensors.count("loc_dec.weight"), options.objective == Objective::l2_regression ? 1u : 0u);
        EXPECT_EQ(run.model.tensors.count("user_emb.weight"),
                  options.loss == SupervisedLoss::full_loss_user ? 1u : 0u);
        EXPECT_NO_THROW(Model(run.model.config, {"a", "b", "c"}, run.model.tensors));
    }
}

TEST(Trainer, TermsOfWeightZeroAreNotComputed) {
    const ToyData toy(100);
    TrainingOptions options = small_options();
    options.pretrain_epochs = 1;
    options.weight_negative = options.weight_dropout = 0;
    const EpochMetrics metrics = train(options, toy.view()).epochs.front();
    EXPECT_TRUE(std::isnan(metrics.loss_negative));
    EXPECT_TRUE(std::isnan(metrics.loss_dropout));
    EXPECT_NEAR(metrics.loss, metrics.loss_in_batch, 1e-6);
}

TEST(Trainer, MinStepsAddsEpochs) {
    const ToyData toy(100);  // 60 labelled training rows: 2 batches of 32
    TrainingOptions options = small_options();
    options.pretrain_epochs = 0;
    options.epochs = 3;
    options.min_steps = 21;
    EXPECT_EQ(train(options, toy.view()).epochs.size(), 11u);
}

TEST(Trainer, AWarmUpRaisesTheRateFromNothing) {
    const ToyData toy(200);
    TrainingOptions options = small_options();
    options.pretrain_epochs = options.epochs = 4;
    options.pretrain_schedule = options.schedule = Schedule::constant;
    options.pretrain_warmup = 0.5;
    options.warmup = 0.25;
    const FinishedRun run = train(options, toy.view());
    const double first = options.pretrain_learning_rate, second = options.learning_rate;
    const double rates[] = {first / 2, first, first, first, second, second, second, second};
    for (std::size_t i = 0; i < 8; ++i) EXPECT_DOUBLE_EQ(run.epochs[i].learning_rate, rates[i]) << i;
    options.warmup = 0;
    EXPECT_NE(run.epochs[4].loss, train(options, toy.view()).epochs[4].loss);
}

// Of a run that soon fits its few rows too well.
TrainingOptions overfitting_options() {
    TrainingOptions options = small_options();
    options.pretrain_epochs = 60;
    options.epochs = 60;
    options.model.dropout = 0;
    options.pretrain_learning_rate = options.learning_rate = 0.01;
    options.pretrain_schedule = options.schedule = Schedule::constant;
    return options;
}

// The place of the lowest validation loss among the epochs of a stage.
std::size_t best_of(const std::vector<EpochMetrics> &epochs, std::size_t begin, std::size_t end) {
    std::size_t best = begin;
    for (std::size_t i = begin; i < end; ++i)
        if (epochs[i].validation_loss < epochs[best].validation_loss) best = i;
    return best;
}

TEST(Trainer, PatienceEndsAStageThatNoLongerImproves) {
    const ToyData toy(100);
    TrainingOptions options = overfitting_options();
    const FinishedRun all = train(options, toy.view());
    ASSERT_EQ(all.epochs.size(), 120u);
    EXPECT_EQ(all.model.metrics.epoch, 60);
    options.patience = 3;
    const FinishedRun run = train(options, toy.view());
    const auto ends_here = [](const EpochMetrics &m) { return m.stage == Stage::supervised; };
    const std::size_t pretrained =
        static_cast<std::size_t>(std::find_if(run.epochs.begin(), run.epochs.end(), ends_here) - run.epochs.begin());
    const std::size_t end = run.epochs.size();
    ASSERT_LT(pretrained, 60u);
    ASSERT_LT(end - pretrained, 60u);
    EXPECT_EQ(best_of(run.epochs, 0, pretrained) + 4, pretrained);
    EXPECT_EQ(best_of(run.epochs, pretrained, end) + 4, end);
    for (std::size_t i = 0; i < pretrained; ++i) EXPECT_EQ(run.epochs[i].loss, all.epochs[i].loss) << i;
    EXPECT_EQ(run.model.metrics.epoch, run.epochs.back().epoch) << "the last epoch's weights are kept";
}

TEST(Trainer, KeepsTheWeightsOfTheBestEpoch) {
    const ToyData toy(100);
    TrainingOptions options = overfitting_options();
    options.pretrain_epochs = 0;
    options.keep_best = true;
    const FinishedRun run = train(options, toy.view());
    const std::size_t best = best_of(run.epochs, 0, 60);
    ASSERT_LT(best, 59u);
    EXPECT_EQ(run.model.metrics.epoch, static_cast<int>(best) + 1);
    EXPECT_EQ(run.model.metrics.validation_loss, run.epochs[best].validation_loss);
    options.keep_best = false;
    options.epochs = static_cast<int>(best) + 1;
    expect_equal_tensors(run.model.tensors, train(options, toy.view()).model.tensors);
}

TEST(Trainer, TheBestPretrainedEpochIsFineTuned) {
    const ToyData toy(100);
    TrainingOptions options = overfitting_options();
    options.epochs = 1;
    options.keep_best = true;
    const FinishedRun run = train(options, toy.view());
    const std::size_t best = best_of(run.epochs, 0, 60);
    ASSERT_LT(best, 59u);
    TrainingData no_labels = toy.view();
    no_labels.classes = nullptr;
    options.pretrain_epochs = static_cast<int>(best) + 1;
    const TrainedModel pretrained = train(options, no_labels).model;
    TrainingOptions frozen = overfitting_options();
    frozen.epochs = 1;
    frozen.keep_best = true;
    frozen.encoder_learning_rate = 0;
    expect_equal_tensors(pretrained.tensors, [&] {
        TensorMap tensors = train(frozen, toy.view()).model.tensors;
        tensors.erase("class_emb.weight");
        tensors.erase("class_emb.bias");
        return tensors;
    }());
}

TEST(Trainer, WithoutRowsHeldOutNoEpochIsTheBest) {
    ToyData toy(100);
    std::fill(toy.validation.begin(), toy.validation.end(), 0);
    TrainingOptions options = small_options();
    options.pretrain_epochs = options.epochs = 3;
    const FinishedRun plain = train(options, toy.view());
    options.patience = 1;
    options.keep_best = true;
    const FinishedRun run = train(options, toy.view());
    EXPECT_EQ(run.epochs.size(), 6u);
    EXPECT_EQ(run.model.metrics.epoch, 3);
    expect_equal_tensors(run.model.tensors, plain.model.tensors);
}

TEST(Trainer, GoesOnFromAGivenModel) {
    const ToyData toy(200);
    TrainingOptions options = small_options();
    const TrainedModel first = train(options, toy.view()).model;
    TrainingData data = toy.view();
    data.initial = &first.tensors;
    options.pretrain_epochs = 0;
    options.epochs = 1;
    options.learning_rate = 1e-9;
    const FinishedRun again = train(options, data);
    for (const auto &[name, tensor] : first.tensors) {
        for (std::size_t i = 0; i < tensor.values.size(); ++i) {
            ASSERT_NEAR(tensor.values[i], again.model.tensors.at(name).values[i], 1e-6) << name;
        }
    }
    options.model.hidden_dim = 32;
    EXPECT_EQ(error_of([&] { make_trainer(options, data); }).kind(), ErrorKind::invalid_data);
}

TEST(Trainer, KeepsALocationDecoderThatItDoesNotTrain) {
    const ToyData toy(200);
    TrainingOptions options = small_options();
    options.objective = Objective::l2_regression;
    options.pretrain_epochs = 2;
    options.epochs = 1;
    const TrainedModel first = train(options, toy.view()).model;
    EXPECT_EQ(first.config.image_side, ImageSide::location_decoder);
    TrainingData data = toy.view();
    data.initial = &first.tensors;
    options.objective = Objective::mc;
    options.pretrain_epochs = 0;
    options.encoder_learning_rate = 0;
    const TrainedModel second = train(options, data).model;
    EXPECT_EQ(second.config.image_side, ImageSide::location_decoder);
    EXPECT_EQ(second.config.image_dim, 8);
    EXPECT_EQ(second.tensors.at("loc_dec.weight").values, first.tensors.at("loc_dec.weight").values);
}

TEST(Trainer, ALossWithUsersNeedsUsers) {
    const ToyData toy(100);
    TrainingOptions options = small_options();
    options.loss = SupervisedLoss::full_loss_user;
    TrainingData data = toy.view();
    data.users = nullptr;
    const Error error = error_of([&] { make_trainer(options, data); });
    EXPECT_EQ(error.kind(), ErrorKind::invalid_parameter);
    EXPECT_NE(error.hint().find("observer"), std::string::npos);
    data.classes = nullptr;
    EXPECT_NO_THROW(make_trainer(options, data)) << "pre-training alone looks at no users";
}

TEST(Trainer, LearnsATemperature) {
    const ToyData toy(300);
    TrainingOptions options = small_options();
    options.learn_temperature = true;
    options.pretrain_epochs = 10;
    options.epochs = 0;
    options.weight_negative = options.weight_dropout = 0;
    options.pretrain_learning_rate = 0.01;
    const FinishedRun run = train(options, toy.view());
    const Tensor &scale = run.model.tensors.at("logit_scale");
    EXPECT_EQ(scale.shape, std::vector<int64_t>{1});
    EXPECT_GT(scale.values[0], std::log(1 / 0.5) + 0.05) << "a sharper softmax fits better";
    options.learn_temperature = false;
    EXPECT_LT(run.epochs[9].loss, train(options, toy.view()).epochs[9].loss);
    options.learn_temperature = true;
    options.pretrain_learning_rate = 1;
    options.temperature_in_batch = 0.011;
    EXPECT_LE(train(options, toy.view()).model.tensors.at("logit_scale").values[0], std::log(100.0f));
    options.objective = Objective::nce;
    EXPECT_EQ(train(options, toy.view()).model.tensors.count("logit_scale"), 0u);
}

TEST(Trainer, FewerLabelsAreStillPretrainedOn) {
    const ToyData toy(600);
    TrainingOptions options = small_options();
    options.pretrain_epochs = options.epochs = 2;
    const FinishedRun all = train(options, toy.view());
    options.label_ratio = 0.1;
    const FinishedRun few = train(options, toy.view()), again = train(options, toy.view());
    EXPECT_EQ(few.epochs[1].loss, all.epochs[1].loss) << "pre-training goes through every row";
    EXPECT_NE(few.epochs[3].loss, all.epochs[3].loss);
    expect_equal_tensors(few.model.tensors, again.model.tensors);
}

TEST(Trainer, SamplingOfRowsIsRepeatableAndNeedsClasses) {
    const ToyData toy(300);
    TrainingOptions options = small_options();
    options.pretrain_epochs = options.epochs = 2;
    const FinishedRun plain = train(options, toy.view());
    TrainingData no_labels = toy.view();
    no_labels.classes = nullptr;
    const FinishedRun plain_without = train(options, no_labels);
    options.max_rows_per_class = 20;
    options.balance_classes = true;
    options.label_ratio = 0.5;
    const FinishedRun drawn = train(options, toy.view()), again = train(options, toy.view());
    expect_equal_tensors(drawn.model.tensors, again.model.tensors);
    EXPECT_NE(drawn.epochs[0].loss, plain.epochs[0].loss);
    expect_equal_tensors(train(options, no_labels).model.tensors, plain_without.model.tensors);
    ToyData same(50);
    std::fill(same.classes.begin(), same.classes.end(), 0);
    options.balance_classes = false;
    options.max_rows_per_class = 1;
    options.epochs = 0;
    EXPECT_EQ(error_of([&] { make_trainer(options, same.view()); }).kind(), ErrorKind::invalid_parameter);
}

TEST(Trainer, Bfloat16TrainsAsFloat32DoesAndLeavesFloat32) {
    const ToyData toy(400);
    for (Objective objective : {Objective::mc, Objective::mc_symmetric, Objective::nce, Objective::l2_regression}) {
        SCOPED_TRACE(to_string(objective));
        TrainingOptions options = small_options();
        options.objective = objective;
        const FinishedRun exact = train(options, toy.view());
        options.precision = Precision::bfloat16;
        const FinishedRun rounded = train(options, toy.view());
        EXPECT_NEAR(rounded.epochs[14].loss / exact.epochs[14].loss, 1, 0.03);
        EXPECT_NEAR(rounded.epochs[29].loss / exact.epochs[29].loss, 1, 0.08);
        EXPECT_NE(rounded.epochs[14].loss, exact.epochs[14].loss);
        const auto between = [](float value) {  // more digits than bfloat16 has
            uint32_t bits;
            std::memcpy(&bits, &value, sizeof bits);
            return (bits & 0xffff) != 0;
        };
        const std::vector<float> &weights = rounded.model.tensors.at("spa_enc.ffn.layers.0.linear.weight").values;
        EXPECT_TRUE(std::any_of(weights.begin(), weights.end(), between));
    }
}

TEST(Trainer, SlicesAreShort) {
    const ToyData toy(3000);
    TrainingOptions options = small_options();
    options.pretrain_epochs = 2;
    options.epochs = 1;
    const auto trainer = make_trainer(options, toy.view());
    Progress progress;
    int slices = 0;
    auto start = std::chrono::steady_clock::now();
    while (trainer->advance(0.005, progress)) {
        ++slices;
        const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        EXPECT_LT(seconds, 1.0);
        EXPECT_GE(progress.epoch, 1);
        EXPECT_LE(progress.epoch, progress.epochs);
        EXPECT_LE(progress.batch, progress.batches);
        start = std::chrono::steady_clock::now();
    }
    EXPECT_GT(slices, 3);
}

TEST(Trainer, EstimatesTheTimeThatIsLeft) {
    const ToyData toy(300);
    TrainingOptions options = small_options();
    options.pretrain_epochs = options.epochs = 2;
    const auto trainer = make_trainer(options, toy.view());
    Progress progress;
    trainer->advance(0, progress);
    EXPECT_TRUE(std::isnan(progress.seconds_left)) << "only places have been encoded";
    trainer->advance(0, progress);
    EXPECT_GT(progress.seconds_left, 0);
    while (trainer->advance(0, progress) && !(progress.epoch_finished && progress.stage == Stage::pretraining)) continue;
    EXPECT_GT(progress.seconds_left, 0) << "the second stage is still to come";
    while (trainer->advance(0, progress)) {
        const bool last = progress.epoch_finished && progress.metrics.epoch == 2;
        EXPECT_TRUE(progress.seconds_left > 0 || last || progress.batch == progress.batches);
    }
    EXPECT_EQ(progress.seconds_left, 0);
}

TEST(Trainer, DataThatCannotBeTrainedOnIsAnError) {
    struct Wrong {
        const char *what;
        std::function<void(ToyData &, TrainingData &)> change;
    };
    const float nan = std::numeric_limits<float>::quiet_NaN();
    const Wrong wrong[] = {
        {"no rows", [](ToyData &, TrainingData &d) { d.rows = 0; }},
        {"one row", [](ToyData &, TrainingData &d) { d.rows = 1; }},
        {"all held out", [](ToyData &t, TrainingData &) { std::fill(t.validation.begin(), t.validation.end(), 1); }},
        {"no label", [](ToyData &t, TrainingData &) { std::fill(t.classes.begin(), t.classes.end(), -1); }},
        {"one class", [](ToyData &t, TrainingData &) { std::fill(t.classes.begin(), t.classes.end(), 1); }},
        {"class too large", [](ToyData &t, TrainingData &) { t.classes[5] = 3; }},
        {"class too small", [](ToyData &t, TrainingData &) { t.classes[5] = -2; }},
        {"user too large", [](ToyData &t, TrainingData &) { t.users[5] = 5; }},
        {"user too small", [](ToyData &t, TrainingData &) { t.users[5] = -2; }},
        {"NaN longitude", [=](ToyData &t, TrainingData &) { t.lonlat[6] = nan; }},
        {"latitude off the globe", [](ToyData &t, TrainingData &) { t.lonlat[7] = 90.1; }},
    };
    for (const Wrong &w : wrong) {
        SCOPED_TRACE(w.what);
        ToyData toy(50);
        TrainingData data = toy.view();
        w.change(toy, data);
        const Error error = error_of([&] { make_trainer(small_options(), data); });
        EXPECT_EQ(error.kind(), ErrorKind::invalid_data) << error.message();
        EXPECT_FALSE(error.message().empty() || error.detail().empty());
    }
    ToyData toy(50);
    TrainingData nothing = toy.view();
    nothing.features = nullptr;
    nothing.classes = nullptr;
    EXPECT_EQ(error_of([&] { make_trainer(small_options(), nothing); }).kind(), ErrorKind::invalid_parameter);
}

TEST(Trainer, ALossThatExplodesIsAnErrorThatNamesTheRemedy) {
    ToyData toy(100);
    for (float &value : toy.features) value *= 3e38f;  // finite, but their projection is not
    const Error error = error_of([&] { train(small_options(), toy.view()); });
    EXPECT_EQ(error.kind(), ErrorKind::invalid_parameter);
    EXPECT_NE(error.hint().find("pretrain_learning_rate"), std::string::npos);
}

TEST(Trainer, ADeviceThatIsNotThereIsAnError) {
    const ToyData toy(50);
    TrainingOptions options = small_options();
    options.device = "cuda:" + std::to_string(cuda_device_count());
    EXPECT_EQ(error_of([&] { make_trainer(options, toy.view()); }).kind(), ErrorKind::not_supported);
    options.device = "auto";
    EXPECT_EQ(make_trainer(options, toy.view())->device(), cuda_device_count() > 0 ? "cuda:0" : "cpu");
}

TEST(Guard, LibTorchsErrorsBecomeOneLine) {
    const Error error = error_of([] { guarded([] { at::matmul(at::zeros({2, 3}), at::zeros({2, 3})); }); });
    EXPECT_EQ(error.kind(), ErrorKind::external_library);
    EXPECT_EQ(error.message().find('\n'), std::string::npos);
    EXPECT_NE(error.message().find("mat1 and mat2"), std::string::npos) << error.message();
}

TEST(Guard, AnAllocationThatFailsIsToldApart) {
    const Error torch_error = error_of([] { guarded([] { at::empty({int64_t{1} << 50}, at::kFloat); }); });
    EXPECT_EQ(torch_error.kind(), ErrorKind::out_of_memory) << torch_error.message();
    EXPECT_FALSE(torch_error.hint().empty());
    EXPECT_EQ(error_of([] { guarded([] { throw std::bad_alloc(); }); }).kind(), ErrorKind::out_of_memory);
    EXPECT_EQ(error_of([] { guarded([] { throw 1; }); }).kind(), ErrorKind::external_library);
    EXPECT_EQ(error_of([] { guarded([] { throw Error(ErrorKind::internal, "kept"); }); }).message(), "kept");
}

TEST(Library, TellsWhatItComputesWith) {
    const TrainingLibrary *library = csp_training_library();
    EXPECT_EQ(library->version, training_library_version);
    EXPECT_NE(library->torch_version().find('.'), std::string::npos);
    EXPECT_FALSE(library->blas_name().empty());
    EXPECT_GE(library->cuda_devices(), 0);
    const bool warns = !library->blas_warning().empty();
    EXPECT_EQ(warns, library->blas_name().find("reference") != std::string::npos) << library->blas_name();
}

}  // namespace
}  // namespace csp

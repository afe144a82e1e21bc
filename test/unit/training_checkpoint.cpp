// A run that is interrupted anywhere and goes on from its checkpoint is the run that was never interrupted.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <memory>
#include <vector>

#include "../../src/encoder/error.h"
#include "../../src/encoder/model.h"
#include "../../src/training/checkpoint.h"
#include "../../src/training/checksum.h"
#include "../../src/training/make_trainer.h"
#include "host_device.h"
#include "training_support.h"

namespace csp {
namespace {

using csp_test::error_of;
using csp_test::FinishedRun;
using csp_test::small_options;
using csp_test::ToyData;

// Both stages in a few steps, with every random stream, the best epoch and sums of all figures in use.
TrainingOptions eventful_options() {
    TrainingOptions options = small_options();
    options.model.hidden_dim = 16;
    options.model.embedding_dim = 8;
    options.pretrain_epochs = options.epochs = 2;
    options.weight_contrastive = 0.5;
    options.weight_decay = 0.001;
    options.learn_temperature = true;
    options.warmup = 0.5;
    options.max_rows_per_class = 20;
    options.keep_best = true;
    options.loss = SupervisedLoss::full_loss_user;
    return options;
}

// Advances step by step; after each of the steps that `interrupt` asks for, a fresh trainer takes over.
FinishedRun train(const TrainingOptions &options, const TrainingData &data, const std::function<bool(int)> &interrupt) {
    auto trainer = make_trainer(options, data);
    FinishedRun run;
    Progress progress;
    for (int step = 0; trainer->advance(0, progress); ++step) {
        if (progress.epoch_finished) run.epochs.push_back(progress.metrics);
        if (interrupt(step)) trainer = make_trainer(options, data, trainer->checkpoint());
    }
    run.model = trainer->finish();
    return run;
}

int steps_of(const TrainingOptions &options, const TrainingData &data) {
    int steps = 0;
    train(options, data, [&](int) { return ++steps, false; });
    return steps;
}

void expect_same_number(double a, double b, const char *what) {
    EXPECT_TRUE(a == b || (std::isnan(a) && std::isnan(b))) << what << ' ' << a << ' ' << b;
}

void expect_same_metrics(const EpochMetrics &a, const EpochMetrics &b) {
    EXPECT_EQ(a.stage, b.stage);
    EXPECT_EQ(a.epoch, b.epoch);
    expect_same_number(a.learning_rate, b.learning_rate, "learning_rate");
    expect_same_number(a.loss, b.loss, "loss");
    expect_same_number(a.loss_in_batch, b.loss_in_batch, "loss_in_batch");
    expect_same_number(a.loss_negative, b.loss_negative, "loss_negative");
    expect_same_number(a.loss_dropout, b.loss_dropout, "loss_dropout");
    expect_same_number(a.validation_loss, b.validation_loss, "validation_loss");
    expect_same_number(a.validation_top1, b.validation_top1, "validation_top1");
}

void expect_same(const FinishedRun &a, const FinishedRun &b) {
    ASSERT_EQ(a.epochs.size(), b.epochs.size());
    for (std::size_t i = 0; i < a.epochs.size(); ++i) expect_same_metrics(a.epochs[i], b.epochs[i]);
    expect_same_metrics(a.model.metrics, b.model.metrics);
    ASSERT_EQ(a.model.tensors.size(), b.model.tensors.size());
    for (const auto &[name, tensor] : a.model.tensors) EXPECT_EQ(tensor.values, b.model.tensors.at(name).values) << name;
}

bool never(int) { return false; }
// Every trainer encodes the places in its first step, then does one step of the run.
bool after_every_step(int step) { return step % 2 == 1; }

TEST(Checkpoint, InterruptedOnceAnywhereARunEndsTheSame) {
    const ToyData toy(150);
    const TrainingOptions options = eventful_options();
    const FinishedRun whole = train(options, toy.view(), never);
    const int steps = steps_of(options, toy.view());
    ASSERT_GT(steps, 12);
    for (int at = 0; at < steps; ++at) {
        SCOPED_TRACE("after step " + std::to_string(at));
        expect_same(whole, train(options, toy.view(), [at](int step) { return step == at; }));
    }
}

TEST(Checkpoint, InterruptedAfterEveryStepARunEndsTheSame) {
    const ToyData toy(150);
    const std::function<void(TrainingOptions &)> variants[] = {
        [](TrainingOptions &) {},
        [](TrainingOptions &o) { o.keep_best = false; },
        [](TrainingOptions &o) { o.patience = 1, o.epochs = 8, o.learning_rate = 0.05; },
        [](TrainingOptions &o) { o.objective = Objective::nce, o.negative_sampler = NegativeSampler::observed; },
        [](TrainingOptions &o) { o.objective = Objective::l2_regression; },
        [](TrainingOptions &o) { o.encoder_learning_rate = 0; },
        [](TrainingOptions &o) { o.pretrain_epochs = 0; },
        [](TrainingOptions &o) { o.balance_classes = true, o.label_ratio = 0.5; },
        [](TrainingOptions &o) { o.model.position_encoding = "rbf", o.model.anchors = 20; },
        [](TrainingOptions &o) { o.precision = Precision::bfloat16; }};
    for (std::size_t i = 0; i < std::size(variants); ++i) {
        SCOPED_TRACE("variant " + std::to_string(i));
        TrainingOptions options = eventful_options();
        variants[i](options);
        expect_same(train(options, toy.view(), never), train(options, toy.view(), after_every_step));
    }
}

TEST(Checkpoint, InterruptedWhilePlacesAreEncodedOrValidatedARunEndsTheSame) {
    const ToyData toy(20000);  // three portions to encode, two batches of labelled rows to validate
    TrainingOptions options = eventful_options();
    options.pretrain_epochs = options.epochs = 1;
    options.batch_size = 8192;
    options.fine_tune_batch_size = 4096;
    options.max_rows_per_class = 0;
    options.weight_in_batch = 1;
    options.objective = Objective::l2_regression;
    const FinishedRun whole = train(options, toy.view(), never);
    const int steps = steps_of(options, toy.view());
    for (int at = 0; at < steps; ++at) {
        SCOPED_TRACE("after step " + std::to_string(at));
        expect_same(whole, train(options, toy.view(), [at](int step) { return step == at; }));
    }
}

TEST(Checkpoint, OfAFinishedRunGivesItsModel) {
    const ToyData toy(150);
    const TrainingOptions options = eventful_options();
    const auto trainer = make_trainer(options, toy.view());
    Progress progress;
    while (trainer->advance(1, progress)) continue;
    const auto again = make_trainer(options, toy.view(), trainer->checkpoint());
    EXPECT_FALSE(again->advance(1, progress));
    const TrainedModel a = trainer->finish(), b = again->finish();
    for (const auto &[name, tensor] : a.tensors) EXPECT_EQ(tensor.values, b.tensors.at(name).values) << name;
    expect_same_metrics(a.metrics, b.metrics);
}

TEST(Checkpoint, GoesFromOneDeviceToAnother) {
    const ToyData toy(150);
    const TrainingOptions options = eventful_options();
    const FinishedRun whole = train(options, toy.view(), never);
    auto trainer = make_trainer_on(csp_test::host_device(), options, toy.view());
    Progress progress;
    for (int step = 0; step < 4; ++step) trainer->advance(0, progress);
    trainer = make_trainer_on(csp_test::host_device(), options, toy.view(), trainer->checkpoint());
    trainer->advance(0, progress);
    trainer = make_trainer(options, toy.view(), trainer->checkpoint());
    while (trainer->advance(1, progress)) continue;
    // Devices round differently; the run is the same, its bits need not be.
    const EpochMetrics metrics = trainer->finish().metrics;
    EXPECT_EQ(metrics.stage, whole.model.metrics.stage);
    EXPECT_EQ(metrics.epoch, whole.model.metrics.epoch);
    EXPECT_NEAR(metrics.loss, whole.model.metrics.loss, 1e-5);
    EXPECT_NEAR(metrics.validation_loss, whole.model.metrics.validation_loss, 1e-5);
}

// A checkpoint in the middle of stage 2.
std::string checkpoint_of(const TrainingOptions &options, const TrainingData &data) {
    const auto trainer = make_trainer(options, data);
    Progress progress;
    do trainer->advance(0, progress);
    while (progress.stage == Stage::pretraining || progress.batch == 0);
    return trainer->checkpoint();
}

TEST(Checkpoint, DamagedBytesAreAnError) {
    const ToyData toy(150);
    const TrainingOptions options = eventful_options();
    const std::string good = checkpoint_of(options, toy.view());
    EXPECT_NO_THROW(make_trainer(options, toy.view(), good));
    const auto kind_with = [&](const std::string &bytes) {
        return error_of([&] { make_trainer(options, toy.view(), bytes); }).kind();
    };
    for (std::size_t i = 0; i < good.size(); i += good.size() / 150) {
        std::string damaged = good;
        damaged[i] ^= 1;
        EXPECT_EQ(kind_with(damaged), ErrorKind::data_corrupted) << "byte " << i;
        EXPECT_EQ(kind_with(good.substr(0, i + 1)), ErrorKind::data_corrupted) << "cut after " << i;
    }
    EXPECT_EQ(kind_with(good + '\0'), ErrorKind::data_corrupted);
    EXPECT_EQ(kind_with("not a checkpoint"), ErrorKind::data_corrupted);
}

TEST(Checkpoint, AnotherFileOfTheSameFormatIsAnError) {
    const ToyData toy(150);
    const TrainingOptions options = eventful_options();
    const TrainedModel model = train(options, toy.view(), never).model;
    const std::string file = write_model(model.config, {"south", "middle", "north"}, model.tensors);
    const Error error = error_of([&] { make_trainer(options, toy.view(), file); });
    EXPECT_EQ(error.kind(), ErrorKind::data_corrupted);
    EXPECT_NE(error.detail().find("format"), std::string::npos);
    EXPECT_EQ(error_of([&] { make_trainer(options, toy.view(), CheckpointWriter().bytes()); }).kind(),
              ErrorKind::data_corrupted);
}

TEST(Checkpoint, OfOtherOptionsOrRowsIsAnError) {
    const ToyData toy(150);
    const TrainingOptions options = eventful_options();
    const std::string bytes = checkpoint_of(options, toy.view());
    TrainingOptions other = options;
    other.seed = 1;
    EXPECT_EQ(error_of([&] { make_trainer(other, toy.view(), bytes); }).kind(), ErrorKind::data_corrupted);

    const std::function<void(ToyData &)> changes[] = {[](ToyData &t) { t.lonlat[7] += 1e-9; },
                                                      [](ToyData &t) { t.features[100] += 1e-4f; },
                                                      [](ToyData &t) { t.classes[5] = 1 - t.classes[5]; },
                                                      [](ToyData &t) { t.users[6] = 2; },
                                                      [](ToyData &t) { t.validation[3] = 1; },
                                                      [](ToyData &t) {
                                                          std::swap_ranges(t.lonlat.begin(), t.lonlat.begin() + 2,
                                                                           t.lonlat.begin() + 6);
                                                      }};
    for (std::size_t i = 0; i < std::size(changes); ++i) {
        ToyData changed(150);
        changes[i](changed);
        const Error error = error_of([&] { make_trainer(options, changed.view(), bytes); });
        EXPECT_EQ(error.kind(), ErrorKind::invalid_data) << i;
        EXPECT_FALSE(error.hint().empty());
    }
    const Error fewer = error_of([&] { make_trainer(options, ToyData(149).view(), bytes); });
    EXPECT_EQ(fewer.kind(), ErrorKind::invalid_data);
    EXPECT_NE(fewer.detail().find("149"), std::string::npos);

    const std::vector<std::string> labels = {"a", "b", "c"}, renamed = {"a", "b", "d"};
    TrainingData data = toy.view();
    data.labels = &labels;
    const std::string labelled = checkpoint_of(options, data);
    EXPECT_NO_THROW(make_trainer(options, data, labelled));
    data.labels = &renamed;
    EXPECT_EQ(error_of([&] { make_trainer(options, data, labelled); }).kind(), ErrorKind::invalid_data);
}

TEST(Checkpoint, NumbersComeBackToTheBit) {
    const double numbers[] = {0.1, -0.0, 5e-324, INFINITY, NAN};
    RandomStream stream(7, RandomPurpose::order), same(0, RandomPurpose::order);
    stream.next();
    CheckpointWriter writer;
    for (std::size_t i = 0; i < std::size(numbers); ++i) writer.add_number("n" + std::to_string(i), numbers[i]);
    writer.add_integer("low", INT64_MIN);
    writer.add_stream("stream", stream);
    writer.add_tensor("empty", at::empty({0}, at::kFloat));
    const CheckpointReader reader(writer.bytes());
    for (std::size_t i = 0; i < std::size(numbers); ++i) {
        const double back = reader.number("n" + std::to_string(i));
        EXPECT_EQ(std::memcmp(&back, &numbers[i], sizeof back), 0) << i;
    }
    EXPECT_EQ(reader.integer("low", INT64_MIN, 0), INT64_MIN);
    reader.read_stream("stream", same);
    EXPECT_EQ(stream.next(), same.next());
    EXPECT_NO_THROW(reader.read_tensor("empty", at::empty({0}, at::kFloat)));
    EXPECT_EQ(error_of([&] { reader.integer("low", 0, 1); }).kind(), ErrorKind::data_corrupted);
    EXPECT_EQ(error_of([&] { reader.number("none"); }).kind(), ErrorKind::data_corrupted);
    EXPECT_EQ(error_of([&] { reader.number("stream"); }).kind(), ErrorKind::data_corrupted);
    EXPECT_EQ(error_of([&] { reader.read_stream("low", same); }).kind(), ErrorKind::data_corrupted);
    EXPECT_EQ(error_of([&] { reader.read_tensor("empty", at::empty({1}, at::kFloat)); }).kind(),
              ErrorKind::data_corrupted);
}

TEST(Checksum, TellsLengthsAndOrderApart) {
    const auto of = [](std::initializer_list<const char *> texts) {
        Checksum sum;
        for (const char *text : texts) sum.add(std::string(text));
        return sum.text();
    };
    EXPECT_EQ(of({"abc", "d"}), of({"abc", "d"}));
    EXPECT_NE(of({"abc", "d"}), of({"ab", "cd"}));
    EXPECT_NE(of({"abc"}), of({std::string("abc\0", 4).c_str(), ""}));
    EXPECT_NE(of({"12345678abcdefgh"}), of({"abcdefgh12345678"}));
}

}  // namespace
}  // namespace csp

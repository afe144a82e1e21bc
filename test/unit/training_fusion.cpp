// The image classifier of a run, and temperatures and exponents fitted to rows held out, against numbers computed
// here in float64 from their definitions.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

#include "../../src/encoder/error.h"
#include "../../src/encoder/model.h"
#include "../../src/training/golden_section.h"
#include "../../src/training/make_trainer.h"
#include "training_support.h"

namespace csp {
namespace {

using csp_test::FinishedRun;
using csp_test::small_options;
using csp_test::ToyData;

constexpr int image_dim = 8, classes = 3;

TrainingOptions fusion_options() {
    TrainingOptions options = small_options();
    options.pretrain_epochs = 2;
    options.epochs = 3;
    options.image_classifier = true;
    options.image_epochs = 5;
    options.image_learning_rate = 0.02;
    return options;
}

FinishedRun train(const TrainingOptions &options, const TrainingData &data,
                  const std::function<bool(int)> &interrupt = [](int) { return false; }) {
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

bool is_of_the_image(const std::string &tensor) { return tensor.rfind("image_class.", 0) == 0; }

void expect_same_location_encoder(const TensorMap &a, const TensorMap &b) {
    for (const auto &[name, tensor] : a) {
        if (is_of_the_image(name)) continue;
        EXPECT_EQ(tensor.values, b.at(name).values) << name;
    }
}

// Labelled rows that are held out, or that are not.
std::vector<std::size_t> labelled_rows(const ToyData &toy, bool held_out) {
    std::vector<std::size_t> rows;
    for (std::size_t i = 0; i < toy.classes.size(); ++i)
        if (toy.classes[i] >= 0 && (toy.validation[i] != 0) == held_out) rows.push_back(i);
    return rows;
}

// ln P of each class, from scores in float64.
using Logarithms = std::vector<double>;

Logarithms scaled(Logarithms values) {
    double sum = 0;
    for (double value : values) sum += std::exp(value);
    for (double &value : values) value -= std::log(sum);
    return values;
}

struct Outcome {
    Logarithms place, image;  // of a row held out, with temperatures of 1
    int label;
};

std::vector<Outcome> outcomes(const FinishedRun &run, const ToyData &toy) {
    ModelConfig config = run.model.config;
    config.place_temperature = config.image_temperature = config.prior_strength = config.fusion_temperature = 1;
    const Model model(config, {"a", "b", "c"}, run.model.tensors);
    std::vector<Outcome> outcomes;
    for (std::size_t row : labelled_rows(toy, true)) {
        std::vector<float> embedding(config.embedding_dim), p(classes);
        model.embed(&toy.lonlat[2 * row], 1, embedding.data());
        model.probabilities(embedding.data(), 1, p.data());
        Outcome outcome{{}, {}, toy.classes[row]};
        for (float value : p) outcome.place.push_back(std::log(double(value)));
        outcome.place = scaled(outcome.place);
        model.image_probabilities(&toy.features[row * image_dim], 1, p.data(), classes);
        for (float value : p) outcome.image.push_back(std::log(double(value)));
        outcomes.push_back(outcome);
    }
    return outcomes;
}

double mean_loss(const std::vector<Outcome> &outcomes, const std::function<Logarithms(const Outcome &)> &logarithms) {
    double sum = 0;
    for (const Outcome &outcome : outcomes) sum -= logarithms(outcome)[static_cast<std::size_t>(outcome.label)];
    return sum / static_cast<double>(outcomes.size());
}

Logarithms tempered(Logarithms values, double temperature) {
    for (double &value : values) value /= temperature;
    return scaled(values);
}

Logarithms fused(const Outcome &outcome, const ModelConfig &config, double image_exponent, double place_exponent) {
    const Logarithms place = tempered(outcome.place, config.place_temperature);
    Logarithms image = tempered(outcome.image, config.image_temperature);
    for (std::size_t c = 0; c < image.size(); ++c) image[c] = image_exponent * image[c] + place_exponent * place[c];
    return scaled(image);
}

TEST(GoldenSectionSearch, FindsTheMinimum) {
    for (double minimum : {-4.0, -1.3, 0.0, 0.77, 4.9, 5.0}) {
        GoldenSection search(-4, 5, 1e-3);
        int tried = 0;
        for (; !search.done(); ++tried) search.give(std::fabs(search.point() - minimum));
        EXPECT_NEAR(search.best(), minimum, 1e-3);
        EXPECT_LT(tried, 25);
    }
}

TEST(ImageClassifierTraining, LeavesTheLocationEncoderAsItIs) {
    const ToyData toy(300);
    TrainingOptions options = fusion_options();
    options.calibration = true;
    const FinishedRun with = train(options, toy.view());
    options.image_classifier = options.calibration = false;
    const FinishedRun without = train(options, toy.view());
    expect_same_location_encoder(with.model.tensors, without.model.tensors);
    EXPECT_EQ(with.model.tensors.size(), without.model.tensors.size() + 2);
    EXPECT_EQ(with.model.metrics.stage, Stage::supervised);
    EXPECT_EQ(with.model.metrics.validation_loss, without.model.metrics.validation_loss);
    EXPECT_FALSE(without.model.config.image_classifier);
    EXPECT_FALSE(without.model.fusion.measured);
    ASSERT_EQ(with.epochs.size(), without.epochs.size() + 5);
    EXPECT_EQ(with.epochs.back().stage, Stage::image_classifier);
    EXPECT_LT(with.epochs.back().loss, with.epochs[with.epochs.size() - 5].loss);
    EXPECT_GT(with.epochs.back().validation_top1, 0.6);
}

TEST(ImageClassifierTraining, NeedsNoContrastiveStage) {
    const ToyData toy(300);
    TrainingOptions options = fusion_options();
    options.pretrain_epochs = 0;
    const FinishedRun run = train(options, toy.view());
    EXPECT_EQ(run.model.config.image_side, ImageSide::none);
    EXPECT_EQ(run.model.config.image_dim, image_dim);
    EXPECT_EQ(run.model.tensors.count("img_dec.weight"), 0u);
    EXPECT_EQ(outcomes(run, toy).size(), labelled_rows(toy, true).size());
}

// The minimum of a convex function is where its gradient is zero.
TEST(ImageClassifierTraining, ReachesTheMinimumOfTheSoftmaxRegression) {
    ToyData toy(200);
    for (std::size_t i = 0; i < toy.features.size(); ++i)  // far from zero, and of all sizes
        toy.features[i] = toy.features[i] * std::pow(10.0f, static_cast<float>(i % image_dim) - 4) + 3;
    TrainingOptions options = fusion_options();
    options.pretrain_epochs = 0;
    options.epochs = 1;
    options.fine_tune_batch_size = 1000;
    options.image_epochs = 1500;
    options.image_learning_rate = 0.05;
    options.image_weight_decay = 0.01;
    const FinishedRun run = train(options, toy.view());
    const std::vector<std::size_t> rows = labelled_rows(toy, false);
    const double n = static_cast<double>(rows.size());
    double mean[image_dim] = {}, spread[image_dim] = {};
    for (std::size_t row : rows)
        for (int k = 0; k < image_dim; ++k) mean[k] += toy.features[row * image_dim + k] / n;
    for (std::size_t row : rows)
        for (int k = 0; k < image_dim; ++k) spread[k] += std::pow(toy.features[row * image_dim + k] - mean[k], 2) / n;
    const std::vector<float> &weight = run.model.tensors.at("image_class.weight").values;
    const std::vector<float> &bias = run.model.tensors.at("image_class.bias").values;
    double gradient[classes][image_dim + 1] = {}, largest = 0;
    for (std::size_t row : rows) {
        Logarithms scores(classes);
        for (int c = 0; c < classes; ++c) {
            scores[c] = bias[c];
            for (int k = 0; k < image_dim; ++k) scores[c] += double(weight[c * image_dim + k]) * toy.features[row * image_dim + k];
        }
        scores = scaled(scores);
        for (int c = 0; c < classes; ++c) {
            const double error = (std::exp(scores[c]) - (toy.classes[row] == c)) / n;
            for (int k = 0; k < image_dim; ++k)
                gradient[c][k] += error * (toy.features[row * image_dim + k] - mean[k]) / std::sqrt(spread[k]);
            gradient[c][image_dim] += error;
        }
    }
    double weights = 0;
    for (int c = 0; c < classes; ++c) {
        double offset = bias[c];
        for (int k = 0; k < image_dim; ++k) {
            const double standardized = weight[c * image_dim + k] * std::sqrt(spread[k]);
            offset += double(weight[c * image_dim + k]) * mean[k];
            gradient[c][k] += 0.01 * standardized;
            weights = std::max(weights, std::fabs(standardized));
        }
        gradient[c][image_dim] += 0.01 * offset;
        for (double g : gradient[c]) largest = std::max(largest, std::fabs(g));
    }
    EXPECT_GT(weights, 0.1);
    EXPECT_LT(largest, 1e-3);
}

TEST(ImageClassifierTraining, FeaturesThatDoNotVaryHaveNoWeight) {
    ToyData toy(200);
    for (std::size_t i = 0; i < toy.features.size(); i += image_dim) toy.features[i] = 1e6f, toy.features[i + 1] = 0;
    const FinishedRun run = train(fusion_options(), toy.view());
    const std::vector<float> &weight = run.model.tensors.at("image_class.weight").values;
    for (int c = 0; c < classes; ++c) {
        EXPECT_EQ(weight[c * image_dim], 0);
        EXPECT_EQ(weight[c * image_dim + 1], 0);
        EXPECT_NE(weight[c * image_dim + 2], 0);
    }
}

TEST(ImageClassifierTraining, RunsInAllWays) {
    const ToyData toy(300);
    const TensorMap plain = train(fusion_options(), toy.view()).model.tensors;
    const std::function<void(TrainingOptions &)> variants[] = {
        [](TrainingOptions &o) { o.threads = 3; }, [](TrainingOptions &o) { o.precision = Precision::bfloat16; },
        [](TrainingOptions &o) { o.shuffle = Shuffle::windows; }, [](TrainingOptions &o) { o.keep_best = true; }};
    for (const auto &vary : variants) {
        TrainingOptions options = fusion_options();
        vary(options);
        const TensorMap tensors = train(options, toy.view()).model.tensors;
        for (const auto &[name, tensor] : tensors) {
            if (!is_of_the_image(name)) continue;
            for (std::size_t i = 0; i < tensor.values.size(); ++i) EXPECT_NEAR(tensor.values[i], plain.at(name).values[i], 0.15);
        }
    }
    TrainingOptions few = fusion_options();
    few.label_ratio = 0.1;
    few.image_epochs = 0;
    const FinishedRun run = train(few, toy.view());
    EXPECT_EQ(run.epochs.back().epoch, 600) << "one batch an epoch";
}

TEST(ImageClassifierTraining, InterruptedAnywhereEndsTheSame) {
    const ToyData toy(200);
    TrainingOptions options = fusion_options();
    options.pretrain_epochs = options.epochs = 1;
    options.image_epochs = 2;
    options.keep_best = true;
    options.calibration = true;
    options.threads = 2;
    const FinishedRun whole = train(options, toy.view());
    int steps = 0;
    train(options, toy.view(), [&](int) { return ++steps, false; });
    for (int at = 0; at < steps; at += at < steps - 70 ? 1 : 9) {
        const FinishedRun run = train(options, toy.view(), [at](int step) { return step == at; });
        SCOPED_TRACE("after step " + std::to_string(at));
        for (const auto &[name, tensor] : whole.model.tensors) EXPECT_EQ(tensor.values, run.model.tensors.at(name).values);
        EXPECT_EQ(run.model.config.place_temperature, whole.model.config.place_temperature);
        EXPECT_EQ(run.model.config.prior_strength, whole.model.config.prior_strength);
        EXPECT_EQ(run.model.config.fusion_temperature, whole.model.config.fusion_temperature);
        EXPECT_EQ(run.model.metrics.validation_loss, whole.model.metrics.validation_loss);
        EXPECT_EQ(run.model.fusion.fused.log_loss, whole.model.fusion.fused.log_loss);
        EXPECT_EQ(run.epochs.size(), whole.epochs.size());
    }
}

TEST(ImageClassifierTraining, TellsWhatItLacks) {
    const ToyData toy(60);
    TrainingData data = toy.view();
    data.features = nullptr;
    TrainingOptions options = fusion_options();
    EXPECT_THROW(make_trainer(options, data), Error);
    data = toy.view();
    data.classes = nullptr;
    EXPECT_THROW(make_trainer(options, data), Error);
    options.epochs = 0;
    EXPECT_THROW(validate(options), Error);
    options = small_options();
    options.calibration = true;
    options.validation_fraction = 0;
    EXPECT_THROW(validate(options), Error);
}

class CalibrationOf : public ::testing::TestWithParam<SupervisedLoss> {};

// Labels that are wrong at times, so that a certain model is punished.
ToyData noisy_data() {
    ToyData toy(1200);
    for (std::size_t i = 0; i < toy.classes.size(); i += 7)
        if (toy.classes[i] >= 0) toy.classes[i] = static_cast<int32_t>(i % 3);
    return toy;
}

TEST_P(CalibrationOf, TemperaturesAndExponentsAreWhereTheLogLossIsLeast) {
    const ToyData toy = noisy_data();
    TrainingOptions options = fusion_options();
    options.loss = GetParam();
    options.epochs = 10;
    options.calibration = true;
    const FinishedRun run = train(options, toy.view());
    const ModelConfig &config = run.model.config;
    const std::vector<Outcome> rows = outcomes(run, toy);
    const double n = static_cast<double>(rows.size());
    ASSERT_GE(rows.size(), 60u);
    EXPECT_TRUE(run.model.fusion.calibrated);
    EXPECT_EQ(run.model.fusion.rows, static_cast<int64_t>(rows.size()));
    const bool softmax = GetParam() == SupervisedLoss::cross_entropy;

    const auto preference = [n](double distance) { return distance * distance / (2 * n); };
    const auto image = [&](double t) {
        return mean_loss(rows, [t](const Outcome &o) { return tempered(o.image, t); }) + preference(std::log(t));
    };
    const auto place = [&](double t) {
        return mean_loss(rows, [t](const Outcome &o) { return tempered(o.place, t); }) + preference(std::log(t));
    };
    const auto pooled = [&](double a, double b) {
        return mean_loss(rows, [&](const Outcome &o) { return fused(o, config, a, b); });
    };
    const double a = 1 / config.fusion_temperature, b = config.prior_strength / config.fusion_temperature;
    const bool prefers_image = run.model.fusion.image.log_loss < run.model.fusion.place.log_loss;
    const auto both = [&](double x, double y) {
        return pooled(x, y) + preference(x - (prefers_image ? 1 : 0.01)) + preference(y - (prefers_image ? 0 : 1));
    };
    for (double factor : {0.98, 1.02, 0.7, 1.5}) {
        EXPECT_LT(image(config.image_temperature), image(config.image_temperature * factor));
        // A sigmoid's scores are not ln P: its temperature is checked by what comes of it, below.
        if (!softmax) continue;
        EXPECT_LT(place(config.place_temperature), place(config.place_temperature * factor));
        EXPECT_LT(both(a, b), both(std::max(a * factor, 0.01), b) + (a * factor <= 0.01));
        EXPECT_LT(both(a, b), both(a, b * factor) + (b == 0));
    }
    const FusionMetrics &figures = run.model.fusion;
    EXPECT_NEAR(figures.image.log_loss, image(config.image_temperature) - preference(std::log(config.image_temperature)), 1e-4);
    EXPECT_NEAR(figures.image.log_loss_uncalibrated, image(1), 1e-4);
    EXPECT_NEAR(figures.place.log_loss_uncalibrated, place(1), 1e-4);
    EXPECT_LT(figures.place.log_loss, figures.place.log_loss_uncalibrated);
    if (softmax) {
        EXPECT_LT(figures.fused.log_loss, figures.fused.log_loss_uncalibrated);
        EXPECT_NEAR(figures.fused.log_loss, pooled(a, b), 1e-4);
    }
    EXPECT_LE(figures.fused.log_loss, std::min(figures.place.log_loss, figures.image.log_loss) + 1e-4);

    // And the model answers accordingly.
    const Model model(config, {"a", "b", "c"}, run.model.tensors);
    double loss = 0, hits = 0;
    for (std::size_t row : labelled_rows(toy, true)) {
        std::vector<float> embedding(config.embedding_dim), p(classes), q(classes), r(classes);
        model.embed(&toy.lonlat[2 * row], 1, embedding.data());
        model.probabilities(embedding.data(), 1, p.data());
        model.image_probabilities(&toy.features[row * image_dim], 1, q.data(), classes);
        model.fuse(q.data(), p.data(), 1, r.data());
        loss -= std::log(r[static_cast<std::size_t>(toy.classes[row])]) / n;
        hits += (std::max_element(r.begin(), r.end()) - r.begin() == toy.classes[row]) / n;
    }
    EXPECT_NEAR(loss, figures.fused.log_loss, 1e-4);
    EXPECT_NEAR(hits, figures.fused.top1, 1e-9);
}

INSTANTIATE_TEST_SUITE_P(Heads, CalibrationOf,
                         ::testing::Values(SupervisedLoss::cross_entropy, SupervisedLoss::full_loss));

TEST(Calibration, OfFewRowsFitsNothing) {
    const ToyData toy(200);  // 13 or 14 labelled rows held out
    TrainingOptions options = fusion_options();
    options.calibration = true;
    const FinishedRun run = train(options, toy.view());
    EXPECT_TRUE(run.model.fusion.measured);
    EXPECT_FALSE(run.model.fusion.calibrated);
    EXPECT_GT(run.model.fusion.rows, 0);
    EXPECT_LT(run.model.fusion.rows, 20);
    EXPECT_EQ(run.model.config.place_temperature, 1);
    EXPECT_EQ(run.model.config.image_temperature, 1);
    EXPECT_EQ(run.model.config.prior_strength, 1);
    EXPECT_EQ(run.model.config.fusion_temperature, 1);
    EXPECT_EQ(run.model.fusion.fused.log_loss, run.model.fusion.fused.log_loss_uncalibrated);
}

TEST(Calibration, WithoutAnImageClassifierIsOfThePlaceAlone) {
    const ToyData toy = noisy_data();
    TrainingOptions options = fusion_options();
    options.image_classifier = false;
    options.calibration = true;
    options.model.prior_strength = 0.5;
    options.model.fusion_temperature = 3;
    const FinishedRun run = train(options, toy.view());
    EXPECT_TRUE(run.model.fusion.calibrated);
    EXPECT_NE(run.model.config.place_temperature, 1);
    EXPECT_EQ(run.model.config.prior_strength, 0.5);
    EXPECT_EQ(run.model.config.fusion_temperature, 3);
    EXPECT_TRUE(std::isnan(run.model.fusion.image.top1));
    EXPECT_TRUE(std::isnan(run.model.fusion.fused.log_loss));
}

}  // namespace
}  // namespace csp

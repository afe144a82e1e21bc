// Runs that go on from a model: what it settles of their options, and what they begin with.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "../../src/encoder/position_encoding.h"
#include "../../src/training/initial_model.h"
#include "../../src/training/make_trainer.h"
#include "training_support.h"

namespace csp {
namespace {

using csp_test::error_of;
using csp_test::small_options;
using csp_test::ToyData;

OptionValue number(const std::string &name, const std::string &value) { return {name, OptionKind::number, value}; }
OptionValue text(const std::string &name, const std::string &value) { return {name, OptionKind::text, value}; }

TrainingOptions applied(const std::vector<OptionValue> &values) {
    TrainingOptions options;
    set_options(options, values);
    return options;
}

// What the options of a run have no say in, or may change.
std::map<std::string, std::string> architecture(const ModelConfig &config) {
    auto values = config_to_metadata(config);
    for (const char *name : {"dates", "dropout", "image_dim", "class_count", "class_head"}) values.erase(name);
    return values;
}

TEST(InitialModel, SettlesTheArchitectureOfEveryEncoding) {
    for (const std::string &encoding : position_encoding_names()) {
        SCOPED_TRACE(encoding);
        ModelConfig config;
        set_position_encoding(config, encoding);
        config.min_radius = 0.1 + 1e-9;  // no short decimal
        config.max_radius = 77.7;
        config.extent = {-10.25, 20, 30, 40.125};
        config.hidden_layers = 2;
        config.hidden_dim = 48;
        config.activation = Activation::tanh;
        config.skip_connection = false;
        config.class_bias = true;
        config.dropout = 0.4;
        const TrainingOptions options = applied(options_from_model(config, {number("dropout", "0.2"), number("epochs", "3")}));
        EXPECT_EQ(architecture(options.model), architecture(config));
        EXPECT_EQ(options.model.dropout, 0.2);
        EXPECT_EQ(options.epochs, 3);
    }
}

TEST(InitialModel, TheArchitectureMayBeRepeatedAndNotBeChanged) {
    ModelConfig config;
    set_position_encoding(config, "sphereC+");
    config.min_radius = 0.25;
    // As whoever passes the options of that model again does; a name that is published for the encoding is the same.
    const std::vector<OptionValue> same = {text("position_encoding", "Sphere2Vec-sphereC+"), number("min_radius", "0.25"),
                                           number("num_hidden_layer", "1"), {"layer_norm", OptionKind::boolean, "true"}};
    EXPECT_EQ(architecture(applied(options_from_model(config, same)).model), architecture(config));

    const std::pair<OptionValue, const char *> others[] = {{number("min_radius", "0.5"), "It is 0.25 "},
                                                           {text("spa_enc_type", "sphereM+"), "It is sphereC+ "},
                                                           {number("num_filts", "64"), "It is 256 "},
                                                           {text("activation", "gelu"), "It is leakyrelu "}};
    for (const auto &[option, told] : others) {
        const Error error = error_of([&, &option = option] { options_from_model(config, {option}); });
        EXPECT_EQ(error.kind(), ErrorKind::invalid_parameter) << option.name;
        EXPECT_NE(error.message().find("cannot be changed with from_model"), std::string::npos) << error.message();
        EXPECT_NE(error.detail().find(told), std::string::npos) << error.detail();
    }
    EXPECT_EQ(error_of([&] { options_from_model(config, {number("hidden_dims", "8")}); }).kind(), ErrorKind::undefined_object);
    EXPECT_EQ(error_of([&] { options_from_model(config, {text("hidden_dim", "many")}); }).kind(), ErrorKind::invalid_parameter);
}

TEST(InitialModel, DatesAreAnInputOfBothOrOfNone) {
    ModelConfig config;
    EXPECT_EQ(error_of([&] { options_from_model(config, {text("observed_at", "day")}); }).kind(), ErrorKind::invalid_parameter);
    EXPECT_NO_THROW(options_from_model(config, {text("observed_at", "")}));
    config.dates = true;
    EXPECT_NE(error_of([&] { options_from_model(config, {}); }).hint().find("observed_at"), std::string::npos);
    EXPECT_NO_THROW(options_from_model(config, {text("observed_at", "day")}));
}

TrainedModel train(const TrainingOptions &options, const TrainingData &data) {
    const auto trainer = make_trainer(options, data);
    Progress progress;
    while (trainer->advance(1, progress)) continue;
    return trainer->finish();
}

// A model of both stages, as the catalogue would give it.
ModelContents first_model(const ToyData &toy, const TrainingOptions &options) {
    TrainedModel model = train(options, toy.view());
    return {model.config, {"middle", "north", "south"}, std::move(model.tensors)};
}

TrainingOptions quick_options() {
    TrainingOptions options = small_options();
    options.pretrain_epochs = options.epochs = 2;
    return options;
}

TEST(InitialModel, ClassesOfTheRunAreTakenByTheirLabels) {
    const ToyData toy(200);
    const ModelContents model = first_model(toy, quick_options());
    const std::vector<float> &old = model.tensors.at("class_emb.weight").values;
    const std::vector<std::string> labels = {"arctic", "north", "south", "tropics"};
    TrainingData data = toy.view();
    data.labels = &labels;
    data.class_count = 4;
    const Tensor head = initial_tensors(model, quick_options(), data).at("class_emb.weight");
    ASSERT_EQ(head.shape, (std::vector<int64_t>{4, 32}));
    EXPECT_TRUE(std::equal(head.values.begin() + 32, head.values.begin() + 96, old.begin() + 32)) << "north and south";
    const double bound = 1 / std::sqrt(32.0);
    std::set<float> seen;
    for (std::size_t i : {0, 3})
        for (std::size_t j = 0; j < 32; ++j) {
            EXPECT_LE(std::abs(head.values[32 * i + j]), bound);
            seen.insert(head.values[32 * i + j]);
        }
    EXPECT_EQ(seen.size(), 64u);
    const std::vector<std::string> same = model.labels;
    data.labels = &same;
    EXPECT_EQ(initial_tensors(model, quick_options(), data).at("class_emb.weight").values, old);
}

TEST(InitialModel, WithoutClassesToTrainThereIsNoHead) {
    const ToyData toy(200);
    const ModelContents model = first_model(toy, quick_options());
    TrainingOptions options = quick_options();
    TrainingData data = toy.view();
    options.epochs = 0;
    const TensorMap tensors = initial_tensors(model, options, data);
    EXPECT_EQ(tensors.count("class_emb.weight"), 0u);
    data.initial = &tensors;
    EXPECT_EQ(train(options, data).config.class_count, 0);
}

TEST(InitialModel, ItsImageSideStaysWithoutFeaturesAndGoesWithOthers) {
    const ToyData toy(200);
    const ModelContents model = first_model(toy, quick_options());
    TrainingOptions options = quick_options();
    options.encoder_learning_rate = 0;
    TrainingData data = toy.view();
    data.features = nullptr;
    data.image_dim = 0;
    TensorMap tensors = initial_tensors(model, options, data);
    data.initial = &tensors;
    const TrainedModel on_labels = train(options, data);
    EXPECT_EQ(on_labels.config.image_dim, 8);
    EXPECT_EQ(on_labels.tensors.at("img_dec.weight").values, model.tensors.at("img_dec.weight").values);

    std::vector<float> narrow;
    for (std::size_t i = 0; i < toy.features.size(); i += 2) narrow.push_back(toy.features[i]);
    data.features = features_in_memory(csp_test::packed(narrow, 4));
    data.image_dim = 4;
    tensors = initial_tensors(model, options, data);
    EXPECT_EQ(tensors.count("img_dec.weight"), 0u);
    EXPECT_EQ(train(options, data).config.image_dim, 4);
}

TEST(InitialModel, ARunBeginsWithItsWeights) {
    const ToyData toy(400);
    TrainingOptions options = small_options();
    const ModelContents model = first_model(toy, options);
    options.pretrain_epochs = 0;
    options.epochs = 1;
    TrainingData data = toy.view();
    const double anew = train(options, data).metrics.validation_loss;
    const TensorMap tensors = initial_tensors(model, options, data);
    data.initial = &tensors;
    EXPECT_LT(train(options, data).metrics.validation_loss, 0.7 * anew);
}

TEST(InitialModel, AnchorsAreItsOwnHoweverFewTheRows) {
    const ToyData toy(200), few(30);
    TrainingOptions options = quick_options();
    set_position_encoding(options.model, "rbf");
    options.model.anchors = 60;
    const ModelContents model = first_model(toy, options);
    TrainingData data = few.view();
    EXPECT_EQ(error_of([&] { make_trainer(options, data); }).kind(), ErrorKind::invalid_data);
    const TensorMap tensors = initial_tensors(model, options, data);
    data.initial = &tensors;
    const char *anchors = "spa_enc.position_encoder.anchors";
    EXPECT_EQ(train(options, data).tensors.at(anchors).values, model.tensors.at(anchors).values);
}

TEST(InitialModel, ACheckpointGoesWithIt) {
    const ToyData toy(200);
    TrainingOptions options = quick_options();
    ModelContents model = first_model(toy, options);
    options.from_model = "zones@1";
    TrainingData data = toy.view();
    TensorMap tensors = initial_tensors(model, options, data);
    data.initial = &tensors;
    const TrainedModel whole = train(options, data);
    const auto trainer = make_trainer(options, data);
    Progress progress;
    for (int step = 0; step < 6; ++step) trainer->advance(0, progress);
    const std::string checkpoint = trainer->checkpoint();
    const auto resumed = make_trainer(options, data, checkpoint);
    while (resumed->advance(1, progress)) continue;
    EXPECT_EQ(resumed->finish().tensors.at("class_emb.weight").values, whole.tensors.at("class_emb.weight").values);

    tensors.at("img_dec.weight").values[0] += 1;
    const Error error = error_of([&] { make_trainer(options, data, checkpoint); });
    EXPECT_EQ(error.kind(), ErrorKind::invalid_data);
    EXPECT_NE(error.detail().find("zones@1"), std::string::npos);
}

TEST(InitialModel, ItsValuesAreKeptInMemory) {
    TrainingOptions options;
    const int64_t anew = estimate_memory(options, 1000, 512, 100);
    options.from_model = "places@1";
    EXPECT_GT(estimate_memory(options, 1000, 512, 100), anew);
}

}  // namespace
}  // namespace csp

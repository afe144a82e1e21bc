// Every position encoding with every network: trained for a few steps, written and read again, and its answers held to
// LibTorch's.
#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "../../src/encoder/model.h"
#include "../../src/encoder/position_encoding.h"
#include "../../src/training/device.h"
#include "../../src/training/make_trainer.h"
#include "../../src/training/network.h"
#include "../../src/training/position_tensors.h"
#include "../../src/training/samples.h"
#include "training_support.h"

namespace csp {
namespace {

constexpr std::size_t rows = 60;
constexpr int image_dim = 6, class_count = 3;

struct Rows {
    std::vector<double> lonlat;
    std::vector<float> features, dates;
    std::vector<int32_t> classes;

    explicit Rows(int64_t seed) {
        RandomStream random(seed, RandomPurpose::order);
        for (std::size_t i = 0; i < rows; ++i) {
            lonlat.push_back(360 * random.uniform() - 180);
            lonlat.push_back(180 * random.uniform() - 90);
            dates.push_back(static_cast<float>(random.uniform()));
            classes.push_back(static_cast<int32_t>(random.below(class_count)));
            for (int k = 0; k < image_dim; ++k) features.push_back(static_cast<float>(random.uniform() - 0.5));
        }
    }

    TrainingData data(bool with_dates) const {
        TrainingData data;
        data.rows = rows;
        data.lonlat = lonlat.data();
        data.features = features_in_memory(csp_test::packed(features, image_dim));
        data.image_dim = image_dim;
        data.classes = classes.data();
        data.class_count = class_count;
        data.dates = with_dates ? dates.data() : nullptr;
        return data;
    }
};

TrainingOptions few_steps(const std::string &encoding) {
    TrainingOptions options;
    set_position_encoding(options.model, encoding);
    options.model.frequencies = 4;
    options.model.anchors = 20;
    options.model.degrees = 5;
    options.model.hidden_dim = 24;
    options.model.embedding_dim = 16;
    options.pretrain_epochs = 2;
    options.epochs = 2;
    options.min_steps = 0;
    options.batch_size = 20;
    options.device = "cpu";
    return options;
}

TrainedModel train(const TrainingOptions &options, const TrainingData &data) {
    const std::unique_ptr<Trainer> trainer = make_trainer(options, data);
    for (Progress progress; trainer->advance(1, progress);) {
    }
    return trainer->finish();
}

// The largest difference of embeddings between LibTorch and the engine of queries.
double difference_from_torch(const TrainedModel &trained, const Model &model, const TrainingData &data) {
    Samples filled(data, trained.config, tensor_options("cpu"), trained.tensors);
    Network network(trained.config, filled.feature_dim(), tensor_options("cpu"), 0);
    network.load(trained.tensors);
    RowIds all;
    for (std::size_t i = 0; i < rows; ++i) all.push_back(static_cast<int64_t>(i));
    while (filled.encode_some()) {
    }
    const at::Tensor expected = network.embed(filled.position_features(all), nullptr).detach();
    std::vector<float> given(rows * static_cast<std::size_t>(trained.config.embedding_dim));
    model.embed(data.lonlat, data.dates, rows, given.data());
    return (expected - at::from_blob(given.data(), expected.sizes(), at::kFloat)).abs().max().item<double>();
}

void check(const TrainingOptions &options, bool with_dates) {
    const Rows made(7);
    const TrainingData data = made.data(with_dates);
    const TrainedModel trained = train(options, data);
    const std::vector<std::string> labels = {"a", "b", "c"};
    const Model model(trained.config, labels, trained.tensors);
    EXPECT_LT(difference_from_torch(trained, model, data), 1e-5);

    const std::string file = write_model(trained.config, labels, trained.tensors);
    const Model back = Model::from_file(file.data(), file.size());
    std::vector<float> a(rows * 16), b(rows * 16), p(rows * 3), q(rows * 3);
    model.embed(data.lonlat, data.dates, rows, a.data());
    back.embed(data.lonlat, data.dates, rows, b.data());
    EXPECT_EQ(a, b);
    model.probabilities(a.data(), rows, p.data());
    back.probabilities(b.data(), rows, q.data());
    EXPECT_EQ(p, q);
    // It tells places apart, and training moved it.
    EXPECT_FALSE(std::equal(a.begin(), a.begin() + 16, a.begin() + 16));
    TrainingOptions untrained = options;
    untrained.seed = 1;
    EXPECT_NE(train(untrained, data).tensors.at("class_emb.weight").values, trained.tensors.at("class_emb.weight").values);
}

TEST(Encodings, EveryOneWithEveryNetworkTrainsAndAnswersAlike) {
    for (const std::string &encoding : position_encoding_names()) {
        for (const NetworkKind network : {NetworkKind::ffn, NetworkKind::fcnet, NetworkKind::siren, NetworkKind::linear}) {
            TrainingOptions options = few_steps(encoding);
            options.model.network = network;
            for (const bool with_dates : {false, true}) {
                SCOPED_TRACE(encoding + " " + to_string(network) + (with_dates ? " with dates" : ""));
                check(options, with_dates);
            }
        }
    }
}

TEST(Encodings, DiagonalNetworkTrainsAndAnswersAlike) {
    for (const bool projection : {false, true}) {
        TrainingOptions options = few_steps("theorydiag");
        ASSERT_EQ(options.model.network, NetworkKind::diagonal);
        options.model.diagonal_projection = projection;
        check(options, false);
    }
}

TEST(Encodings, VariantsTrainAndAnswerAlike) {
    const auto variant = [](const std::string &encoding, auto change) {
        SCOPED_TRACE(encoding);
        TrainingOptions options = few_steps(encoding);
        change(options.model);
        check(options, false);
    };
    variant("grid", [](ModelConfig &c) { c.frequency_list = FrequencyList::random; });
    variant("sphereM+", [](ModelConfig &c) { c.frequency_list = FrequencyList::nerf; });
    variant("NeRF", [](ModelConfig &c) { c.published_defects = true; });
    variant("dfs", [](ModelConfig &c) { c.published_defects = true, c.max_radius = 100; });
    variant("spherical_harmonics", [](ModelConfig &c) { c.harmonics = Harmonics::analytic; });
    variant("wrap", [](ModelConfig &c) { c.wrap_features = WrapFeatures::encode_3D; });
    variant("wrap_ffn", [](ModelConfig &c) { c.wrap_features = WrapFeatures::encode_none; });
    variant("naive", [](ModelConfig &c) { c.extent = {-20, 60, -30, 70}; });
}

TEST(Encodings, DrawsDependOnTheSeedAndAreKeptWhenTrainingGoesOn) {
    const Rows made(7);
    TrainingData data = made.data(false);
    for (const std::string encoding : {"rbf", "rff"}) {
        const ModelConfig config = few_steps(encoding).model;
        const TensorMap first = draw_position_tensors(config, data, 1), other = draw_position_tensors(config, data, 2);
        EXPECT_FALSE(first.empty());
        for (const auto &[name, tensor] : first) {
            EXPECT_EQ(tensor.values, draw_position_tensors(config, data, 1).at(name).values) << name;
            EXPECT_NE(tensor.values, other.at(name).values) << name;
        }
        data.initial = &first;
        for (const auto &[name, tensor] : draw_position_tensors(config, data, 2))
            EXPECT_EQ(tensor.values, first.at(name).values) << name;
        data.initial = nullptr;
    }
}

TEST(Encodings, AnchorsAreDistinctTrainingRows) {
    const Rows made(7);
    TrainingData data = made.data(false);
    std::vector<uint8_t> validation(rows, 0);
    for (std::size_t i = 0; i < rows; i += 3) validation[i] = 1;
    data.validation = validation.data();
    ModelConfig config = few_steps("rbf").model;
    config.anchors = 40;  // all that are not held out
    const std::vector<float> anchors = draw_position_tensors(config, data, 1).begin()->second.values;
    for (std::size_t i = 0; i < rows; ++i) {
        int found = 0;
        for (std::size_t m = 0; m < 40; ++m) found += anchors[2 * m] == static_cast<float>(made.lonlat[2 * i]);
        EXPECT_EQ(found, validation[i] ? 0 : 1) << i;
    }
    config.anchors = 41;
    EXPECT_THROW(draw_position_tensors(config, data, 1), Error);
}

TEST(Encodings, DirectionsHaveTheVarianceOfTheKernelSize) {
    const Rows made(7);
    ModelConfig config = few_steps("rff").model;
    config.frequencies = 1024;
    config.kernel_size = 9;
    const TensorMap tensors = draw_position_tensors(config, made.data(false), 3);
    double sum = 0, squares = 0;
    for (float value : tensors.at("spa_enc.position_encoder.dirvec").values) sum += value, squares += value * value;
    EXPECT_NEAR(sum / 2048, 0, 0.3);
    EXPECT_NEAR(squares / 2048, 9, 1);
}

// The published in-place write: the second pass of a batch sees coordinates that are scaled twice.
TEST(Encodings, PublishedWrapGivesItsTwinsOtherCoordinates) {
    const Rows made(7);
    const TrainingData data = made.data(false);
    const RowIds some = {3, 4, 9};
    for (const std::string encoding : {"wrap", "wrap_ffn", "grid"}) {
        ModelConfig config = few_steps(encoding).model;
        EXPECT_FALSE(Samples(data, config, tensor_options("cpu")).twins_differ()) << encoding;
        config.published_defects = true;
        Samples samples(data, config, tensor_options("cpu"));
        EXPECT_EQ(samples.twins_differ(), encoding != "grid");
        if (encoding == "grid") continue;
        const at::Tensor twins = samples.twin_features(some);
        for (int i = 0; i < 3; ++i) {
            const double x = made.lonlat[static_cast<std::size_t>(2 * some[i])] / 180 / 180;
            EXPECT_NEAR(twins[i][0].item<double>(), std::sin(3.14159265358979 * x), 1e-6);
        }
        TrainingOptions options = few_steps(encoding);
        options.weight_dropout = 1;
        const TrainedModel meant = train(options, data);
        options.model.published_defects = true;
        EXPECT_NE(train(options, data).tensors.at("img_dec.weight").values, meant.tensors.at("img_dec.weight").values);
    }
}

}  // namespace
}  // namespace csp

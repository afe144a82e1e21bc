// Classes of images, temperatures and the prior strength, as queries use them and as a model file keeps them.
#include <cmath>

#include "../../src/encoder/fusion.h"
#include "../../src/encoder/model.h"
#include "encoder_support.h"

namespace {

using csp::ErrorKind;
using csp::Model;
using csp::ModelConfig;
using csp_test::expect_error;

constexpr int classes = 45, image_dim = 19;

ModelConfig small_config() {
    ModelConfig config;
    config.frequencies = 8;
    config.min_radius = 0.1;
    config.max_radius = 360;
    config.hidden_dim = 40;
    config.embedding_dim = 24;
    config.image_dim = image_dim;
    config.image_side = csp::ImageSide::none;
    config.class_count = classes;
    config.class_head = csp::ClassHead::softmax;
    config.image_classifier = true;
    return config;
}

std::vector<std::string> labels() {
    std::vector<std::string> labels;
    for (int i = 0; i < classes; ++i) labels.push_back(std::to_string(i));
    return labels;
}

csp::TensorMap tensors_of(const ModelConfig &config) {
    csp::TensorMap tensors = csp_test::encoder_tensors(config, 4 * config.frequencies, 50);
    tensors["class_emb.weight"] = csp_test::random_tensor({classes, config.embedding_dim}, 1, 60);
    tensors["class_emb.bias"] = csp_test::random_tensor({classes}, 1, 61);
    tensors["image_class.weight"] = csp_test::random_tensor({classes, image_dim}, 1, 62);
    tensors["image_class.bias"] = csp_test::random_tensor({classes}, 1, 63);
    return tensors;
}

Model make_model(const ModelConfig &config) { return Model(config, labels(), tensors_of(config)); }

std::vector<double> softmax(std::vector<double> scores) {
    double sum = 0;
    for (double &score : scores) sum += score = std::exp(score);
    for (double &score : scores) score /= sum;
    return scores;
}

// P(y | I) in float64, straight from the definition.
std::vector<double> expected_image(const float *features, double temperature) {
    const csp::TensorMap tensors = tensors_of(small_config());
    std::vector<double> scores(classes);
    for (int c = 0; c < classes; ++c) {
        scores[c] = tensors.at("image_class.bias").values[c];
        for (int k = 0; k < image_dim; ++k)
            scores[c] += double(tensors.at("image_class.weight").values[c * image_dim + k]) * features[k];
        scores[c] /= temperature;
    }
    return softmax(scores);
}

std::vector<float> image_probabilities(const Model &model, const std::vector<float> &features) {
    const std::size_t n = features.size() / image_dim;
    std::vector<float> out(n * classes);
    model.image_probabilities(features.data(), n, out.data(), classes);
    return out;
}

std::vector<float> place_probabilities(const Model &model, double lon, double lat) {
    const double lonlat[] = {lon, lat};
    std::vector<float> embedding(model.config().embedding_dim), out(classes);
    model.embed(lonlat, 1, embedding.data());
    model.probabilities(embedding.data(), 1, out.data());
    return out;
}

TEST(ImageClassifier, IsTheSoftmaxOfALinearLayer) {
    const std::vector<float> features = csp_test::random_values(300 * image_dim, 1, 7);
    for (double temperature : {1.0, 2.5, 0.3}) {
        ModelConfig config = small_config();
        config.image_temperature = temperature;
        const std::vector<float> out = image_probabilities(make_model(config), features);
        for (std::size_t row : {0, 17, 299}) {
            const std::vector<double> expected = expected_image(features.data() + row * image_dim, temperature);
            for (int c = 0; c < classes; ++c) EXPECT_NEAR(out[row * classes + c], expected[c], 2e-6);
        }
    }
}

TEST(ImageClassifier, BatchAndSingleAgreeToTheLastBit) {
    const Model model = make_model(small_config());
    const std::vector<float> features = csp_test::random_values(301 * image_dim, 1, 8);
    const std::vector<float> all = image_probabilities(model, features);
    for (std::size_t row = 0; row < 301; ++row) {
        const auto begin = features.begin() + static_cast<std::ptrdiff_t>(row * image_dim);
        const std::vector<float> one = image_probabilities(model, {begin, begin + image_dim});
        EXPECT_EQ(one, std::vector<float>(all.begin() + static_cast<std::ptrdiff_t>(row * classes),
                                          all.begin() + static_cast<std::ptrdiff_t>((row + 1) * classes)));
    }
}

TEST(ImageClassifier, IsThereWithoutAProjectionOfImages) {
    const Model model = make_model(small_config());
    const std::vector<float> features(image_dim, 0.5f), embedding(24, 0.5f);
    std::vector<float> out(24);
    expect_error(ErrorKind::not_supported, [&] { model.embed_image(features.data(), 1, out.data()); });
    expect_error(ErrorKind::not_supported, [&] { model.similarity(embedding.data(), features.data()); });
    EXPECT_FALSE(csp::compares_images(model.config()));
}

TEST(ImageClassifier, IsMissedWhereThereIsNone) {
    ModelConfig config = small_config();
    config.image_classifier = false;
    const Model model = make_model(config);
    expect_error(ErrorKind::not_supported, [&] { image_probabilities(model, std::vector<float>(image_dim)); });
    config = small_config();
    csp::TensorMap tensors = tensors_of(config);
    tensors["image_class.weight"].shape = {image_dim, classes};
    expect_error(ErrorKind::data_corrupted, [&] { Model(config, labels(), tensors); });
    tensors.erase("image_class.weight");
    expect_error(ErrorKind::data_corrupted, [&] { Model(config, labels(), tensors); });
}

TEST(Temperature, DividesTheScoresOfTheClassHead) {
    for (csp::ClassHead head : {csp::ClassHead::softmax, csp::ClassHead::sigmoid}) {
        ModelConfig config = small_config();
        config.class_head = head;
        config.class_bias = true;
        const std::vector<float> plain = place_probabilities(make_model(config), 10, 50);
        config.place_temperature = 2;
        const Model model = make_model(config);
        const std::vector<float> mild = place_probabilities(model, 10, 50);
        const bool softmax_head = head == csp::ClassHead::softmax;
        double sum = 0;
        for (float p : plain) sum += std::sqrt(double(p));
        for (int c = 0; c < classes; ++c) {
            const double p = plain[c];
            // Half a score: the root of a probability, or of its odds.
            const double expected = softmax_head ? std::sqrt(p) / sum : 1 / (1 + std::sqrt((1 - p) / p));
            EXPECT_NEAR(mild[c], expected, 1e-5);
            std::vector<float> embedding(24);
            const double lonlat[] = {10, 50};
            model.embed(lonlat, 1, embedding.data());
            EXPECT_EQ(model.probability(embedding.data(), c), mild[c]);
        }
    }
}

TEST(Pooling, IsByTheExponentsOfTheModel) {
    ModelConfig config = small_config();
    config.prior_strength = 0.4;
    config.fusion_temperature = 1.7;
    const Model model = make_model(config);
    const std::vector<float> features = csp_test::random_values(2 * image_dim, 1, 9);
    const std::vector<float> image = image_probabilities(model, features);
    std::vector<float> place = place_probabilities(model, 10, 50);
    for (float p : place_probabilities(model, -70, 5)) place.push_back(p);
    std::vector<float> out(2 * classes);
    model.fuse(image.data(), place.data(), 2, out.data());
    for (int row = 0; row < 2; ++row) {
        double sum = 0;
        const auto pooled = [&](int c) { return std::pow(image[c] * std::pow(double(place[c]), 0.4), 1 / 1.7); };
        for (int c = row * classes; c < (row + 1) * classes; ++c) sum += pooled(c);
        for (int c = row * classes; c < (row + 1) * classes; ++c) EXPECT_NEAR(out[c], pooled(c) / sum, 1e-6);
    }
}

TEST(FusionFile, KeepsWhatItNeedsAndTellsEarlierLibraries) {
    ModelConfig config = small_config();
    config.place_temperature = 1.0 / 3;
    config.image_temperature = 7;
    config.prior_strength = 0.7;
    config.fusion_temperature = 1.3;
    const std::string file = csp::write_model(config, labels(), tensors_of(config));
    EXPECT_NE(file.find("\"csp_ext.format\":\"2\""), std::string::npos);
    const Model model = Model::from_file(file.data(), file.size());
    EXPECT_TRUE(model.config().image_classifier);
    EXPECT_EQ(model.config().image_side, csp::ImageSide::none);
    EXPECT_EQ(model.config().place_temperature, 1.0 / 3);
    EXPECT_EQ(model.config().image_temperature, 7);
    EXPECT_EQ(model.config().prior_strength, 0.7);
    EXPECT_EQ(model.config().fusion_temperature, 1.3);
    const std::vector<float> features = csp_test::random_values(image_dim, 1, 10);
    EXPECT_EQ(image_probabilities(model, features), image_probabilities(make_model(config), features));
}

// As it was before there was anything of fusion: earlier libraries read it.
TEST(FusionFile, OfAModelWithoutFusionIsAsBefore) {
    ModelConfig config = small_config();
    config.image_classifier = false;
    config.image_dim = 0;
    config.image_side = csp::ImageSide::image_projection;
    const std::string file = csp::write_model(config, labels(), tensors_of(config));
    EXPECT_NE(file.find("\"csp_ext.format\":\"1\""), std::string::npos);
    for (const char *key : {"image_classifier", "temperature", "prior_strength"}) {
        EXPECT_EQ(csp::config_to_metadata(config).count(key), 0u);
        EXPECT_EQ(file.find(key), std::string::npos);
    }
}

TEST(FusionFile, ValuesOutOfRangeAreDamage) {
    for (const auto &[key, value] : std::map<std::string, std::string>{{"place_temperature", "0"},
                                                                      {"image_temperature", "nan"},
                                                                      {"prior_strength", "-1"},
                                                                      {"prior_strength", "1001"},
                                                                      {"fusion_temperature", "0"},
                                                                      {"fusion_temperature", "101"},
                                                                      {"image_classifier", "yes"}}) {
        auto metadata = csp::config_to_metadata(small_config());
        metadata[key] = value;
        expect_error(ErrorKind::data_corrupted, [&] { csp::config_from_metadata(metadata); }, key);
    }
    ModelConfig config = small_config();
    config.class_count = 0;
    expect_error(ErrorKind::invalid_parameter, [&] { csp::validate(config); });
}

}  // namespace

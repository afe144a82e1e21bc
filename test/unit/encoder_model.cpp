// The model as queries use it: embeddings, class probabilities, the image side, and its file.
#include "../../src/encoder/model.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>

#include "../../src/encoder/location_encoder.h"
#include "encoder_support.h"

namespace {

using csp::ErrorKind;
using csp::Model;
using csp::ModelConfig;
using csp_test::expect_error;

ModelConfig small_config() {
    ModelConfig config;
    config.frequencies = 8;
    config.min_radius = 0.1;
    config.max_radius = 360;
    config.hidden_dim = 40;
    config.embedding_dim = 24;
    config.image_dim = 19;
    config.class_count = 45;
    return config;
}

std::vector<std::string> labels_of(const ModelConfig &config) {
    std::vector<std::string> labels;
    for (int i = 0; i < config.class_count; ++i)
        labels.push_back("class \"" + std::to_string(i) + "\", \xc3\xbc");
    return labels;
}

csp::TensorMap tensors_of(const ModelConfig &config) {
    const int features = config.position_encoding == "grid" ? 4 * config.frequencies : 6 * config.frequencies;
    csp::TensorMap tensors = csp_test::encoder_tensors(config, features, 50);
    if (config.class_count > 0)
        tensors["class_emb.weight"] = csp_test::random_tensor({config.class_count, config.embedding_dim}, 1, 60);
    if (config.class_bias)
        tensors["class_emb.bias"] = csp_test::random_tensor({config.class_count}, 1, 61);
    if (config.image_dim > 0 && config.image_side == csp::ImageSide::location_decoder) {
        tensors["loc_dec.weight"] = csp_test::random_tensor({config.image_dim, config.embedding_dim}, 1, 64);
        tensors["loc_dec.bias"] = csp_test::random_tensor({config.image_dim}, 1, 65);
    } else if (config.image_dim > 0) {
        tensors["img_dec.weight"] = csp_test::random_tensor({config.embedding_dim, config.image_dim}, 1, 62);
        tensors["img_dec.bias"] = csp_test::random_tensor({config.embedding_dim}, 1, 63);
    }
    return tensors;
}

Model make_model(const ModelConfig &config) {
    return Model(config, labels_of(config), tensors_of(config));
}

std::vector<double> locations(std::size_t n) {
    std::vector<double> lonlat;
    for (std::size_t i = 0; i < n; ++i)
        lonlat.insert(lonlat.end(), {180 * std::sin(1.0 + double(i)), 90 * std::cos(2.0 * double(i))});
    return lonlat;
}

std::vector<double> scores(const ModelConfig &config, const float *embedding) {
    const csp::TensorMap tensors = tensors_of(config);
    const auto &weight = tensors.at("class_emb.weight").values;
    std::vector<double> scores(config.class_count);
    for (int c = 0; c < config.class_count; ++c) {
        scores[c] = config.class_bias ? tensors.at("class_emb.bias").values[c] : 0;
        for (int k = 0; k < config.embedding_dim; ++k)
            scores[c] += double(weight[c * config.embedding_dim + k]) * embedding[k];
    }
    return scores;
}

TEST(Model, BatchAndSingleAgreeToTheLastBit) {
    for (const csp::Kernels *kernels : csp_test::all_kernels())
        for (const char *name : {"grid", "sphereC+"})
            for (int hidden : {32, 40, 512}) {
                ModelConfig config = small_config();
                config.position_encoding = name;
                config.hidden_dim = hidden;
                config.hidden_layers = 2;
                config.activation = csp::Activation::gelu;
                const csp::LocationEncoder encoder(config, tensors_of(config), *kernels);
                const std::size_t most = hidden == 512 ? 300 : 100;
                const std::vector<double> lonlat = locations(most);
                std::vector<float> single(most * encoder.embedding_dim());
                for (std::size_t i = 0; i < most; ++i)
                    encoder.embed(&lonlat[2 * i], nullptr, 1, &single[i * 24], 24);
                for (std::size_t n = 1; n <= most; n += n < 35 ? 1 : 13) {
                    std::vector<float> batch(n * encoder.embedding_dim());
                    encoder.embed(lonlat.data(), nullptr, n, batch.data(), 24);
                    ASSERT_EQ(0, std::memcmp(batch.data(), single.data(), batch.size() * sizeof(float)))
                        << kernels->name << " " << name << " " << n;
                }
            }
}

TEST(Model, NoLocationsNoWork) {
    const Model model = make_model(small_config());
    EXPECT_NO_THROW(model.embed(nullptr, 0, nullptr));
    EXPECT_NO_THROW(model.embed_image(nullptr, 0, nullptr));
    EXPECT_NO_THROW(model.probabilities(nullptr, 0, nullptr));
}

TEST(Model, ProbabilitiesOfBothHeads) {
    for (csp::ClassHead head : {csp::ClassHead::sigmoid, csp::ClassHead::softmax})
        for (bool bias : {false, true}) {
            ModelConfig config = small_config();
            config.class_head = head;
            config.class_bias = bias;
            const Model model = make_model(config);
            const std::size_t n = 33, classes = 45, dim = 24;
            std::vector<float> embeddings(n * dim), probabilities(n * classes);
            model.embed(locations(n).data(), n, embeddings.data());
            model.probabilities(embeddings.data(), n, probabilities.data());
            for (std::size_t i = 0; i < n; ++i) {
                const std::vector<double> expected = scores(config, &embeddings[i * dim]);
                double total = 0;
                for (double score : expected)
                    total += std::exp(score);
                for (std::size_t c = 0; c < classes; ++c) {
                    const double probability = head == csp::ClassHead::sigmoid ? 1 / (1 + std::exp(-expected[c]))
                                                                               : std::exp(expected[c]) / total;
                    ASSERT_NEAR(probabilities[i * classes + c], probability, 2e-6);
                    ASSERT_EQ(model.probability(&embeddings[i * dim], int(c)), probabilities[i * classes + c]);
                }
            }
        }
}

TEST(Model, ImageProjection) {
    const ModelConfig config = small_config();
    const Model model = make_model(config);
    const csp::TensorMap tensors = tensors_of(config);
    const std::size_t n = 17;
    const std::vector<float> features = csp_test::random_values(n * 19, 1, 70);
    std::vector<float> out(n * 24);
    model.embed_image(features.data(), n, out.data());
    for (std::size_t i = 0; i < n; ++i)
        for (std::size_t d = 0; d < 24; ++d) {
            double expected = tensors.at("img_dec.bias").values[d];
            for (std::size_t k = 0; k < 19; ++k)
                expected += double(tensors.at("img_dec.weight").values[d * 19 + k]) * features[i * 19 + k];
            ASSERT_NEAR(out[i * 24 + d], expected, 5e-6);
        }
}

TEST(Model, WithoutHeadOrImageSide) {
    ModelConfig config = small_config();
    config.class_count = config.image_dim = 0;
    const Model model = make_model(config);
    const float embedding[24] = {};
    float out[24];
    expect_error(ErrorKind::not_supported, [&] { model.probabilities(embedding, 1, out); });
    expect_error(ErrorKind::not_supported, [&] { model.probability(embedding, 0); });
    expect_error(ErrorKind::not_supported, [&] { model.embed_image(embedding, 1, out); });
}

TEST(Model, LabelsAndClasses) {
    const ModelConfig config = small_config();
    const Model model = make_model(config);
    for (int i = 0; i < config.class_count; ++i)
        EXPECT_EQ(model.class_index(labels_of(config)[i]), i);
    EXPECT_EQ(model.class_index("no such"), -1);
    const float embedding[24] = {};
    expect_error(ErrorKind::undefined_object, [&] { model.probability(embedding, -1); });
    expect_error(ErrorKind::undefined_object, [&] { model.probability(embedding, 45); });
    std::vector<std::string> labels = labels_of(config);
    labels.pop_back();
    expect_error(ErrorKind::data_corrupted, [&] { Model(config, labels, tensors_of(config)); });
    labels.push_back(labels.front());
    expect_error(ErrorKind::data_corrupted, [&] { Model(config, labels, tensors_of(config)); });
}

TEST(Model, EveryTensorIsRequired) {
    ModelConfig config = small_config();
    config.class_bias = true;
    const csp::TensorMap tensors = tensors_of(config);
    for (const auto &[name, tensor] : tensors) {
        csp::TensorMap changed = tensors;
        changed.erase(name);
        expect_error(ErrorKind::data_corrupted, [&] { Model(config, labels_of(config), changed); }, name);
        changed = tensors;
        changed[name].values[0] = NAN;
        expect_error(ErrorKind::data_corrupted, [&] { Model(config, labels_of(config), changed); }, name);
    }
    csp::TensorMap more = tensors;
    more["user_emb.weight"] = csp_test::random_tensor({1, config.embedding_dim}, 1, 80);
    EXPECT_NO_THROW(Model(config, labels_of(config), more)) << "tensors that are not needed do no harm";
}

TEST(Model, AliasesBecomeCanonical) {
    ModelConfig config = small_config();
    const csp::TensorMap tensors = tensors_of(config);
    config.position_encoding = "GridCell";
    EXPECT_EQ(Model(config, labels_of(config), tensors).config().position_encoding, "grid");
}

TEST(Model, MemoryIsThatOfItsWeights) {
    ModelConfig config = small_config();
    config.hidden_dim = config.embedding_dim = 512;
    const Model model = make_model(config);
    const std::size_t weights = sizeof(float) * 512 * (32 + 512 + 45 + 19);
    EXPECT_GT(model.memory(), weights);
    EXPECT_LT(model.memory(), weights + weights / 4);
}

TEST(Model, FileRoundTrip) {
    const ModelConfig config = small_config();
    const Model model = make_model(config);
    const std::string bytes = csp::write_model(config, labels_of(config), tensors_of(config));
    Model back = Model::from_file(bytes.data(), bytes.size());
    EXPECT_EQ(back.labels(), model.labels());
    EXPECT_EQ(csp::config_to_metadata(back.config()), csp::config_to_metadata(config));
    const std::vector<double> lonlat = locations(3);
    float a[72], b[72];
    model.embed(lonlat.data(), 3, a);
    back.embed(lonlat.data(), 3, b);
    EXPECT_EQ(0, std::memcmp(a, b, sizeof a));
    const Model moved = std::move(back);
    moved.embed(lonlat.data(), 3, b);
    EXPECT_EQ(0, std::memcmp(a, b, sizeof a));
}

TEST(Model, FilesOfAnotherKindAreRefused) {
    const ModelConfig config = small_config();
    const std::string bytes = csp::write_model(config, labels_of(config), tensors_of(config));
    const auto refused = [&](ErrorKind kind, const char *key, const char *value) {
        csp::ModelFile file = csp::read_safetensors(bytes.data(), bytes.size());
        if (value)
            file.metadata[key] = value;
        else
            file.metadata.erase(key);
        const std::string changed = csp::write_safetensors(file);
        expect_error(kind, [&] { Model::from_file(changed.data(), changed.size()); },
                     std::string(key) + "=" + (value ? value : "(none)"));
    };
    refused(ErrorKind::data_corrupted, "csp_ext.format", nullptr);
    refused(ErrorKind::not_supported, "csp_ext.format", "3");
    refused(ErrorKind::data_corrupted, "labels", nullptr);
    for (const char *labels : {"", "[", "{}", "null", "\"a\"", "[1]", "[null]", "[[\"a\"]]", "[{\"a\":\"b\"}]", "[]",
                               "[\"a\"]", "[\"a\"] x"})
        refused(ErrorKind::data_corrupted, "labels", labels);
    refused(ErrorKind::data_corrupted, "labels", std::string(100000, '[').c_str());
    refused(ErrorKind::data_corrupted, "hidden_dim", "41");
    refused(ErrorKind::data_corrupted, "hidden_dim", "0");
    refused(ErrorKind::data_corrupted, "position_encoding", "nowhere");
    expect_error(ErrorKind::data_corrupted, [] { Model::from_file("not a file at all", 17); });
    expect_error(ErrorKind::data_corrupted, [] { Model::from_file(nullptr, 0); });
}

// A location outside of every chunk of scratch: the largest network that the ranges allow in width.
TEST(Model, WideNetwork) {
    ModelConfig config = small_config();
    config.hidden_dim = 8192;
    config.class_count = config.image_dim = 0;
    const Model model = make_model(config);
    const std::vector<double> lonlat = locations(30);
    std::vector<float> batch(30 * 24), single(24);
    model.embed(lonlat.data(), 30, batch.data());
    model.embed(&lonlat[2 * 29], 1, single.data());
    EXPECT_EQ(0, std::memcmp(single.data(), &batch[29 * 24], sizeof(float) * 24));
    for (float value : batch)
        ASSERT_TRUE(std::isfinite(value));
}

TEST(Cosine, OfVectors) {
    const float a[3] = {1, 2, 2}, b[3] = {2, 4, 4}, c[3] = {-1, -2, -2}, d[3] = {0, 1, -1}, zero[3] = {};
    EXPECT_NEAR(csp::cosine(a, b, 3), 1, 1e-7);
    EXPECT_NEAR(csp::cosine(a, c, 3), -1, 1e-7);
    EXPECT_NEAR(csp::cosine(a, d, 3), 0, 1e-7);
    EXPECT_EQ(csp::cosine(a, zero, 3), 0);
    EXPECT_EQ(csp::cosine(zero, zero, 3), 0);
    EXPECT_EQ(csp::cosine(a, b, 0), 0);
    // no square of a float is lost
    for (const float scale : {1e-44f, 1e-30f, 3e-23f, 1e-12f, 1e12f, 1e25f, 1e37f}) {
        const float scaled[] = {scale, 0, scale}, other[] = {scale, scale, 0}, direction[] = {1, 0, 1};
        EXPECT_NEAR(csp::cosine(scaled, other, 3), 0.5, 1e-7) << scale;
        EXPECT_NEAR(csp::cosine(scaled, a, 3), csp::cosine(direction, a, 3), 1e-7) << scale;
    }
    const float infinite[] = {std::numeric_limits<float>::infinity(), 0, 0}, nan[] = {std::numeric_limits<float>::quiet_NaN(), 0, 0};
    for (const float *other : {a, zero, infinite, nan}) {
        EXPECT_TRUE(std::isnan(csp::cosine(infinite, other, 3)));
        EXPECT_TRUE(std::isnan(csp::cosine(other, nan, 3)));
    }
}

TEST(KernelInstructionSet, IsATableOfThisMachine) {
    EXPECT_EQ(csp::find_kernels(csp::kernel_instruction_set()), &csp::best_kernels());
}

TEST(Model, SimilarityIsTheCosineOfPlaceAndImage) {
    const ModelConfig config = small_config();
    const Model model = make_model(config);
    const std::vector<double> lonlat = locations(5);
    const std::vector<float> features = csp_test::random_values(19, 1, 70);
    std::vector<float> places(5 * 24), image(24);
    model.embed(lonlat.data(), 5, places.data());
    model.embed_image(features.data(), 1, image.data());
    for (std::size_t i = 0; i < 5; ++i)
        EXPECT_EQ(model.similarity(&places[24 * i], features.data()), csp::cosine(&places[24 * i], image.data(), 24));
}

TEST(Model, LocationDecoderComparesInTheSpaceOfTheFeatures) {
    ModelConfig config = small_config();
    config.image_side = csp::ImageSide::location_decoder;
    const csp::TensorMap tensors = tensors_of(config);
    const Model model(config, labels_of(config), tensors);
    const std::string file = csp::write_model(config, labels_of(config), tensors);
    const Model read = Model::from_file(file.data(), file.size());
    const std::vector<float> features = csp_test::random_values(19, 1, 71);
    const std::vector<double> lonlat = locations(1);
    std::vector<float> place(24), decoded = tensors.at("loc_dec.bias").values;
    model.embed(lonlat.data(), 1, place.data());
    const std::vector<float> &weight = tensors.at("loc_dec.weight").values;
    for (std::size_t i = 0; i < 19; ++i)
        for (std::size_t d = 0; d < 24; ++d)
            decoded[i] += weight[24 * i + d] * place[d];
    const float expected = csp::cosine(decoded.data(), features.data(), 19);
    EXPECT_NEAR(model.similarity(place.data(), features.data()), expected, 1e-5);
    EXPECT_EQ(read.similarity(place.data(), features.data()), model.similarity(place.data(), features.data()));
    expect_error(ErrorKind::not_supported, [&] { model.embed_image(features.data(), 1, place.data()); });
    config.image_side = csp::ImageSide::image_projection;
    expect_error(ErrorKind::data_corrupted, [&] { Model(config, labels_of(config), tensors); });
    config.image_dim = 0;
    const Model blind(config, labels_of(config), tensors);
    expect_error(ErrorKind::not_supported, [&] { blind.similarity(place.data(), features.data()); });
}

TEST(Model, TensorsOfTrainingAloneAreLeftAlone) {
    ModelConfig config = small_config();
    config.user_count = 3;
    csp::TensorMap tensors = tensors_of(config);
    tensors["user_emb.weight"] = csp_test::random_tensor({3, config.embedding_dim}, 1, 66);
    tensors["logit_scale"] = csp_test::random_tensor({1}, 1, 67);
    const std::string file = csp::write_model(config, labels_of(config), tensors);
    EXPECT_EQ(Model::from_file(file.data(), file.size()).config().user_count, 3);
}

}  // namespace

// Published checkpoints give the numbers of the published code: embeddings within 1e-5 and probabilities within 3e-6 at
// twelve places (2e-5 for the embeddings of rff, whose projection the reference forms in float32).
#include "../../src/encoder/published_model.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "../../src/encoder/plain_networks.h"
#include "encoder_support.h"

namespace {

using csp::ModelContents;

std::string reference_path() {
    const char *given = std::getenv("CSP_REFERENCE");
    return given ? given : CSP_TEST_DATA "/../../../../shared/reference";
}

std::string read_file(const std::string &path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::vector<std::string> numbered(int count) {
    std::vector<std::string> labels;
    for (int i = 0; i < count; ++i)
        labels.push_back(std::to_string(i));
    return labels;
}

float largest_difference(const std::vector<float> &given, const nlohmann::json &expected) {
    float largest = 0;
    const std::size_t width = expected[0].size();
    for (std::size_t i = 0; i < given.size(); ++i)
        largest = std::max(largest, std::abs(given[i] - expected[i / width][i % width].get<float>()));
    return largest;
}

TEST(PublishedModel, ReleasedCheckpointsGiveTheReferenceNumbers) {
    const std::string text = read_file(reference_path() + "/checkpoints.json");
    if (text.empty())
        GTEST_SKIP() << "the reference checkpoints are not here (" << reference_path() << ")";
    const nlohmann::json reference = nlohmann::json::parse(text);
    std::vector<double> lonlat;
    for (const auto &place : reference["locations_f32"])
        lonlat.insert(lonlat.end(), {place[0].get<double>(), place[1].get<double>()});
    const std::size_t n = lonlat.size() / 2;
    int compared = 0;
    for (const auto &entry : reference["checkpoints"]) {
        const std::string name = entry["file"];
        const std::string file = read_file(reference_path() + "/checkpoints/" + name);
        if (file.empty())
            continue;
        const ModelContents contents = csp::read_published_model(file.data(), file.size());
        const csp::Model model(contents.config, numbered(contents.config.class_count), contents.tensors);
        std::vector<float> embeddings(n * static_cast<std::size_t>(contents.config.embedding_dim));
        std::vector<float> probabilities(n * static_cast<std::size_t>(contents.config.class_count));
        model.embed(lonlat.data(), n, embeddings.data());
        model.probabilities(embeddings.data(), n, probabilities.data());
        const bool rff = contents.config.position_encoding == "rff";
        EXPECT_LE(largest_difference(embeddings, entry["embedding"]), rff ? 2e-5 : 1e-5) << name;
        EXPECT_LE(largest_difference(probabilities, entry["class_prob"]), 3e-6) << name;
        ++compared;
    }
    EXPECT_EQ(compared, 8);
}

// A foreign safetensors file of these tensors.
std::string foreign_file(const csp::TensorMap &tensors) {
    return csp::write_safetensors({tensors, {}});
}

csp::TensorMap small_tensors() {
    csp::ModelConfig config;
    config.hidden_layers = 2;
    config.hidden_dim = 8;
    config.embedding_dim = 6;
    csp::TensorMap tensors = csp_test::encoder_tensors(config, 16, 1);
    tensors["class_emb.weight"] = csp_test::random_tensor({5, 6}, 1, 50);
    tensors["img_dec.weight"] = csp_test::random_tensor({6, 7}, 1, 51);
    tensors["img_dec.bias"] = csp_test::random_tensor({6}, 1, 52);
    return tensors;
}

TEST(PublishedModel, SizesComeFromTheShapes) {
    const std::string file = foreign_file(small_tensors());
    const ModelContents contents = csp::read_published_model(file.data(), file.size());
    EXPECT_EQ(contents.config.position_encoding, "");
    EXPECT_EQ(contents.config.hidden_layers, 2);
    EXPECT_EQ(contents.config.hidden_dim, 8);
    EXPECT_EQ(contents.config.embedding_dim, 6);
    EXPECT_EQ(contents.config.class_count, 5);
    EXPECT_EQ(contents.config.image_dim, 7);
    EXPECT_TRUE(contents.config.layer_norm);
    EXPECT_FALSE(contents.config.class_bias);
}

TEST(PublishedModel, BothPrefixesAreTakenAndMustAgree) {
    csp::TensorMap tensors = small_tensors();
    for (const auto &[name, tensor] : small_tensors())
        if (name != "img_dec.weight" && name != "img_dec.bias")
            tensors["loc_enc." + name] = tensor;
    std::string file = foreign_file(tensors);
    EXPECT_EQ(csp::read_published_model(file.data(), file.size()).tensors.size(), small_tensors().size());
    tensors["loc_enc.class_emb.weight"].values[3] += 1;
    file = foreign_file(tensors);
    csp_test::expect_error(csp::ErrorKind::data_corrupted,
                           [&] { csp::read_published_model(file.data(), file.size()); });
}

TEST(PublishedModel, OtherNetworksAreRecognised) {
    const auto network_of = [](const csp::TensorMap &tensors) {
        const std::string file = foreign_file(tensors);
        return csp::read_published_model(file.data(), file.size()).config;
    };
    const auto random = csp_test::random_tensor;
    csp::ModelConfig config = network_of({{"feats.0.weight", random({8, 4}, 1, 1)},
                                          {"feats.2.w1.weight", random({8, 8}, 1, 1)},
                                          {"feats.3.w1.weight", random({8, 8}, 1, 1)}});
    EXPECT_EQ(config.network, csp::NetworkKind::fcnet);
    EXPECT_EQ(config.hidden_layers, 2);
    EXPECT_EQ(config.embedding_dim, 8);
    config = network_of({{"spa_enc.spa_postmat", random({4, 6, 3}, 1, 1)}, {csp::post_mat_name, random({4, 6, 3}, 1, 1)}});
    EXPECT_EQ(config.network, csp::NetworkKind::diagonal);
    EXPECT_EQ(config.frequencies, 4);
    EXPECT_EQ(config.embedding_dim, 12);
    EXPECT_FALSE(config.diagonal_projection);
    config = network_of({{"spa_enc.post_linear.weight", random({9, 24}, 1, 1)}});
    EXPECT_EQ(config.network, csp::NetworkKind::linear);
    EXPECT_EQ(config.embedding_dim, 9);
}

TEST(PublishedModel, FilesWithoutALocationEncoderAreRefused) {
    for (const csp::TensorMap &tensors : {csp::TensorMap{}, csp::TensorMap{{"weight", {{1}, {1.0f}}}}}) {
        const std::string file = foreign_file(tensors);
        csp_test::expect_error(csp::ErrorKind::data_corrupted,
                               [&] { csp::read_published_model(file.data(), file.size()); });
    }
    for (const std::string text : {"", "not a model", "PK\3\4 neither"})
        csp_test::expect_error(csp::ErrorKind::data_corrupted,
                               [&] { csp::read_published_model(text.data(), text.size()); }, text);
}

}  // namespace

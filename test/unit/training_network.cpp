// The network in torch: equal to the one that answers queries, differentiable, and on one device.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>
#include <torch/version.h>

#include <cmath>

#include "../../src/encoder/error.h"
#include "../../src/encoder/model.h"
#include "../../src/encoder/position_encoding.h"
#include "../../src/training/device.h"
#include "../../src/training/network.h"
#include "../../src/training/objectives.h"
#include "../../src/training/optimizer.h"

namespace csp {
namespace {

const std::vector<double> places = {0, 0, 179.99, 89.9, -180, -90, 13.4, 52.5, -122.3, 37.8, 151.2, -33.9};
constexpr std::size_t place_count = 6;

ModelConfig small_config() {
    ModelConfig config;
    config.frequencies = 8;
    config.min_radius = 0.1;
    config.max_radius = 1;
    config.hidden_dim = 32;
    config.embedding_dim = 16;
    config.hidden_layers = 2;
    config.image_dim = 5;
    config.class_count = 3;
    return config;
}

Network make_network(const ModelConfig &config, int64_t seed = 1) {
    return Network(config, make_position_encoding(config)->dim(), tensor_options("cpu"), seed);
}

// Features of `places`, (6, dim).
at::Tensor features_of(const ModelConfig &config) {
    const auto encoding = make_position_encoding(config);
    at::Tensor features = at::empty({static_cast<int64_t>(place_count), encoding->dim()});
    encoding->encode(places.data(), place_count, features.data_ptr<float>());
    return features;
}

// Initial values leave layer normalization and biases close to nothing: stir all parameters.
void stir(Network &network) {
    TensorMap tensors = network.tensors();
    RandomStream random(99, RandomPurpose::weights);
    for (auto &[name, tensor] : tensors) {
        for (float &value : tensor.values) value += static_cast<float>(0.4 * random.uniform() - 0.2);
    }
    network.load(tensors);
}

double largest_difference(const at::Tensor &expected, const std::vector<float> &given) {
    const at::Tensor values = at::from_blob(const_cast<float *>(given.data()), expected.sizes(), at::kFloat);
    return (expected - values).abs().max().item<double>();
}

void expect_equal_to_model(const ModelConfig &config) {
    const c10::NoGradGuard no_grad;
    Network network = make_network(config);
    stir(network);
    const Model model(config, {"a", "b", "c"}, network.tensors());
    const auto width = static_cast<std::size_t>(config.embedding_dim);
    std::vector<float> embeddings(place_count * width), images(place_count * width), probabilities(place_count * 3);

    const at::Tensor e = network.embed(features_of(config), nullptr);
    model.embed(places.data(), place_count, embeddings.data());
    EXPECT_LE(largest_difference(e, embeddings), 1e-5);

    const at::Tensor scores = network.class_scores(e).matrix();
    model.probabilities(embeddings.data(), place_count, probabilities.data());
    const bool softmax = config.class_head == ClassHead::softmax;
    EXPECT_LE(largest_difference(softmax ? at::softmax(scores, 1) : at::sigmoid(scores), probabilities), 1e-5);

    const at::Tensor features = at::cos(at::arange(30, at::kFloat)).view({6, 5});
    model.embed_image(features.data_ptr<float>(), place_count, images.data());
    EXPECT_LE(largest_difference(network.project_images(features), images), 1e-5);
}

TEST(Network, IsTheModelThatAnswersQueries) {
    for (const std::string encoding : {"grid", "sphereC+", "xyz"}) {
        for (Activation activation :
             {Activation::relu, Activation::leakyrelu, Activation::gelu, Activation::sigmoid, Activation::tanh}) {
            for (int depth = 0; depth <= 3; ++depth) {
                for (int switches = 0; switches < 8; ++switches) {
                    ModelConfig config = small_config();
                    config.position_encoding = encoding;
                    config.activation = activation;
                    config.hidden_layers = depth;
                    config.skip_connection = switches & 1;
                    config.layer_norm = switches & 2;
                    config.activate_embedding = switches & 4;
                    config.class_bias = switches & 1;
                    config.class_head = switches & 2 ? ClassHead::softmax : ClassHead::sigmoid;
                    SCOPED_TRACE(encoding + " " + to_string(activation) + " depth " + std::to_string(depth) +
                                 " switches " + std::to_string(switches));
                    expect_equal_to_model(config);
                }
            }
        }
    }
}

TEST(Network, DecodesLocationsAsTheModelDoes) {
    const c10::NoGradGuard no_grad;
    ModelConfig config = small_config();
    config.image_side = ImageSide::location_decoder;
    Network network = make_network(config);
    stir(network);
    const TensorMap tensors = network.tensors();
    EXPECT_EQ(tensors.at("loc_dec.weight").shape, (std::vector<int64_t>{5, 16}));
    EXPECT_EQ(tensors.at("loc_dec.bias").shape, (std::vector<int64_t>{5}));
    EXPECT_EQ(tensors.count("img_dec.weight"), 0u);
    const Model model(config, {"a", "b", "c"}, tensors);
    const at::Tensor e = network.embed(features_of(config), nullptr);
    const at::Tensor images = at::cos(at::arange(30, at::kFloat)).view({6, 5});
    const at::Tensor cosines = at::cosine_similarity(network.decode_locations(e), images);
    for (int64_t i = 0; i < 6; ++i)
        EXPECT_NEAR(model.similarity(e[i].data_ptr<float>(), images[i].data_ptr<float>()), cosines[i].item<float>(),
                    1e-5);
}

TEST(Network, UsersScoreClassesWithoutABias) {
    ModelConfig config = small_config();
    config.user_count = 4;
    config.class_bias = true;
    Network network = make_network(config);
    const TensorMap tensors = network.tensors();
    EXPECT_EQ(tensors.at("user_emb.weight").shape, (std::vector<int64_t>{4, 16}));
    const at::Tensor w = network.user_embeddings(at::tensor({3, 0, 3}, at::kLong));
    EXPECT_TRUE(w[0].equal(w[2]));
    const at::Tensor scores = network.user_class_scores(w);
    const std::vector<float> &users = tensors.at("user_emb.weight").values;
    const std::vector<float> &heads = tensors.at("class_emb.weight").values;
    for (int64_t c = 0; c < 3; ++c) {
        double expected = 0;
        for (std::size_t d = 0; d < 16; ++d)
            expected += users[3 * 16 + d] * heads[static_cast<std::size_t>(c) * 16 + d];
        EXPECT_NEAR(scores[0][c].item<double>(), expected, 1e-6);
    }
    Network without = make_network(small_config());
    EXPECT_EQ(without.tensors().at("class_emb.weight").values, heads) << "a user head changes no other initial value";
}

TEST(Network, FirstLayerSkipsWhereTheWidthsAgree) {
    ModelConfig config = small_config();
    config.hidden_dim = make_position_encoding(config)->dim();
    expect_equal_to_model(config);
}

TEST(Network, InitialValuesFollowThePublishedBounds) {
    const ModelConfig config = small_config();
    const int inputs = make_position_encoding(config)->dim();
    const TensorMap tensors = make_network(config).tensors();
    const auto largest = [&](const char *name) {
        float largest = 0;
        for (float value : tensors.at(name).values) largest = std::max(largest, std::abs(value));
        return largest;
    };
    const auto expect_bound = [&](const char *name, double bound) {
        EXPECT_LE(largest(name), bound) << name;
        EXPECT_GE(largest(name), 0.8 * bound) << name;
    };
    expect_bound("spa_enc.ffn.layers.0.linear.weight", std::sqrt(6.0 / (inputs + 32)));
    expect_bound("spa_enc.ffn.layers.0.linear.bias", 1 / std::sqrt(inputs));
    expect_bound("spa_enc.ffn.layers.2.linear.weight", std::sqrt(6.0 / (32 + 16)));
    expect_bound("class_emb.weight", 1 / std::sqrt(16.0));
    expect_bound("img_dec.weight", 1 / std::sqrt(5.0));
    EXPECT_EQ(tensors.at("spa_enc.ffn.layers.1.layernorm.weight").values, std::vector<float>(32, 1.0f));
    EXPECT_EQ(tensors.at("spa_enc.ffn.layers.1.layernorm.bias").values, std::vector<float>(32, 0.0f));
    EXPECT_EQ(tensors.count("spa_enc.ffn.layers.2.layernorm.weight"), 0u);
    EXPECT_EQ(tensors.count("class_emb.bias"), 0u);
}

TEST(Network, DropoutDiffersFromCallToCallAndKeepsTheMean) {
    const at::Tensor ones = at::ones({200, 500});
    Dropout dropout(0.25, 1, {{0, 200}});
    const at::Tensor first = dropout(ones), second = dropout(ones);
    EXPECT_FALSE(first.equal(second));
    EXPECT_NEAR(first.mean().item<double>(), 1, 0.01);
    EXPECT_NEAR(first.eq(0).to(at::kFloat).mean().item<double>(), 0.25, 0.01);
}

// Gradients against finite differences, through every kind of layer at once.
TEST(Network, GradientsAgreeWithFiniteDifferences) {
    ModelConfig config = small_config();
    config.activation = Activation::gelu;  // smooth
    Network network(config, make_position_encoding(config)->dim(), tensor_options("cpu").dtype(at::kDouble), 1);
    const at::Tensor features = features_of(config).to(at::kDouble),
                     images = at::cos(at::arange(30, at::kDouble)).view({6, 5});
    const at::Tensor classes = at::tensor({0, 1, 2, 0, 1, 2}, at::kLong);
    const auto loss = [&] {
        const at::Tensor e = network.embed(features, nullptr);
        const at::Tensor u = normalize_rows(e), v = normalize_rows(network.project_images(images));
        return in_batch_loss(u, v, 0.2) + cross_entropy_loss(network.class_scores(e), classes, 0.1);
    };
    loss().backward();
    for (ParameterGroup *group : {&network.encoder(), &network.head()}) {
        for (int64_t i = 0; i < group->values.numel(); i += 7) {
            const c10::NoGradGuard no_grad;
            const at::Tensor value = group->values[i];
            const double step = 1e-6;
            value.add_(step);
            const double above = loss().item<double>();
            value.sub_(2 * step);
            const double below = loss().item<double>();
            value.add_(step);
            EXPECT_NEAR(group->gradients[i].item<double>(), (above - below) / (2 * step), 1e-6) << "parameter " << i;
        }
    }
}

TEST(Network, LoadsWhatItGaveAndRefusesOtherShapes) {
    Network network = make_network(small_config(), 1), other = make_network(small_config(), 2);
    const TensorMap tensors = network.tensors();
    EXPECT_NE(other.tensors().at("class_emb.weight").values, tensors.at("class_emb.weight").values);
    other.load(tensors);
    for (const auto &[name, tensor] : other.tensors()) EXPECT_EQ(tensor.values, tensors.at(name).values) << name;
    ModelConfig with_users = small_config();
    with_users.user_count = 2;
    Network users = make_network(with_users, 1), other_users = make_network(with_users, 2);
    const TensorMap before = other_users.tensors();
    other_users.load(users.tensors());
    EXPECT_EQ(other_users.tensors().at("user_emb.weight").values, before.at("user_emb.weight").values);
    ModelConfig wider = small_config();
    wider.embedding_dim = 17;
    EXPECT_THROW(make_network(wider).load(tensors), Error);
}

// One whole step of both objectives on LibTorch's `meta` device: a tensor that anything
// makes on the CPU on the way could not meet the others.
TEST(Network, AStepStaysOnItsDevice) {
    const at::TensorOptions meta = at::TensorOptions(at::kMeta).dtype(at::kFloat);
    ModelConfig config = small_config();
    config.layer_norm = false;  // its meta kernel is part of torch's Python, not of LibTorch
    Network network(config, 32, meta, 1);
    Dropout dropout(0.5, 1, {{0, 12}});
    const at::Tensor e = network.embed(at::empty({12, 32}, meta), &dropout);
    const at::Tensor u = normalize_rows(e.narrow(0, 0, 4)), twins = normalize_rows(e.narrow(0, 4, 4));
    const at::Tensor random = normalize_rows(e.narrow(0, 8, 4)),
                     v = normalize_rows(network.project_images(at::empty({4, 5}, meta)));
    const Scores scores = network.class_scores(e.narrow(0, 0, 4));
    const at::Tensor classes = at::empty({4}, meta.dtype(at::kLong));
    const at::Tensor loss = in_batch_loss(u, v, 1) + in_batch_loss(u, twins, 1) +
                            negative_location_loss(u, v, random, 1) + full_loss(scores, classes, 3) +
                            background_loss(scores) + cross_entropy_loss(scores, classes, 0.1);
    EXPECT_TRUE(loss.is_meta());
    loss.backward();
    Lanes lanes(2);
    Adam adam(0.01);
    adam.add(network.encoder(), 1);
    adam.add(network.head(), 1);
    adam.step(0.1, lanes);
    adam.zero_gradients();
    for (const ParameterGroup *group : {&network.encoder(), &network.head()}) {
        EXPECT_TRUE(group->values.is_meta());
        EXPECT_TRUE(group->gradients.is_meta());
    }
    EXPECT_THROW(u * at::zeros({4, 16}), c10::Error) << "a CPU tensor among meta tensors must be an error";
}

}  // namespace
}  // namespace csp

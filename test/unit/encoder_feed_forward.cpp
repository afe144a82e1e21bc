// The feed-forward net against a naive one in double precision, written from the formulas.
#include "../../src/encoder/feed_forward.h"

#include <cmath>

#include "encoder_support.h"

namespace {

using csp::Activation;
using csp::ModelConfig;

double activated(Activation activation, double x) {
    switch (activation) {
        case Activation::relu: return x > 0 ? x : 0;
        case Activation::leakyrelu: return x > 0 ? x : 0.2 * x;
        case Activation::gelu: return 0.5 * x * std::erfc(-x / std::sqrt(2.0));
        case Activation::sigmoid: return 1 / (1 + std::exp(-x));
        case Activation::tanh: return std::tanh(x);
        case Activation::sine: return std::sin(x);
    }
    return NAN;
}

using Vector = std::vector<double>;

Vector linear(const csp::TensorMap &tensors, const std::string &name, const Vector &x) {
    const auto &weight = tensors.at(name + ".weight").values;
    const auto &bias = tensors.at(name + ".bias").values;
    Vector y(bias.begin(), bias.end());
    for (std::size_t i = 0; i < y.size(); ++i)
        for (std::size_t k = 0; k < x.size(); ++k)
            y[i] += weight[i * x.size() + k] * x[k];
    return y;
}

Vector layer_norm(const csp::TensorMap &tensors, const std::string &name, Vector x) {
    const auto &weight = tensors.at(name + ".weight").values;
    const auto &bias = tensors.at(name + ".bias").values;
    double mean = 0, variance = 0;
    for (double value : x)
        mean += value / double(x.size());
    for (double value : x)
        variance += (value - mean) * (value - mean) / double(x.size());
    for (std::size_t i = 0; i < x.size(); ++i)
        x[i] = (x[i] - mean) / std::sqrt(variance + 1e-5) * weight[i] + bias[i];
    return x;
}

Vector reference(const ModelConfig &config, const csp::TensorMap &tensors, Vector x) {
    for (int i = 0; i <= config.hidden_layers; ++i) {
        const bool hidden = i < config.hidden_layers;
        const std::string name = "spa_enc.ffn.layers." + std::to_string(i);
        Vector y = linear(tensors, name + ".linear", x);
        if (hidden || config.activate_embedding)
            for (double &value : y)
                value = activated(config.activation, value);
        if (hidden && config.skip_connection && x.size() == y.size())
            for (std::size_t k = 0; k < y.size(); ++k)
                y[k] += x[k];
        x = hidden && config.layer_norm ? layer_norm(tensors, name + ".layernorm", y) : y;
    }
    return x;
}

void check(const ModelConfig &config, int features, std::size_t rows, const csp::Kernels &kernels) {
    const csp::TensorMap tensors = csp_test::encoder_tensors(config, features, 20);
    const csp::FeedForward network(config, static_cast<std::size_t>(features), tensors, kernels);
    const std::size_t stride = static_cast<std::size_t>(features) + 3;
    const std::vector<float> x = csp_test::random_values(rows * stride, 1, 21);
    std::vector<float> scratch(network.scratch_size(rows));
    std::vector<float> out(rows * network.out() + 1, 42);
    network.apply(x.data(), stride, rows, scratch.data(), out.data(), network.out());
    EXPECT_EQ(out.back(), 42) << "written beyond the end";
    for (std::size_t row = 0; row < rows; ++row) {
        const float *first = x.data() + row * stride;
        const Vector expected = reference(config, tensors, Vector(first, first + features));
        // A layer norm over one or three values divides by a standard deviation that may be tiny.
        const double tolerance = config.hidden_dim < 17 ? 2e-4 : 2e-5;
        for (std::size_t i = 0; i < expected.size(); ++i)
            ASSERT_NEAR(out[row * expected.size() + i], expected[i], tolerance * std::max(1.0, std::fabs(expected[i])))
                << kernels.name << " " << csp::to_string(config.activation) << " layers " << config.hidden_layers
                << " hidden " << config.hidden_dim << " rows " << rows;
    }
}

ModelConfig network_config(Activation activation, int layers, int hidden, int embedding) {
    ModelConfig config;
    config.activation = activation;
    config.hidden_layers = layers;
    config.hidden_dim = hidden;
    config.embedding_dim = embedding;
    return config;
}

constexpr Activation activations[] = {Activation::relu, Activation::leakyrelu, Activation::gelu, Activation::sigmoid,
                                      Activation::tanh};

TEST(FeedForward, EveryOptionAgreesWithDoublePrecision) {
    for (const csp::Kernels *kernels : csp_test::all_kernels())
        for (Activation activation : activations)
            for (int layers = 0; layers <= 3; ++layers)
                for (int options = 0; options < 8; ++options) {
                    ModelConfig config = network_config(activation, layers, 33, 17);
                    config.skip_connection = options & 1;
                    config.layer_norm = options & 2;
                    config.activate_embedding = options & 4;
                    check(config, 33, 5, *kernels);
                    check(config, 20, 1, *kernels);
                }
}

TEST(FeedForward, OddSizes) {
    for (const csp::Kernels *kernels : csp_test::all_kernels())
        for (int features : {1, 3, 17, 33})
            for (int hidden : {1, 3, 17, 33})
                for (int embedding : {1, 3, 17, 33})
                    for (std::size_t rows : {1, 2, 15})
                        check(network_config(Activation::leakyrelu, 2, hidden, embedding), features, rows, *kernels);
}

TEST(FeedForward, EveryBatchSize) {
    for (const csp::Kernels *kernels : csp_test::all_kernels())
        for (std::size_t rows = 1; rows <= 100; ++rows)
            check(network_config(Activation::gelu, 1, 40, 33), 24, rows, *kernels);
}

// The skip goes around a hidden layer only, and only where the widths agree: with weights of
// zero a skipped layer passes its input on.
TEST(FeedForward, SkipNeedsEqualWidths) {
    ModelConfig config = network_config(Activation::relu, 1, 4, 4);
    config.layer_norm = config.activate_embedding = false;
    csp::TensorMap tensors = csp_test::encoder_tensors(config, 4, 30);
    for (auto &[name, tensor] : tensors)
        std::fill(tensor.values.begin(), tensor.values.end(), 0.0f);
    for (int i = 0; i < 4; ++i)
        tensors["spa_enc.ffn.layers.1.linear.weight"].values[i * 5] = 1;
    const csp::FeedForward network(config, 4, tensors, csp::best_kernels());
    const float x[4] = {1, -2, 3, -4};
    float out[4];
    std::vector<float> scratch(network.scratch_size(1));
    network.apply(x, 4, 1, scratch.data(), out, 4);
    for (int i = 0; i < 4; ++i)
        EXPECT_EQ(out[i], x[i]);
}

TEST(FeedForward, TensorsAreChecked) {
    const ModelConfig config = network_config(Activation::relu, 1, 8, 4);
    const csp::TensorMap tensors = csp_test::encoder_tensors(config, 6, 40);
    ASSERT_EQ(tensors.size(), 6u);
    const auto expect_refused = [&](const csp::TensorMap &changed, const std::string &what) {
        csp_test::expect_error(
            csp::ErrorKind::data_corrupted,
            [&] { csp::FeedForward(config, 6, changed, csp::best_kernels()); }, what);
    };
    for (const auto &[name, tensor] : tensors) {
        csp::TensorMap changed = tensors;
        changed.erase(name);
        expect_refused(changed, "without " + name);
        changed = tensors;
        changed[name].shape.push_back(1);
        expect_refused(changed, "rank of " + name);
        changed = tensors;
        changed[name].shape[0] += 1;
        expect_refused(changed, "shape of " + name);
        changed = tensors;
        changed[name].values.pop_back();
        expect_refused(changed, "length of " + name);
        for (float value : {NAN, INFINITY, -INFINITY}) {
            changed = tensors;
            changed[name].values.back() = value;
            expect_refused(changed, "value of " + name);
        }
    }
}

}  // namespace

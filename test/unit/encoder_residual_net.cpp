// FCNet against a naive one in double precision, written from the formula.
#include "../../src/encoder/residual_net.h"

#include <algorithm>
#include <cmath>

#include "encoder_support.h"

namespace {

using Vector = std::vector<double>;

void add_layer(csp::TensorMap &tensors, const std::string &name, int64_t out, int64_t in, unsigned seed) {
    tensors[name + ".weight"] = csp_test::random_tensor({out, in}, 1.5f / std::sqrt(static_cast<float>(in)), seed);
    tensors[name + ".bias"] = csp_test::random_tensor({out}, 0.5f, seed + 1);
}

// relu(W x + b)
Vector layer(const csp::TensorMap &tensors, const std::string &name, const Vector &x) {
    const auto &weight = tensors.at(name + ".weight").values;
    const auto &bias = tensors.at(name + ".bias").values;
    Vector y(bias.begin(), bias.end());
    for (std::size_t i = 0; i < y.size(); ++i) {
        for (std::size_t k = 0; k < x.size(); ++k)
            y[i] += weight[i * x.size() + k] * x[k];
        y[i] = std::max(y[i], 0.0);
    }
    return y;
}

Vector reference(const csp::TensorMap &tensors, int blocks, const Vector &x) {
    Vector sum = layer(tensors, "feats.0", x);
    for (int block = 0; block < blocks; ++block) {
        const std::string name = csp::residual_block_name(block);
        const Vector outer = layer(tensors, name + ".w2", layer(tensors, name + ".w1", sum));
        for (std::size_t i = 0; i < sum.size(); ++i)
            sum[i] += outer[i];
    }
    return sum;
}

TEST(ResidualNet, AgreesWithDoublePrecision) {
    constexpr std::size_t features = 6, width = 33, stride = width + 4, rows = 15;
    const std::vector<float> x = csp_test::random_values(rows * features, 1, 1);
    for (int blocks = 0; blocks <= 4; ++blocks) {
        csp::ModelConfig config;
        config.network = csp::NetworkKind::fcnet;
        config.activation = csp::Activation::relu;
        config.hidden_layers = blocks;
        config.embedding_dim = width;
        csp::TensorMap tensors;
        add_layer(tensors, "feats.0", width, features, 10);
        for (int block = 0; block < blocks; ++block) {
            add_layer(tensors, csp::residual_block_name(block) + ".w1", width, width, 20 + 4 * unsigned(block));
            add_layer(tensors, csp::residual_block_name(block) + ".w2", width, width, 22 + 4 * unsigned(block));
        }
        for (const csp::Kernels *kernels : csp_test::all_kernels()) {
            const csp::ResidualNet network(config, features, tensors, *kernels);
            std::vector<float> scratch(network.scratch_size(rows)), out(rows * stride, 42);
            network.apply(x.data(), features, rows, scratch.data(), out.data(), stride);
            for (std::size_t row = 0; row < rows; ++row) {
                const float *first = x.data() + row * features;
                const Vector expected = reference(tensors, blocks, Vector(first, first + features));
                for (std::size_t i = 0; i < width; ++i)
                    ASSERT_NEAR(out[row * stride + i], expected[i], 1e-5 * std::max(1.0, std::fabs(expected[i])))
                        << kernels->name << " " << blocks << " blocks, row " << row;
                for (std::size_t i = width; i < stride; ++i)
                    ASSERT_EQ(out[row * stride + i], 42) << "written between the rows";
            }
        }
    }
}

}  // namespace

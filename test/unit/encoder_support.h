// What the tests of the encoder room share: random tensors, and every kernel table of this machine.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "../../src/encoder/config.h"
#include "../../src/encoder/error.h"
#include "../../src/encoder/kernel.h"
#include "../../src/encoder/tensors.h"

namespace csp_test {

// The kernel tables that this machine can run: at least the baseline.
inline std::vector<const csp::Kernels *> all_kernels() {
    std::vector<const csp::Kernels *> tables;
    for (const char *name : {"AVX-512", "AVX2", "baseline"})
        if (const csp::Kernels *kernels = csp::find_kernels(name))
            tables.push_back(kernels);
    return tables;
}

inline std::vector<float> random_values(std::size_t n, float spread, unsigned seed) {
    std::mt19937 random(seed);
    std::uniform_real_distribution<float> uniform(-spread, spread);
    std::vector<float> values(n);
    for (float &value : values)
        value = uniform(random);
    return values;
}

inline csp::Tensor random_tensor(const std::vector<int64_t> &shape, float spread, unsigned seed) {
    std::size_t size = 1;
    for (int64_t extent : shape)
        size *= static_cast<std::size_t>(extent);
    return {shape, random_values(size, spread, seed)};
}

// The tensors of a location encoder with `features` inputs; weights of a size that keeps
// activations near 1, as trained ones do.
inline csp::TensorMap encoder_tensors(const csp::ModelConfig &config, int features, unsigned seed) {
    csp::TensorMap tensors;
    int64_t in = features;
    for (int i = 0; i <= config.hidden_layers; ++i) {
        const int64_t out = i < config.hidden_layers ? config.hidden_dim : config.embedding_dim;
        const std::string prefix = "spa_enc.ffn.layers." + std::to_string(i) + ".";
        const float spread = 1.7f / std::sqrt(static_cast<float>(in));
        tensors[prefix + "linear.weight"] = random_tensor({out, in}, spread, seed++);
        tensors[prefix + "linear.bias"] = random_tensor({out}, 0.5f, seed++);
        if (i < config.hidden_layers && config.layer_norm) {
            tensors[prefix + "layernorm.weight"] = random_tensor({out}, 1.5f, seed++);
            tensors[prefix + "layernorm.bias"] = random_tensor({out}, 0.5f, seed++);
        }
        in = out;
    }
    return tensors;
}

// Fails unless `action` throws a csp::Error of that kind; its message must follow PostgreSQL's style.
inline void expect_error(csp::ErrorKind kind, const std::function<void()> &action, const std::string &context = {}) {
    try {
        action();
    } catch (const csp::Error &error) {
        EXPECT_EQ(static_cast<int>(error.kind()), static_cast<int>(kind)) << context << ": " << error.message();
        ASSERT_FALSE(error.message().empty()) << context;
        EXPECT_NE(error.message().back(), '.') << error.message();
        if (!error.hint().empty()) {
            EXPECT_EQ(error.hint().back(), '.') << error.hint();
        }
        return;
    }
    ADD_FAILURE() << context << ": no error was thrown";
}

}  // namespace csp_test

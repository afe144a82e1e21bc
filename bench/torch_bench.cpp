// The location encoder of csp_ext beside the same network through LibTorch's C++ API, in turns in one process: how long
// one location takes and how long 1,024 do. Twice: with the position features of csp_ext's encoding on both sides (the
// network alone is compared), and with LibTorch computing the features too. Beside them, how long it takes merely to add up
// the network's weights: no single location can be faster where they do not fit into the first-level cache.
//
// The network is the published grid one: F = 64, 256 -> 512 -> 256. Usage: torch_bench [rounds]
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>

#include "../src/encoder/model.h"
#include "../src/encoder/position_encoding.h"

namespace {

csp::Tensor random_tensor(std::vector<int64_t> shape, std::mt19937 &random) {
    std::uniform_real_distribution<float> uniform(-0.06f, 0.06f);
    csp::Tensor tensor;
    std::size_t size = 1;
    for (int64_t extent : shape)
        size *= static_cast<std::size_t>(extent);
    tensor.shape = std::move(shape);
    tensor.values.resize(size);
    std::generate(tensor.values.begin(), tensor.values.end(), [&] { return uniform(random); });
    return tensor;
}

csp::TensorMap random_weights() {
    std::mt19937 random(1);
    csp::TensorMap tensors;
    for (const auto &[name, shape] : std::map<std::string, std::vector<int64_t>>{
             {"0.linear.weight", {512, 256}}, {"0.linear.bias", {512}}, {"0.layernorm.weight", {512}},
             {"0.layernorm.bias", {512}}, {"1.linear.weight", {256, 512}}, {"1.linear.bias", {256}}})
        tensors["spa_enc.ffn.layers." + name] = random_tensor(shape, random);
    return tensors;
}

// The network as somebody would write it with LibTorch in a server function.
class TorchEncoder {
public:
    TorchEncoder(const csp::ModelConfig &config, const csp::TensorMap &tensors)
        : encoding_(csp::make_position_encoding(config)) {
        const double ratio = std::log(config.max_radius / config.min_radius) / (config.frequencies - 1);
        wave_numbers_ = (at::arange(config.frequencies, at::kDouble) * -ratio).exp() / config.min_radius;
        for (const auto &[name, tensor] : tensors)
            weights_[name] = at::from_blob(const_cast<float *>(tensor.values.data()), tensor.shape).clone();
    }

    // With the features of csp_ext's encoding.
    void embed(const double *lonlat, std::size_t n, float *out) const {
        c10::InferenceMode no_gradients;
        at::Tensor x = at::empty({static_cast<int64_t>(n), encoding_->dim()});
        encoding_->encode(lonlat, n, x.data_ptr<float>());
        forward(x, n, out);
    }

    // With the grid's features from LibTorch as well, in float64 as the reference forms them.
    void embed_throughout(const double *lonlat, std::size_t n, float *out) const {
        c10::InferenceMode no_gradients;
        const auto rows = static_cast<int64_t>(n);
        const at::Tensor places = at::from_blob(const_cast<double *>(lonlat), {rows, 2}, at::kDouble);
        const at::Tensor angles = places.to(at::kFloat).to(at::kDouble).unsqueeze(2) * wave_numbers_;
        forward(at::stack({angles.sin(), angles.cos()}, 3).to(at::kFloat).reshape({rows, -1}), n, out);
    }

private:
    void forward(at::Tensor x, std::size_t n, float *out) const {
        x = at::leaky_relu(at::linear(x, get("0.linear.weight"), get("0.linear.bias")), 0.2);
        x = at::layer_norm(x, {512}, get("0.layernorm.weight"), get("0.layernorm.bias"));
        x = at::leaky_relu(at::linear(x, get("1.linear.weight"), get("1.linear.bias")), 0.2);
        std::copy_n(x.data_ptr<float>(), n * 256, out);
    }

    const at::Tensor &get(const char *name) const { return weights_.at(std::string("spa_enc.ffn.layers.") + name); }

    std::unique_ptr<csp::PositionEncoding> encoding_;
    std::map<std::string, at::Tensor> weights_;
    at::Tensor wave_numbers_;
};

// A sum of all values at the speed of the memory: eight chains of additions, vectors of 64 bytes.
__attribute__((target_clones("avx512f", "avx2", "default"))) float sum_of(const float *values, std::size_t n) {
    typedef float Floats __attribute__((vector_size(64), aligned(4)));
    Floats sums[8] = {};
    for (std::size_t i = 0; i + 128 <= n; i += 128)
#pragma GCC unroll 8
        for (std::size_t j = 0; j < 8; ++j)
            sums[j] += *reinterpret_cast<const Floats *>(values + i + 16 * j);
#pragma GCC unroll 8
    for (std::size_t j = 1; j < 8; ++j)
        sums[0] += sums[j];
    return sums[0][0] + sums[0][15];
}

template <typename Call>
double seconds_of(int calls, Call &&call) {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < calls; ++i)
        call();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() / calls;
}

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

float difference(const std::vector<float> &a, const std::vector<float> &b) {
    float result = 0;
    for (std::size_t i = 0; i < a.size(); ++i)
        result = std::max(result, std::abs(a[i] - b[i]));
    return result;
}

void report(const char *name, const std::vector<double> &own, const std::vector<double> &other, float apart) {
    std::vector<double> ratio;
    for (std::size_t i = 0; i < own.size(); ++i)
        ratio.push_back(own[i] / other[i]);
    std::printf("%-6s %10.2f %14.3f %7.3f %7.3f %12.1e  %s\n", "", median(other) * 1e6,
                *std::min_element(ratio.begin(), ratio.end()), median(ratio),
                *std::max_element(ratio.begin(), ratio.end()), apart, name);
}

}  // namespace

int main(int argc, char **argv) {
    const int rounds = argc > 1 ? std::max(3, std::atoi(argv[1])) : 51;
    at::set_num_threads(1);
    csp::ModelConfig config;
    config.frequencies = 64;
    config.min_radius = 0.005;
    config.max_radius = 360;
    config.activation = csp::Activation::leakyrelu;
    const csp::TensorMap tensors = random_weights();
    const csp::Model model(config, {}, tensors);
    const TorchEncoder torch(config, tensors);

    std::printf("%-6s %10s %30s %12s\n", "batch", "us", "csp_ext / it: min median max", "difference");
    for (std::size_t batch : {1, 16, 1024}) {
        std::vector<double> lonlat(2 * batch);
        std::mt19937 random(2);
        for (std::size_t i = 0; i < batch; ++i) {
            lonlat[2 * i] = std::uniform_real_distribution<double>(-180, 180)(random);
            lonlat[2 * i + 1] = std::uniform_real_distribution<double>(-90, 90)(random);
        }
        const int calls = static_cast<int>(std::max<std::size_t>(2, 2000 / batch));
        std::vector<float> ours(batch * 256), theirs(batch * 256), all_theirs(batch * 256);
        std::vector<double> a, b, c;
        for (int round = -2; round < rounds; ++round) {  // two to warm up
            const double own = seconds_of(calls, [&] { model.embed(lonlat.data(), batch, ours.data()); });
            const double network = seconds_of(calls, [&] { torch.embed(lonlat.data(), batch, theirs.data()); });
            const double all =
                seconds_of(calls, [&] { torch.embed_throughout(lonlat.data(), batch, all_theirs.data()); });
            if (round >= 0) {
                a.push_back(own);
                b.push_back(network);
                c.push_back(all);
            }
        }
        std::printf("%-6zu %10.2f  csp_ext\n", batch, median(a) * 1e6);
        report("LibTorch, same features", a, b, difference(ours, theirs));
        report("LibTorch throughout", a, c, difference(ours, all_theirs));
    }
    const std::vector<float> weights(2 * 256 * 512, 1e-9f);
    std::vector<double> reading;
    volatile float sink;
    for (int round = 0; round < rounds; ++round)
        reading.push_back(seconds_of(2000, [&] { sink = sum_of(weights.data(), weights.size()); }));
    std::printf("%-6s %10.2f  adding up %zu KB of weights\n", "", median(reading) * 1e6, weights.size() * 4 / 1024);
}

// The location encoder of csp_ext beside the same network through LibTorch's C++ API, in turns in one process: how long
// one location takes and how long 1,024 do. Position features come from the same encoding on both sides.
//
// The network is the published grid one: F = 64, 256 -> 512 -> 256. Usage: torch_bench [rounds]
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <chrono>
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
        for (const auto &[name, tensor] : tensors)
            weights_[name] = at::from_blob(const_cast<float *>(tensor.values.data()), tensor.shape).clone();
    }

    void embed(const double *lonlat, std::size_t n, float *out) const {
        c10::InferenceMode no_gradients;
        at::Tensor x = at::empty({static_cast<int64_t>(n), encoding_->dim()});
        encoding_->encode(lonlat, n, x.data_ptr<float>());
        x = at::leaky_relu(at::linear(x, get("0.linear.weight"), get("0.linear.bias")), 0.2);
        x = at::layer_norm(x, {512}, get("0.layernorm.weight"), get("0.layernorm.bias"));
        x = at::leaky_relu(at::linear(x, get("1.linear.weight"), get("1.linear.bias")), 0.2);
        std::copy_n(x.data_ptr<float>(), n * 256, out);
    }

private:
    const at::Tensor &get(const char *name) const { return weights_.at(std::string("spa_enc.ffn.layers.") + name); }

    std::unique_ptr<csp::PositionEncoding> encoding_;
    std::map<std::string, at::Tensor> weights_;
};

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

    std::printf("%-6s %16s %16s %30s %14s\n", "batch", "csp_ext us", "LibTorch us", "ratio min / median / max", "difference");
    for (std::size_t batch : {1, 16, 1024}) {
        std::vector<double> lonlat(2 * batch);
        std::mt19937 random(2);
        for (std::size_t i = 0; i < batch; ++i) {
            lonlat[2 * i] = std::uniform_real_distribution<double>(-180, 180)(random);
            lonlat[2 * i + 1] = std::uniform_real_distribution<double>(-90, 90)(random);
        }
        std::vector<float> ours(batch * 256), theirs(batch * 256);
        const int calls = static_cast<int>(std::max<std::size_t>(2, 2000 / batch));
        std::vector<double> a, b, ratio;
        for (int round = -2; round < rounds; ++round) {
            const double x = seconds_of(calls, [&] { model.embed(lonlat.data(), batch, ours.data()); });
            const double y = seconds_of(calls, [&] { torch.embed(lonlat.data(), batch, theirs.data()); });
            if (round < 0)
                continue;  // warm-up
            a.push_back(x * 1e6);
            b.push_back(y * 1e6);
            ratio.push_back(x / y);
        }
        float difference = 0;
        for (std::size_t i = 0; i < ours.size(); ++i)
            difference = std::max(difference, std::abs(ours[i] - theirs[i]));
        std::printf("%-6zu %16.2f %16.2f %12.3f / %.3f / %.3f %14.1e\n", batch, median(a), median(b),
                    *std::min_element(ratio.begin(), ratio.end()), median(ratio),
                    *std::max_element(ratio.begin(), ratio.end()), difference);
    }
}

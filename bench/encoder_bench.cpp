// Times e(x): microseconds a location and GFLOP/s for several batch sizes, on each instruction set
// that this machine has. The network is the published grid one: F = 64, 256 -> 512 -> 256.
//
// Usage: encoder_bench [repeats]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

#include "../src/encoder/kernel.h"
#include "../src/encoder/location_encoder.h"

namespace {

csp::ModelConfig bench_config() {
    csp::ModelConfig config;
    config.position_encoding = "grid";
    config.frequencies = 64;
    config.min_radius = 0.005;
    config.max_radius = 360;
    config.hidden_dim = 512;
    config.embedding_dim = 256;
    return config;
}

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

csp::TensorMap bench_tensors() {
    std::mt19937 random(1);
    const std::string prefix = "spa_enc.ffn.layers.";
    csp::TensorMap tensors;
    tensors[prefix + "0.linear.weight"] = random_tensor({512, 256}, random);
    tensors[prefix + "0.linear.bias"] = random_tensor({512}, random);
    tensors[prefix + "0.layernorm.weight"] = random_tensor({512}, random);
    tensors[prefix + "0.layernorm.bias"] = random_tensor({512}, random);
    tensors[prefix + "1.linear.weight"] = random_tensor({256, 512}, random);
    tensors[prefix + "1.linear.bias"] = random_tensor({256}, random);
    return tensors;
}

std::vector<double> random_locations(std::size_t n) {
    std::mt19937 random(2);
    std::uniform_real_distribution<double> uniform(-1, 1);
    std::vector<double> lonlat(2 * n);
    for (std::size_t i = 0; i < n; ++i) {
        lonlat[2 * i] = 180 * uniform(random);
        lonlat[2 * i + 1] = 90 * uniform(random);
    }
    return lonlat;
}

// Seconds of each repeat, sorted; a repeat embeds at least 1000 locations.
std::vector<double> time_batches(const csp::LocationEncoder &encoder, std::size_t batch, int repeats) {
    const std::vector<double> lonlat = random_locations(batch);
    std::vector<float> out(batch * encoder.embedding_dim());
    const std::size_t calls = std::max<std::size_t>(1, 1000 / batch);
    std::vector<double> seconds;
    for (int repeat = 0; repeat < repeats; ++repeat) {
        const auto start = std::chrono::steady_clock::now();
        for (std::size_t call = 0; call < calls; ++call)
            encoder.embed(lonlat.data(), nullptr, batch, out.data(), encoder.embedding_dim());
        const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
        seconds.push_back(elapsed.count() / static_cast<double>(calls));
    }
    std::sort(seconds.begin(), seconds.end());
    return seconds;
}

}  // namespace

int main(int argc, char **argv) {
    const int repeats = argc > 1 ? std::max(1, std::atoi(argv[1])) : 100;
    // A multiply-add counts as two operations; position encoding and layer norm are not counted.
    const double flop = 2.0 * (256 * 512 + 512 * 256);
    std::printf("%-10s %6s %14s %14s %14s %14s\n", "kernels", "batch", "us/loc (min)", "us/loc (med)", "GFLOP/s (max)",
                "GFLOP/s (med)");
    for (const char *name : {"AVX-512", "AVX2", "baseline"}) {
        const csp::Kernels *kernels = csp::find_kernels(name);
        if (!kernels)
            continue;
        const csp::LocationEncoder encoder(bench_config(), bench_tensors(), *kernels);
        for (std::size_t batch : {1, 16, 64, 1024}) {
            const std::vector<double> seconds = time_batches(encoder, batch, repeats);
            const double best = seconds.front() / static_cast<double>(batch);
            const double median = seconds[seconds.size() / 2] / static_cast<double>(batch);
            std::printf("%-10s %6zu %14.3f %14.3f %14.1f %14.1f\n", name, batch, best * 1e6, median * 1e6,
                        flop / best * 1e-9, flop / median * 1e-9);
        }
    }
}

// Times e(x) for several batch sizes on each instruction set that this machine has, and beside it what the machine gives at
// most: a loop of multiply-adds on registers, nothing else. All in turns, round by round, so that a disturbance meets all
// alike; the minimum and the median of the rounds are printed. Then the linear layers of other shapes.
//
// The network is the published grid one: F = 64, 256 -> 512 -> 256, leakyrelu, layer norm. Rows are written with a stride,
// as into array values with their headers. Usage: encoder_bench [rounds]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "../src/encoder/kernel.h"
#include "../src/encoder/linear.h"
#include "../src/encoder/location_encoder.h"

namespace {

// ---- the machine

// What 12 independent chains of multiply-adds on registers of `bytes` bytes give: more chains than an FMA's latency
// times the units that there are. The result is needed so that the loop is.
#define MULTIPLY_ADD_LOOP(name, instruction_set, bytes)                                                            \
    __attribute__((target(instruction_set), noinline)) float name(long steps, float factor, float summand) {       \
        typedef float Vector __attribute__((vector_size(bytes)));                                                  \
        const Vector f = factor - Vector{}, s = summand - Vector{};                                                \
        Vector a = f, b = f + 1, c = f + 2, d = f + 3, e = f + 4, g = f + 5;                                       \
        Vector h = f + 6, i = f + 7, j = f + 8, k = f + 9, l = f + 10, m = f + 11;                                 \
        for (long step = 0; step < steps; ++step) {                                                                \
            a = a * f + s, b = b * f + s, c = c * f + s, d = d * f + s, e = e * f + s, g = g * f + s;              \
            h = h * f + s, i = i * f + s, j = j * f + s, k = k * f + s, l = l * f + s, m = m * f + s;              \
        }                                                                                                          \
        return (a + b + c + d + e + g + h + i + j + k + l + m)[0];                                                 \
    }

#if defined(__x86_64__)
MULTIPLY_ADD_LOOP(multiply_add_avx512, "avx512f,fma", 64)
MULTIPLY_ADD_LOOP(multiply_add_avx2, "avx2,fma", 32)
#endif

double now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Seconds that 10^9 multiply-adds take at the least, by instruction set; 0 where there is no loop for it.
double seconds_of_a_billion(const std::string &kernels) {
    [[maybe_unused]] constexpr long steps = 100000;
    [[maybe_unused]] volatile float result;
    [[maybe_unused]] const double start = now();
#if defined(__x86_64__)
    if (kernels == "AVX-512") {
        result = multiply_add_avx512(steps, 0.999f, 0.001f);
        return (now() - start) * 1e9 / (12.0 * 16 * steps);
    }
    if (kernels == "AVX2") {
        result = multiply_add_avx2(steps, 0.999f, 0.001f);
        return (now() - start) * 1e9 / (12.0 * 8 * steps);
    }
#endif
    return 0;
}

// ---- the network

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

// ---- measuring

constexpr std::size_t gap = 6;  // floats between rows: the 24 bytes of an array's header

// Seconds of one call in each round.
struct Timings {
    std::vector<double> seconds;

    template <typename Call>
    void add(std::size_t calls, Call call) {
        const double start = now();
        for (std::size_t i = 0; i < calls; ++i)
            call();
        seconds.push_back((now() - start) / static_cast<double>(calls));
    }

    double least() const { return *std::min_element(seconds.begin(), seconds.end()); }

    double median() const {
        std::vector<double> sorted = seconds;
        std::sort(sorted.begin(), sorted.end());
        return sorted[sorted.size() / 2];
    }
};

std::vector<const csp::Kernels *> kernels_of_this_machine() {
    std::vector<const csp::Kernels *> tables;
    for (const char *name : {"AVX-512", "AVX2", "baseline"})
        if (const csp::Kernels *kernels = csp::find_kernels(name))
            tables.push_back(kernels);
    return tables;
}

// One instruction set: the encoder on it, and what was measured.
struct Contender {
    static constexpr std::size_t batches[] = {1, 4, 16, 64, 256, 1024, 4096, 8192};

    explicit Contender(const csp::Kernels &kernels)
        : name(kernels.name), encoder(bench_config(), bench_tensors(), kernels) {}

    void round(const std::vector<double> &lonlat, std::vector<float> &out) {
        if (const double seconds = seconds_of_a_billion(name); seconds > 0)
            machine.seconds.push_back(seconds);
        for (std::size_t b = 0; b < std::size(batches); ++b)
            timings[b].add(std::max<std::size_t>(1, 256 / batches[b]), [&] {
                encoder.embed(lonlat.data(), nullptr, batches[b], out.data(), encoder.embedding_dim() + gap);
            });
    }

    void print() const {
        // A multiply-add counts as two operations; position encoding, activation and layer norm are not counted.
        constexpr double flop = 2.0 * (256 * 512 + 512 * 256);
        const double most = machine.seconds.empty() ? 0 : 2 / machine.least();
        if (most > 0)
            std::printf("%-10s machine %57.1f %14.1f\n", name, most, 2 / machine.median());
        for (std::size_t b = 0; b < std::size(batches); ++b) {
            const double best = timings[b].least() / static_cast<double>(batches[b]);
            const double median = timings[b].median() / static_cast<double>(batches[b]);
            std::printf("%-10s %7zu %14.3f %14.3f %27.1f %14.1f", name, batches[b], best * 1e6, median * 1e6,
                        flop / best * 1e-9, flop / median * 1e-9);
            most > 0 ? std::printf(" %8.0f %%\n", 100 * flop / best * 1e-9 / most) : std::printf("\n");
        }
    }

    const char *name;
    csp::LocationEncoder encoder;
    Timings machine;
    Timings timings[std::size(batches)];
};

void time_encoder(int rounds) {
    const std::size_t most = Contender::batches[std::size(Contender::batches) - 1];
    const std::vector<double> lonlat = random_locations(most);
    std::vector<float> out(most * (256 + gap));
    std::vector<Contender> contenders;
    for (const csp::Kernels *kernels : kernels_of_this_machine())
        contenders.emplace_back(*kernels);
    for (int round = 0; round < rounds; ++round)
        for (Contender &contender : contenders)
            contender.round(lonlat, out);
    std::printf("%-10s %7s %14s %14s %27s %14s %10s\n", "kernels", "batch", "us/loc (min)", "us/loc (med)",
                "GFLOP/s (max)", "GFLOP/s (med)", "of machine");
    for (const Contender &contender : contenders)
        contender.print();
}

// GFLOP/s of one linear layer, the best of the rounds.
void time_layer(const csp::Kernels &kernels, int in, int out, int rounds) {
    std::mt19937 random(3);
    const csp::Linear layer(kernels, random_tensor({out, in}, random), nullptr);
    std::printf("%-10s %5d -> %4d ", kernels.name, in, out);
    for (const std::size_t rows : {1, 4, 16, 64, 256, 1024}) {
        const csp::Tensor x = random_tensor({static_cast<int64_t>(rows), in + static_cast<int>(gap)}, random);
        std::vector<float> y(rows * (static_cast<std::size_t>(out) + gap));
        const double flop = 2.0 * in * out * static_cast<double>(rows);
        Timings timings;
        for (int round = 0; round < rounds; ++round)
            timings.add(static_cast<std::size_t>(std::max(1.0, 1e7 / flop)), [&] {
                layer.apply_tall(x.values.data(), layer.in() + gap, rows, {false, csp::Activation::relu}, y.data(),
                                 layer.out() + gap);
            });
        std::printf(" %9.1f", flop / timings.least() * 1e-9);
    }
    std::printf("\n");
}

// Few classes, many classes, image features, and the layers of smaller and larger networks.
void time_layers(int rounds) {
    std::printf("\nlinear layers, GFLOP/s   rows: 1         4        16        64       256      1024\n");
    for (const csp::Kernels *kernels : kernels_of_this_machine())
        for (const auto &[in, out] : std::vector<std::pair<int, int>>{
                 {256, 3}, {256, 32}, {256, 45}, {256, 8142}, {2048, 256}, {64, 128}, {256, 256}, {1024, 1024}})
            time_layer(*kernels, in, out, rounds);
}

}  // namespace

int main(int argc, char **argv) {
    const int rounds = argc > 1 ? std::max(1, std::atoi(argv[1])) : 20;
    time_encoder(rounds);
    time_layers(rounds);
}

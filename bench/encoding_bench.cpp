// Times one position encoding on one thread, or shows what it computes.
//
//   encoding_bench NAME [FREQUENCIES]         locations a second: best and median of the rounds
//   encoding_bench NAME FREQUENCIES kernels   the same on each instruction set that this machine has
//   encoding_bench NAME FREQUENCIES config    its parameters, a line each
//   encoding_bench NAME FREQUENCIES dump      its features of 500 places, as float32 in the machine's byte order
//
// NAME is any name of an encoding; FREQUENCIES of 0 are as many as are usual for it.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "../src/encoder/error.h"
#include "../src/encoder/position_family.h"
#include "encoding_samples.h"

namespace {

constexpr std::size_t batch = 1024;
constexpr std::size_t dumped_places = 500;
constexpr int rounds = 5;
constexpr double round_seconds = 0.1;

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

// Locations a second of one round.
double time_round(const csp::PositionEncoding &encoding, const std::vector<double> &lonlat,
                  std::vector<float> &features) {
    std::size_t batches = 0;
    double elapsed = 0;
    for (const auto start = Clock::now(); elapsed < round_seconds; elapsed = seconds_since(start)) {
        for (int i = 0; i < 4; ++i)
            encoding.encode(lonlat.data(), batch, features.data());
        batches += 4;
    }
    return static_cast<double>(batches * batch) / elapsed;
}

void print_speed(const csp::ModelConfig &config, const csp::Kernels &kernels) {
    const auto encoding = csp::make_position_encoding(config, csp_bench::tensors_of(config), kernels);
    const std::vector<double> lonlat = csp_bench::places(batch);
    std::vector<float> features(batch * static_cast<std::size_t>(encoding->dim()));
    time_round(*encoding, lonlat, features);  // warms up
    std::vector<double> speeds;
    for (int round = 0; round < rounds; ++round)
        speeds.push_back(time_round(*encoding, lonlat, features));
    std::sort(speeds.begin(), speeds.end());
    std::printf("%s on %s: %d features, locations/s: best %.0f, median %.0f\n", config.position_encoding.c_str(),
                kernels.name, encoding->dim(), speeds.back(), speeds[speeds.size() / 2]);
}

void print_config(const csp::ModelConfig &config) {
    for (const auto &[key, value] : csp::config_to_metadata(config))
        std::printf("%s %s\n", key.c_str(), value.c_str());
}

bool dump(const csp::ModelConfig &config) {
    const auto encoding = csp_bench::encoding_of(config);
    const std::vector<double> lonlat = csp_bench::places(dumped_places);
    std::vector<float> features(dumped_places * static_cast<std::size_t>(encoding->dim()));
    encoding->encode(lonlat.data(), dumped_places, features.data());
    return std::fwrite(features.data(), sizeof(float), features.size(), stdout) == features.size();
}

void print_speed_of_kernels(const csp::ModelConfig &config) {
    for (const char *name : {"AVX-512", "AVX2", "baseline"})
        if (const csp::Kernels *kernels = csp::find_kernels(name))
            print_speed(config, *kernels);
}

// False if the mode is unknown, or could not be written.
bool run(const csp::ModelConfig &config, const std::string &mode) {
    if (mode == "dump")
        return dump(config);
    if (mode.empty())
        print_speed(config, csp::best_kernels());
    else if (mode == "kernels")
        print_speed_of_kernels(config);
    else if (mode == "config")
        print_config(config);
    else
        return false;
    return true;
}

}  // namespace

int main(int argc, char **argv) {
    if (argc < 2 || argc > 4) {
        std::fprintf(stderr, "usage: encoding_bench NAME [FREQUENCIES [kernels|config|dump]]\n");
        return 2;
    }
    try {
        const csp::ModelConfig config = csp_bench::config_of(argv[1], argc > 2 ? std::atoi(argv[2]) : 0);
        return run(config, argc > 3 ? argv[3] : "") ? 0 : 1;
    } catch (const csp::Error &error) {
        std::fprintf(stderr, "%s\n%s\n", error.message().c_str(), error.hint().c_str());
        return 1;
    }
}

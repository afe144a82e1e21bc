// How many places a second the encoder of a model file embeds by itself, in batches of 1,024, for a given time: what
// batched execution is measured against. Prints one number. Usage: batch_kernel FILE SECONDS
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <random>

#include "../src/encoder/model.h"

namespace {

constexpr std::size_t batch = 1024;

csp::Model read_file(const char *path) {
    std::ifstream file(path, std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(file)), {});
    return csp::Model::from_file(bytes.data(), bytes.size());
}

std::vector<double> random_places() {
    std::mt19937 random(1);
    std::uniform_real_distribution<double> uniform(-1, 1);
    std::vector<double> lonlat(2 * batch);
    for (std::size_t i = 0; i < lonlat.size(); i += 2) {
        lonlat[i] = 180 * uniform(random);
        lonlat[i + 1] = 90 * uniform(random);
    }
    return lonlat;
}

double places_per_second(const csp::Model &model, double seconds) {
    const std::vector<double> lonlat = random_places();
    std::vector<float> out(batch * static_cast<std::size_t>(model.config().embedding_dim));
    for (int i = 0; i < 4; ++i)
        model.embed(lonlat.data(), batch, out.data());
    const auto start = std::chrono::steady_clock::now();
    std::chrono::duration<double> elapsed{0};
    std::size_t places = 0;
    while (elapsed.count() < seconds) {
        model.embed(lonlat.data(), batch, out.data());
        places += batch;
        elapsed = std::chrono::steady_clock::now() - start;
    }
    return static_cast<double>(places) / elapsed.count();
}

}  // namespace

int main(int argc, char **argv) {
    if (argc != 3) {
        std::fprintf(stderr, "usage: batch_kernel FILE SECONDS\n");
        return 2;
    }
    try {
        std::printf("%.0f\n", places_per_second(read_file(argv[1]), std::atof(argv[2])));
    } catch (const csp::Error &error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
}

// How many rows a second a training step takes in, and how long what it cannot do without takes: the network and the
// objectives of training.py, over synthetic rows in memory.
//
//     torch_training [batch rows [threads [float32|bfloat16 [contrastive|supervised]]]]
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <random>
#include <string>

#include "../src/training/make_trainer.h"

namespace {

struct Rows {
    std::vector<double> lonlat;
    std::vector<float> features;
    std::vector<int32_t> classes;
    csp::TrainingData data;

    Rows(std::size_t count, int image_dim, int class_count) : lonlat(2 * count), features(count * static_cast<std::size_t>(image_dim)), classes(count) {
        std::mt19937 random(1);
        std::uniform_real_distribution<float> uniform(-1, 1);
        for (std::size_t i = 0; i < lonlat.size(); i += 2) lonlat[i] = 180 * uniform(random), lonlat[i + 1] = 90 * uniform(random);
        for (float &feature : features) feature = uniform(random);
        for (int32_t &number : classes) number = static_cast<int32_t>(random() % static_cast<unsigned>(class_count));
        data.rows = count;
        data.lonlat = lonlat.data();
        data.features = image_dim > 0 ? features.data() : nullptr;
        data.image_dim = image_dim;
        data.classes = class_count > 1 ? classes.data() : nullptr;
        data.class_count = class_count > 1 ? class_count : 0;
    }
};

csp::TrainingOptions options_of(int batch, int threads, bool bfloat16, bool supervised) {
    csp::TrainingOptions options;
    options.model.frequencies = 64;
    options.model.hidden_layers = 1;
    options.model.hidden_dim = 512;
    options.model.embedding_dim = 256;
    options.model.activation = csp::Activation::leakyrelu;
    options.batch_size = options.fine_tune_batch_size = batch;
    options.weight_dropout = 1;
    options.pretrain_epochs = supervised ? 0 : 1000;
    options.epochs = supervised ? 1000 : 0;
    options.loss = csp::SupervisedLoss::full_loss;
    options.threads = threads;
    options.precision = bfloat16 ? csp::Precision::bfloat16 : csp::Precision::float32;
    options.validation_fraction = 0;
    return options;
}

}  // namespace

int main(int count, char **arguments) {
    const auto argument = [&](int i, const char *otherwise) { return std::string(i < count ? arguments[i] : otherwise); };
    const int batch = std::stoi(argument(1, "1024")), threads = std::stoi(argument(2, "1"));
    const bool bfloat16 = argument(3, "float32") == "bfloat16", supervised = argument(4, "contrastive") == "supervised";
    const Rows rows(std::max<std::size_t>(8192, static_cast<std::size_t>(batch)), supervised ? 0 : 2048, supervised ? 8142 : 1);
    const auto trainer = csp::make_trainer(options_of(batch, threads, bfloat16, supervised), rows.data);
    csp::Progress progress;
    std::vector<double> rates;
    double loss = 0;
    const auto start = std::chrono::steady_clock::now();
    const std::clock_t cpu_start = std::clock();
    while (std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() < 8) {
        trainer->advance(1, progress);
        if (progress.epoch_finished) rates.push_back(static_cast<double>(rows.data.rows) / progress.metrics.seconds), loss = progress.metrics.loss;
    }
    const double cpu = static_cast<double>(std::clock() - cpu_start) / CLOCKS_PER_SEC;
    const double per_cpu = static_cast<double>(rates.size() * rows.data.rows) / cpu;
    std::sort(rates.begin(), rates.end());
    rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    const csp::TrainingOptions options = options_of(batch, threads, bfloat16, supervised);
    const auto estimate = csp::estimate_memory(options, static_cast<int64_t>(rows.data.rows), rows.data.image_dim, rows.data.class_count);
    std::printf("batch %d, threads %d, %s: %.0f rows/s (%.0f to %.0f), %.0f a processor second, loss %.4f; %ld MB at most, estimated %ld MB\n", batch, threads, bfloat16 ? "bfloat16" : "float32", rates[rates.size() / 2], rates.front(), rates.back(), per_cpu, loss, usage.ru_maxrss >> 10, static_cast<long>(estimate >> 20));
}

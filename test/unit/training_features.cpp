// Features packed into 16 bits, in memory and on file; a run that reads them from either.
#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include <cfloat>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <limits>
#include <thread>

#include "../../src/encoder/error.h"
#include "../../src/training/feature_store.h"
#include "../../src/training/make_trainer.h"
#include "../../src/training/samples.h"
#include "training_support.h"

namespace csp {
namespace {

using csp_test::error_of;
using csp_test::packed;
using csp_test::small_options;
using csp_test::ToyData;

// A file that is gone when it is closed.
int temporary_file() {
    char name[] = "/tmp/csp_features_XXXXXX";
    const int descriptor = mkstemp(name);
    EXPECT_GE(descriptor, 0) << std::strerror(errno);
    unlink(name);
    return descriptor;
}

void write_to(int descriptor, const char *bytes, std::size_t size) {
    ASSERT_EQ(write(descriptor, bytes, size), static_cast<ssize_t>(size));
}

std::shared_ptr<const FeatureStore> on_file(PackedRows rows) {
    const int descriptor = temporary_file();
    rows.drain([&](const char *bytes, std::size_t size) { write_to(descriptor, bytes, size); });
    return features_on_file(descriptor, std::move(rows));
}

uint16_t pack_one(FeatureStorage storage, float value) {
    uint16_t bits;
    pack_features(storage, &value, 1, reinterpret_cast<char *>(&bits));
    return bits;
}

float unpack_one(FeatureStorage storage, uint16_t bits) {
    float value;
    unpack_features(storage, reinterpret_cast<const char *>(&bits), 1, &value);
    return value;
}

// LibTorch's conversions are the reference.
TEST(FeaturePacking, EveryNumberOf16BitsIsItself) {
    for (uint32_t i = 0; i < 65536; ++i) {
        const auto bits = static_cast<uint16_t>(i);
        const float half = c10::Half(bits, c10::Half::from_bits()), brain = c10::BFloat16(bits, c10::BFloat16::from_bits());
        if (std::isfinite(half)) {
            ASSERT_EQ(unpack_one(FeatureStorage::float16, bits), half) << i;
            ASSERT_EQ(pack_one(FeatureStorage::float16, half), bits);
        }
        if (std::isfinite(brain)) {
            ASSERT_EQ(unpack_one(FeatureStorage::bfloat16, bits), brain) << i;
            ASSERT_EQ(pack_one(FeatureStorage::bfloat16, brain), bits);
        }
    }
}

TEST(FeaturePacking, RoundsToTheNearestTiesToEven) {
    RandomStream random(1, RandomPurpose::order);
    std::vector<float> values = {0.0f, -0.0f, 1.0f, 1 + 0x1p-11f, 1 + 3 * 0x1p-11f, 0x1p-25f, 0x1.8p-25f, 3 * 0x1p-25f, 0x1p-14f - 0x1p-26f, 65519.99f};
    for (int i = 0; i < 200000; ++i) {
        const float value = static_cast<float>(std::ldexp(random.uniform() - 0.5, static_cast<int>(random.below(44)) - 28));
        values.push_back(value);
    }
    for (const float value : values) {
        ASSERT_EQ(pack_one(FeatureStorage::float16, value), c10::Half(value).x) << value;
        ASSERT_EQ(pack_one(FeatureStorage::bfloat16, value), c10::BFloat16(value).x) << value;
    }
}

TEST(FeaturePacking, WhatAStorageCannotHoldIsAnError) {
    EXPECT_EQ(pack_one(FeatureStorage::float16, 65519.0f), 0x7bff);
    const float limit = std::nextafter(0x1.ffp127f, 0.0f);
    EXPECT_EQ(pack_one(FeatureStorage::bfloat16, limit), 0x7f7f);
    std::vector<float> values = {1, -65520, 3};
    char room[12];
    const Error half = error_of([&] { pack_features(FeatureStorage::float16, values.data(), 3, room); });
    EXPECT_EQ(half.kind(), ErrorKind::invalid_data);
    EXPECT_NE(half.detail().find("Element 2 is -65520"), std::string::npos) << half.detail();
    EXPECT_NE(half.hint().find("bfloat16"), std::string::npos);
    pack_features(FeatureStorage::bfloat16, values.data(), 3, room);
    values[2] = FLT_MAX;
    EXPECT_EQ(error_of([&] { pack_features(FeatureStorage::bfloat16, values.data(), 3, room); }).kind(), ErrorKind::invalid_data);
    pack_features(FeatureStorage::float32, values.data(), 3, room);
    for (float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity()})
        for (FeatureStorage storage : {FeatureStorage::float32, FeatureStorage::float16, FeatureStorage::bfloat16}) {
            values[0] = bad;
            const Error error = error_of([&] { pack_features(storage, values.data(), 3, room); });
            EXPECT_NE(error.message().find("NaN"), std::string::npos) << error.message();
        }
}

// Rows over several chunks of memory: of 700 features each, so that some 1,500 or 3,000 make one.
struct Large {
    static constexpr int dim = 700;
    static constexpr std::size_t rows = 7000;
    std::vector<float> values = std::vector<float>(dim * rows);

    Large() {
        RandomStream random(3, RandomPurpose::order);
        for (float &value : values) value = static_cast<float>(random.uniform() - 0.5);
    }

    // What a store of these gives for a row.
    std::vector<float> expected(const RowIds &ids, FeatureStorage storage) const {
        std::vector<float> features;
        for (int64_t id : ids)
            for (int k = 0; k < dim; ++k) {
                const float value = values[static_cast<std::size_t>(id * dim + k)];
                features.push_back(storage == FeatureStorage::float32 ? value : unpack_one(storage, pack_one(storage, value)));
            }
        return features;
    }
};

std::vector<float> read(const FeatureStore &store, const RowIds &ids, int dim) {
    std::vector<float> features(ids.size() * static_cast<std::size_t>(dim));
    store.read(ids.data(), ids.size(), features.data());
    return features;
}

TEST(FeatureStore, GivesRowsInAnyOrderFromMemoryAndFile) {
    const Large data;
    RandomStream random(4, RandomPurpose::order);
    RowIds ids = {0, Large::rows - 1, 5, 5, 1497, 1498, 1499, 3000};
    for (int64_t i = 0; i < 900; ++i) ids.push_back(4000 + i);  // neighbours: more than a piece
    for (int i = 0; i < 500; ++i) ids.push_back(static_cast<int64_t>(random.below(Large::rows)));
    for (FeatureStorage storage : {FeatureStorage::float32, FeatureStorage::float16, FeatureStorage::bfloat16}) {
        const auto memory = features_in_memory(packed(data.values, Large::dim, storage));
        const auto file = on_file(packed(data.values, Large::dim, storage));
        const std::vector<float> expected = data.expected(ids, storage);
        EXPECT_EQ(read(*memory, ids, Large::dim), expected);
        EXPECT_EQ(read(*file, ids, Large::dim), expected);
        file->announce(ids.data(), ids.size());
        EXPECT_EQ(memory->checksum(), file->checksum());
        EXPECT_FALSE(memory->worth_prefetching());
        EXPECT_TRUE(file->worth_prefetching());
    }
}

TEST(FeatureStore, RowsMayBeDrainedWhileTheyCome) {
    const Large data;
    PackedRows rows(FeatureStorage::float16, Large::dim);
    const int descriptor = temporary_file();
    for (std::size_t i = 0; i < Large::rows; ++i) {
        rows.append(data.values.data() + i * Large::dim);
        if (i % 1001 == 0) rows.drain([&](const char *bytes, std::size_t size) { write_to(descriptor, bytes, size); });
    }
    EXPECT_EQ(rows.held_bytes(), (Large::rows - 6 * 1001 - 1) * Large::dim * 2);
    rows.drain([&](const char *bytes, std::size_t size) { write_to(descriptor, bytes, size); });
    EXPECT_EQ(rows.held_bytes(), 0u);
    EXPECT_EQ(rows.size(), Large::rows);
    const std::string checksum = rows.checksum();
    EXPECT_EQ(checksum, packed(data.values, Large::dim, FeatureStorage::float16).checksum());
    const auto file = features_on_file(descriptor, std::move(rows));
    EXPECT_EQ(file->checksum(), checksum);
    const RowIds ids = {6999, 1, 1000, 1001, 1002};
    EXPECT_EQ(read(*file, ids, Large::dim), data.expected(ids, FeatureStorage::float16));
}

TEST(FeatureStore, ChecksumsTellRowsApart) {
    std::vector<float> values = {1, 2, 3, 4, 5, 6};
    const std::string sum = packed(values, 2).checksum();
    EXPECT_EQ(sum, packed(values, 2).checksum());
    EXPECT_NE(sum, packed(values, 3).checksum());
    EXPECT_NE(sum, packed(values, 2, FeatureStorage::float16).checksum());
    std::swap(values[0], values[2]);
    EXPECT_NE(sum, packed(values, 2).checksum());
}

TEST(FeatureStore, AFileThatIsTooShortIsAnError) {
    const Large data;
    PackedRows rows = packed(data.values, Large::dim);
    const int descriptor = temporary_file();
    rows.drain([&](const char *bytes, std::size_t size) { write_to(descriptor, bytes, size); });
    ASSERT_EQ(ftruncate(descriptor, static_cast<off_t>(Large::rows * Large::dim * 4 - 1)), 0);
    const auto file = features_on_file(descriptor, std::move(rows));
    EXPECT_EQ(read(*file, {0}, Large::dim), data.expected({0}, FeatureStorage::float32));
    const Error error = error_of([&] { read(*file, {Large::rows - 1}, Large::dim); });
    EXPECT_EQ(error.kind(), ErrorKind::io_error);
    EXPECT_EQ(error.detail(), "It is too short.");
}

// ---- order ----------------------------------------------------------------------------------------------------------

RowIds numbers(std::size_t count) {
    RowIds rows;
    for (std::size_t i = 0; i < count; ++i) rows.push_back(static_cast<int64_t>(i));
    return rows;
}

RandomStream order(int64_t seed) { return RandomStream(seed, RandomPurpose::order); }

RowIds shuffled(std::size_t count, const ShuffleWindows &windows, int64_t seed = 1) {
    RandomStream random = order(seed);
    RowIds rows = numbers(count);
    shuffle(rows, windows, random);
    return rows;
}

TEST(ShuffleWindows, EveryRowComesOnceWhateverTheSizes) {
    for (const std::size_t count : {1u, 2u, 99u, 100u, 101u, 1000u, 4567u})
        for (const ShuffleWindows windows : {ShuffleWindows{}, ShuffleWindows{1, 10}, ShuffleWindows{7, 100}, ShuffleWindows{100, 100},
                                             ShuffleWindows{10, 5000}, ShuffleWindows{5000, 300}})
            for (int64_t seed = 0; seed < 5; ++seed) {
                RowIds rows = shuffled(count, windows, seed);
                EXPECT_EQ(rows, shuffled(count, windows, seed));
                std::sort(rows.begin(), rows.end());
                ASSERT_EQ(rows, numbers(count));
            }
    EXPECT_NE(shuffled(1000, {7, 100}, 1), shuffled(1000, {7, 100}, 2));
}

TEST(ShuffleWindows, WithoutThemTheOrderIsAPlainShuffle) {
    RandomStream random = order(1);
    EXPECT_EQ(shuffled(1000, {}), random.permutation(1000));
    EXPECT_EQ(shuffled(1000, {10, 2000}), shuffled(1000, {})) << "one window is all";
}

// As blocks come from everywhere, batches of a table that lies in order of place are about as mixed as those of a plain shuffle.
TEST(ShuffleWindows, BatchesComeFromAllOverTheData) {
    constexpr std::size_t count = 200000, block = 50, window = 25000, batch = 250;
    const auto spread_of_means = [&](const RowIds &rows) {
        double squares = 0;
        for (std::size_t begin = 0; begin < count; begin += batch) {
            double mean = 0;
            for (std::size_t i = begin; i < begin + batch; ++i) mean += static_cast<double>(rows[i]) / batch;
            squares += std::pow(mean - count / 2.0, 2);
        }
        return std::sqrt(squares / (count / batch));
    };
    const RowIds windowed = shuffled(count, {block, window});
    // Within a window: 500 blocks and the parts that its borders cut off.
    for (std::size_t begin = 0; begin < count; begin += window) {
        RowIds rows(windowed.begin() + static_cast<std::ptrdiff_t>(begin), windowed.begin() + static_cast<std::ptrdiff_t>(begin + window));
        std::sort(rows.begin(), rows.end());
        int pieces = 1;
        for (std::size_t i = 1; i < window; ++i) pieces += rows[i] != rows[i - 1] + 1;
        EXPECT_LE(pieces, 502);
        EXPECT_GE(pieces, 400);
    }
    EXPECT_LT(spread_of_means(windowed), 1.5 * spread_of_means(shuffled(count, {})));
    EXPECT_GT(spread_of_means(numbers(count)), 10 * spread_of_means(windowed));
}

TEST(Epoch, TellsWhichRowsAreReadSoon) {
    RandomStream random = order(1);
    const Epoch plain(numbers(1000), 100, random);
    EXPECT_EQ(plain.rows_ahead(0), plain.batch(1));
    EXPECT_EQ(plain.rows_ahead(8), plain.batch(9));
    EXPECT_TRUE(plain.rows_ahead(9).empty());
    const Epoch windowed(numbers(1000), 100, random, {10, 250});  // batches of the windows: 0 1 2, 3 4, 5 6 7, 8 9
    std::vector<std::size_t> ahead;
    for (int64_t i = 0; i < windowed.batches(); ++i) ahead.push_back(windowed.rows_ahead(i).size());
    EXPECT_EQ(ahead, (std::vector<std::size_t>{500, 0, 0, 250, 0, 250, 0, 0, 0, 0}));
    const RowIds next = windowed.rows_ahead(3), batch = windowed.batch(6);
    for (int64_t row : batch) EXPECT_EQ(std::count(next.begin(), next.end(), row), 1);
}

TEST(Options, WindowsAreAMatterOfTheFeaturesSize) {
    TrainingOptions options;
    EXPECT_FALSE(shuffles_in_windows(options, 1000000, 2047));
    EXPECT_TRUE(shuffles_in_windows(options, 1 << 20, 2048));
    options.feature_storage = FeatureStorage::float16;
    EXPECT_FALSE(shuffles_in_windows(options, 1 << 20, 2048));
    options.shuffle = Shuffle::windows;
    EXPECT_TRUE(shuffles_in_windows(options, 10, 1));
    options.shuffle = Shuffle::full;
    EXPECT_FALSE(shuffles_in_windows(options, INT64_MAX / 2, 1 << 20));
}

TEST(Options, StreamingAndSmallStorageLowerTheMemoryEstimate) {
    TrainingOptions options;
    const auto estimate = [&](KeptInMemory kept = {}) { return estimate_memory(options, 1000000, 512, 10, 0, kept); };
    const int64_t features = int64_t{1000000} * 512 * 4, in_memory = estimate();
    EXPECT_GT(in_memory, features);
    EXPECT_LT(estimate({false, true}), in_memory - features + (64 << 20));
    EXPECT_LE(estimate({false, false}), estimate({false, true}));
    options.feature_storage = FeatureStorage::float16;
    EXPECT_EQ(in_memory - estimate(), features / 2);
}

// ---- samples and trainer ----------------------------------------------------------------------------------------------

TEST(Samples, GiveTheSameImagesWithPrefetchAndWithout) {
    const ToyData toy(500);
    TrainingData data = toy.view();
    const at::TensorOptions device = at::TensorOptions(at::kCPU).dtype(at::kFloat);
    const Samples plain(data, ModelConfig(), device);
    data.features = on_file(packed(toy.features, 8));
    Samples samples(data, ModelConfig(), device);
    RandomStream random = order(1);
    const Epoch epoch(numbers(500), 64, random);
    for (int64_t i = 0; i < epoch.batches(); ++i) {
        samples.prefetch(epoch, i);
        const RowIds rows = epoch.batch(i);
        EXPECT_TRUE(at::equal(samples.images(rows), plain.images(rows)));
        std::vector<std::thread> lanes;
        std::vector<at::Tensor> parts(4);
        const std::size_t lane = rows.size() / 4;
        const auto part = [&](std::size_t k) {
            return RowIds(rows.begin() + static_cast<std::ptrdiff_t>(k * lane), rows.begin() + static_cast<std::ptrdiff_t>((k + 1) * lane));
        };
        for (std::size_t k = 0; k < 4; ++k) lanes.emplace_back([&, k] { parts[k] = samples.images(part(k)); });
        for (std::thread &thread : lanes) thread.join();
        for (std::size_t k = 0; k < 4; ++k) EXPECT_TRUE(at::equal(parts[k], plain.images(part(k))));
        const RowIds others = {499, 0, 499};
        EXPECT_TRUE(at::equal(samples.images(others), plain.images(others)));
    }
}

TEST(Samples, AnErrorOfTheReadingThreadIsThatOfTheBatch) {
    const ToyData toy(500);
    TrainingData data = toy.view();
    PackedRows rows = packed(toy.features, 8);
    rows.drain([](const char *, std::size_t) {});
    data.features = features_on_file(temporary_file(), std::move(rows));
    Samples samples(data, ModelConfig(), at::TensorOptions(at::kCPU).dtype(at::kFloat));
    RandomStream random = order(1);
    const Epoch epoch(numbers(500), 64, random);
    samples.prefetch(epoch, 0);
    samples.prefetch(epoch, 1);
    EXPECT_EQ(error_of([&] { samples.images(epoch.batch(1)); }).kind(), ErrorKind::io_error);
}

TensorMap train(const TrainingOptions &options, const TrainingData &data, const std::string &checkpoint = {}) {
    const auto trainer = make_trainer(options, data, checkpoint);
    for (Progress progress; trainer->advance(0.05, progress);) {
    }
    return trainer->finish().tensors;
}

void expect_equal(const TensorMap &a, const TensorMap &b) {
    ASSERT_EQ(a.size(), b.size());
    for (const auto &[name, tensor] : a) EXPECT_EQ(tensor.values, b.at(name).values) << name;
}

TEST(Trainer, GivesTheSameModelFromMemoryAndFromFile) {
    const ToyData toy(400);
    for (FeatureStorage storage : {FeatureStorage::float32, FeatureStorage::float16, FeatureStorage::bfloat16}) {
        TrainingOptions options = small_options();
        options.pretrain_epochs = options.epochs = 3;
        options.weight_contrastive = 0.5;
        options.feature_storage = storage;
        TrainingData memory = toy.view();
        memory.features = features_in_memory(packed(toy.features, 8, storage));
        TrainingData file = memory;
        file.features = on_file(packed(toy.features, 8, storage));
        const TensorMap expected = train(options, memory);
        expect_equal(expected, train(options, file));
        file.keep_position_features = false;
        expect_equal(expected, train(options, file));

        // Begun in memory, resumed from a file.
        const auto begun = make_trainer(options, memory);
        Progress progress;
        for (int step = 0; step < 9; ++step) begun->advance(0, progress);
        expect_equal(expected, train(options, file, begun->checkpoint()));
    }
}

TEST(Trainer, ResumesInTheMiddleOfWindows) {
    // Wide enough for two windows, in a file of holes.
    constexpr int dim = 8192, told = 64;
    constexpr std::size_t count = 14000;
    ToyData toy(count);
    RandomStream random = order(5);
    const int descriptor = temporary_file();
    PackedRows rows(FeatureStorage::bfloat16, dim);
    std::vector<float> row(dim);
    for (std::size_t i = 0; i < count; ++i) {
        for (int k = 0; k < told; ++k) row[static_cast<std::size_t>(k)] = static_cast<float>(random.uniform());
        rows.append(row.data());
        rows.drain([&](const char *bytes, std::size_t size) {
            ASSERT_EQ(pwrite(descriptor, bytes, told * 2, static_cast<off_t>(i * size)), told * 2);
        });
    }
    ASSERT_EQ(ftruncate(descriptor, static_cast<off_t>(count) * dim * 2), 0);
    TrainingData data = toy.view();
    data.classes = nullptr;
    data.class_count = 0;
    data.image_dim = dim;
    data.features = features_on_file(descriptor, std::move(rows));
    TrainingOptions options = small_options();
    options.batch_size = 256;
    options.pretrain_epochs = 1;
    options.feature_storage = FeatureStorage::bfloat16;
    const TensorMap full = train(options, data);
    options.shuffle = Shuffle::windows;
    const auto trainer = make_trainer(options, data);
    Progress progress;
    for (int step = 0; step < 40; ++step) trainer->advance(0, progress);  // in the second window
    const std::string checkpoint = trainer->checkpoint();
    while (trainer->advance(0.05, progress)) {
    }
    const TensorMap windows = trainer->finish().tensors;
    expect_equal(windows, train(options, data, checkpoint));
    EXPECT_NE(windows.begin()->second.values, full.begin()->second.values) << "the order is another";
}

}  // namespace
}  // namespace csp

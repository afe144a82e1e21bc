// What there is to compute on, and the batch that fits into it.
#include <ATen/Context.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "../../src/encoder/error.h"
#include "../../src/training/cuda_driver.h"
#include "../../src/training/device.h"
#include "../../src/training/fitting_batch.h"
#include "../../src/training/hardware.h"
#include "../../src/training/make_trainer.h"
#include "../../src/training/options.h"
#include "../../src/training/torch_guard.h"
#include "host_device.h"
#include "training_support.h"

namespace csp {
namespace {

using csp_test::error_of;
using csp_test::host_device;
using csp_test::small_options;
using csp_test::ToyData;

const std::string driver = CSP_TEST_LIBRARIES "/host_cuda_driver.so";

TEST(Hardware, DevicesAreThoseOfTheDriver) {
    const auto devices = list_cuda_devices(driver.c_str(), driver.c_str());
    ASSERT_EQ(devices.size(), 2u);
    EXPECT_EQ(devices[0].name, "Device of handle 70");
    EXPECT_EQ(devices[1].name, "Device of handle 71");
    EXPECT_EQ(devices[0].memory, int64_t{16} << 30);
    EXPECT_EQ(devices[1].memory, int64_t{32} << 30);
    for (const CudaDevice &device : devices) {
        EXPECT_EQ(device.memory_free, int64_t{5} << 30);  // found by the name of a device and of a slice
        EXPECT_EQ(device.capability_major, 9);
        EXPECT_EQ(device.capability_minor, 1);
    }
}

TEST(Hardware, WithoutADriverThereAreNone) {
    EXPECT_TRUE(list_cuda_devices("libnone.so", driver.c_str()).empty());
    const auto devices = list_cuda_devices(driver.c_str(), "libnone.so");
    ASSERT_EQ(devices.size(), 2u);
    EXPECT_EQ(devices[0].memory_free, -1);
}

TEST(Hardware, TheCpuIsAlwaysThere) {
    const auto devices = list_devices();
    ASSERT_FALSE(devices.empty());
    EXPECT_EQ(devices[0].device, "cpu");
    EXPECT_NE(devices[0].text.find(" core"), std::string::npos) << devices[0].text;
    EXPECT_GT(devices[0].memory, devices[0].memory_free);
    EXPECT_GT(devices[0].memory_free, 0);
    EXPECT_GT(free_memory("cpu"), 0);
    EXPECT_GT(free_memory("auto"), 0);
    EXPECT_EQ(devices.size(), std::size_t(1 + cuda_device_count()));
    EXPECT_NO_THROW(require_device("cpu"));
    EXPECT_NO_THROW(require_device("auto"));
}

TEST(Hardware, ADeviceThatIsNotThereIsAnErrorWithThoseThatAre) {
    const std::string none = "cuda:" + std::to_string(cuda_device_count());
    const Error error = error_of([&] { require_device(none); });
    EXPECT_EQ(error.kind(), ErrorKind::not_supported);
    EXPECT_NE(error.detail().find("Available: cpu"), std::string::npos) << error.detail();
    EXPECT_NE(error_of([&] { tensor_options(none); }).detail().find("can use: cpu"), std::string::npos);
}

TEST(FittingBatch, IsTheLargestThatFits) {
    const auto square = [](int batch) { return int64_t{1000} + int64_t{4} * batch * batch; };
    EXPECT_EQ(fitting_batch_size(512, square(100), square), 100);
    EXPECT_EQ(fitting_batch_size(512, square(101) - 1, square), 100);
    EXPECT_EQ(fitting_batch_size(512, square(2), square), 2);
    EXPECT_EQ(fitting_batch_size(512, square(2) - 1, square), 0) << "nothing fits";
    EXPECT_EQ(fitting_batch_size(2, square(512), square), 0) << "there is none below the smallest";
}

TEST(FittingBatch, IsBelowTheOneThatFailedWhateverTheEstimateSays) {
    const auto linear = [](int batch) { return int64_t{10} * batch; };
    EXPECT_EQ(fitting_batch_size(1000, int64_t{1} << 40, linear), 900);
    EXPECT_EQ(fitting_batch_size(1000, -1, linear), 900) << "memory unknown";
    const auto mostly_fixed = [](int batch) { return int64_t{1000000} + batch; };
    EXPECT_EQ(fitting_batch_size(1000, -1, mostly_fixed), 0);
}

TEST(FittingBatch, OfARealRun) {
    TrainingOptions options;
    const auto estimate = [&](int batch) {
        options.batch_size = batch;
        return estimate_memory(options, 100000, 2048, 100);
    };
    const int64_t memory = estimate(3000);
    EXPECT_EQ(fitting_batch_size(16384, memory, estimate), 3000);
}

// As LibTorch 1.13 and 2.6 say it.
TEST(Guard, MemoryOfTheDeviceThatRunsOutIsToldApart) {
    for (const char *text : {"CUDA out of memory. Tried to allocate 2.00 GiB (GPU 0; 79.20 GiB total capacity; 76.10 GiB already "
                             "allocated; 1.50 GiB free; 76.50 GiB reserved in total by PyTorch)",
                             "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.20 GiB of which "
                             "1.50 GiB is free.",
                             "CUDA error: out of memory", "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
                             "[enforce fail at alloc_cpu.cpp:75] err == 0. DefaultCPUAllocator: can't allocate memory: you tried "
                             "to allocate 4503599627370496 bytes. Error code 12 (Cannot allocate memory)"}) {
        const Error error = error_of([&] { guarded([&] { TORCH_CHECK(false, text); }); });
        EXPECT_EQ(error.kind(), ErrorKind::out_of_memory) << text;
        EXPECT_EQ(error.detail(), text);
    }
}

// ---- deterministic --------------------------------------------------------------------------------

TensorMap trained_on(const at::TensorOptions &device, const TrainingOptions &options, const TrainingData &data) {
    const auto trainer = make_trainer_on(device, options, data);
    Progress progress;
    while (trainer->advance(10, progress)) continue;
    return trainer->finish().tensors;
}

void expect_equal_bits(const TensorMap &a, const TensorMap &b) {
    ASSERT_EQ(a.size(), b.size());
    for (const auto &[name, tensor] : a) EXPECT_EQ(tensor.values, b.at(name).values) << name;
}

TEST(Deterministic, RunsGiveTheSameBitsOnBothDevices) {
    const ToyData toy(150);
    TrainingOptions plain = small_options();
    plain.pretrain_epochs = plain.epochs = 2;
    TrainingOptions deterministic = plain;
    deterministic.deterministic = true;
    for (const at::TensorOptions &device : {tensor_options("cpu"), host_device()}) {
        const TensorMap first = trained_on(device, deterministic, toy.view());
        expect_equal_bits(first, trained_on(device, deterministic, toy.view()));
    }
    const TensorMap first = trained_on(tensor_options("cpu"), plain, toy.view());
    expect_equal_bits(first, trained_on(tensor_options("cpu"), plain, toy.view()));
}

TEST(Deterministic, IsToldToLibTorchForThisRunAlone) {
    const ToyData toy(50);
    TrainingOptions options = small_options();
    options.deterministic = true;
    make_trainer(options, toy.view());
    EXPECT_TRUE(at::globalContext().deterministicAlgorithms());
    EXPECT_STRNE(std::getenv("CUBLAS_WORKSPACE_CONFIG"), nullptr);
    options.deterministic = false;
    make_trainer(options, toy.view());
    EXPECT_FALSE(at::globalContext().deterministicAlgorithms());
}

}  // namespace
}  // namespace csp

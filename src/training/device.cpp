// Devices, threads and the BLAS behind LibTorch.
#include "device.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <c10/core/Device.h>
#include <dlfcn.h>
#include <malloc.h>
#include <torch/cuda.h>
#include <torch/version.h>

#include <climits>
#include <cstdlib>

#include "../encoder/error.h"

namespace csp {
namespace {

// The file that sgemm_ resolves to, links followed: Debian's alternatives make libblas.so.3 a
// link to OpenBLAS, to the reference BLAS or to another. Empty if it cannot be told.
std::string blas_file() {
    Dl_info info;
    char path[PATH_MAX];
    void *sgemm = dlsym(RTLD_DEFAULT, "sgemm_");
    if (!sgemm || !dladdr(sgemm, &info) || !info.dli_fname || !realpath(info.dli_fname, path)) return {};
    return path;
}

// A function of the library that sgemm_ comes from; null if it has none of this name. Asked
// of that very library: LibTorch also loads OpenBLAS beside a reference BLAS, through LAPACK.
template <class Function>
Function *blas_function(const char *name) {
    void *library = dlopen(blas_file().c_str(), RTLD_LAZY | RTLD_NOLOAD);
    if (!library) return nullptr;
    void *function = dlsym(library, name);
    dlclose(library);  // only the reference: LibTorch keeps it loaded
    return reinterpret_cast<Function *>(function);
}

// What LibTorch itself can use decides: a driver may be there that is too old for it.
void require_torch_device(const std::string &device, int index) {
    const int devices = cuda_device_count();
    if (index < devices) return;
    std::string available = "cpu";
    for (int i = 0; i < devices; ++i) available += ", cuda:" + std::to_string(i);
    throw Error(ErrorKind::not_supported, "device \"" + device + "\" is not available",
                "LibTorch " + torch_version_name() + " can use: " + available + ".",
                "Set the option device to one of these, or to auto, or install a LibTorch with CUDA and its driver.");
}

}  // namespace

at::TensorOptions tensor_options(const std::string &device) {
    if (device == "cpu" || (device == "auto" && cuda_device_count() == 0))
        return at::TensorOptions(at::kCPU).dtype(at::kFloat);
    const int index = device.rfind("cuda:", 0) == 0 ? std::stoi(device.substr(5)) : 0;
    require_torch_device(device, index);
    return at::TensorOptions(at::Device(at::kCUDA, static_cast<at::DeviceIndex>(index))).dtype(at::kFloat);
}

void set_deterministic(bool deterministic) {
    at::globalContext().setDeterministicAlgorithms(deterministic, false);
    at::globalContext().setDeterministicCuDNN(deterministic);
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 2)
    // Memory that nobody has written to is never read here.
    at::globalContext().setDeterministicFillUninitializedMemory(false);
#endif
    // cuBLAS reads it when its handle is made, with the first product.
    if (deterministic) setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", 0);
}

void prepare_process() {
    auto *set_blas_threads = blas_function<void(int)>("openblas_set_num_threads");
    if (set_blas_threads) set_blas_threads(1);
    at::set_num_threads(1);
    constexpr int megabyte = 1 << 20;
    mallopt(M_MMAP_THRESHOLD, 32 * megabyte);  // the most that glibc takes
    mallopt(M_TRIM_THRESHOLD, 512 * megabyte);
    mallopt(M_TOP_PAD, 16 * megabyte);
}

int cuda_device_count() { return static_cast<int>(torch::cuda::device_count()); }

std::string torch_version_name() {
    return std::to_string(TORCH_VERSION_MAJOR) + '.' + std::to_string(TORCH_VERSION_MINOR) + '.' +
           std::to_string(TORCH_VERSION_PATCH);
}

std::string blas_name() {
    const std::string file = blas_file();
    std::string name = file.find("mkl") != std::string::npos ? "MKL" : "BLAS";
    if (auto *config = blas_function<char *()>("openblas_get_config")) {
        const std::string text = config();  // "OpenBLAS 0.3.21 NO_LAPACKE DYNAMIC_ARCH ..."
        name = text.substr(0, text.find(' ', text.find(' ') + 1));
    } else if (!blas_warning().empty()) {
        name = "reference BLAS";
    }
    return file.empty() ? name : name + " (" + file + ")";
}

std::string blas_warning() {
    // The reference BLAS has no mark of its own but its place, .../blas/libblas.so.3.*, and
    // that it lacks the functions of an optimized one.
    const std::string file = blas_file();
    const bool reference_place = file.find("/blas/libblas.so") != std::string::npos;
    if (!reference_place || blas_function<char *()>("openblas_get_config")) return {};
    return "LibTorch computes with the reference BLAS (" + file +
           "), which is 10 to 50 times slower than an optimized one: install the package libopenblas0-pthread.";
}

}  // namespace csp

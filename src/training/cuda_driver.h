// The CUDA devices of this machine as NVIDIA's driver tells of them: without CUDA's headers and libraries, and without
// a context on the device, which would take hundreds of megabytes there.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace csp {

struct CudaDevice {
    std::string name;  // "NVIDIA H100 80GB HBM3"
    int64_t memory = 0;
    int64_t memory_free = -1;  // -1: unknown
    int capability_major = 0, capability_minor = 0;
};

// In the order of their numbers, which CUDA_VISIBLE_DEVICES changes; none where there is no driver. The arguments are
// the driver and its management library as dlopen finds them.
std::vector<CudaDevice> list_cuda_devices(const char *driver = "libcuda.so.1",
                                          const char *management = "libnvidia-ml.so.1");

}  // namespace csp

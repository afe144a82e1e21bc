// What a training run can compute on, and with how much memory. Free of torch: csp_ext.so tells it in csp_info().
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace csp {

struct DeviceDescription {
    std::string device;  // "cpu", "cuda:0", ... as the option device names it
    std::string text;    // "2 cores, 23.4 GB of memory, 20.1 GB available"
    int64_t memory = 0;
    int64_t memory_free = -1;  // -1: unknown
};

// The CPU, then the CUDA devices, which there are only where LibTorch was built with CUDA.
std::vector<DeviceDescription> list_devices();

// Bytes that this process can have on `device`, a value of the option, beside those that it has. -1: unknown.
int64_t free_memory(const std::string &device);

// Throws Error(not_supported), which lists what there is, if the option names a device that is not there.
void require_device(const std::string &device);

}  // namespace csp

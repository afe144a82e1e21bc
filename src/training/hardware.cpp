// Cores and memory of this machine, as far as this process may use them.
#include "hardware.h"

#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <optional>

#include "../encoder/error.h"
#include "cuda_driver.h"

namespace csp {
namespace {

#ifdef CSP_LIBTORCH_CUDA
constexpr bool libtorch_has_cuda = true;
#else
constexpr bool libtorch_has_cuda = false;
#endif

int usable_cores() {
    cpu_set_t cores;
    return sched_getaffinity(0, sizeof cores, &cores) == 0 ? CPU_COUNT(&cores) : 1;
}

// Of /proc/meminfo, in bytes.
std::optional<int64_t> meminfo(const std::string &name) {
    std::ifstream file("/proc/meminfo");
    std::string word, unit;
    for (int64_t kilobytes; file >> word >> kilobytes; std::getline(file, unit)) {
        if (word == name + ":") return kilobytes * 1024;
    }
    return std::nullopt;
}

// A container's limit; "max" is none.
std::optional<int64_t> cgroup(const char *name) {
    std::ifstream file(std::string("/sys/fs/cgroup/") + name);
    int64_t bytes;
    if (file >> bytes) return bytes;
    return std::nullopt;
}

// What ulimit -v leaves. The threads of LibTorch and BLAS reserve address space, which it counts, for memory that they do
// not use: each a stack and an arena of malloc.
std::optional<int64_t> address_space_left() {
    rlimit limit;
    if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return std::nullopt;
    std::ifstream pages("/proc/self/statm");
    int64_t used = 0;
    if (!(pages >> used)) return std::nullopt;
    constexpr int64_t reserved_by_threads = 256 << 20;
    return std::max<int64_t>(static_cast<int64_t>(limit.rlim_cur) - used * sysconf(_SC_PAGESIZE) - reserved_by_threads, 0);
}

std::string gigabytes(int64_t bytes) {
    char text[32];
    std::snprintf(text, sizeof text, "%.1f GB", static_cast<double>(bytes) / (1 << 30));
    return text;
}

DeviceDescription describe_cpu() {
    DeviceDescription cpu{"cpu", {}, meminfo("MemTotal").value_or(0), meminfo("MemAvailable").value_or(-1)};
    if (const auto limit = cgroup("memory.max")) {
        cpu.memory = std::min(cpu.memory, *limit);
        cpu.memory_free = std::min(cpu.memory_free, std::max<int64_t>(*limit - cgroup("memory.current").value_or(0), 0));
    }
    if (const auto left = address_space_left()) cpu.memory_free = std::min(cpu.memory_free, *left);
    const int cores = usable_cores();
    cpu.text = std::to_string(cores) + (cores == 1 ? " core, " : " cores, ") + gigabytes(cpu.memory) + " of memory, " +
               gigabytes(cpu.memory_free) + " available";
    return cpu;
}

DeviceDescription describe(const CudaDevice &cuda, std::size_t number) {
    DeviceDescription device{"cuda:" + std::to_string(number), {}, cuda.memory, cuda.memory_free};
    device.text = cuda.name + ", " + gigabytes(cuda.memory) + " of memory, ";
    if (cuda.memory_free >= 0) device.text += gigabytes(cuda.memory_free) + " free, ";
    device.text += "compute capability " + std::to_string(cuda.capability_major) + "." +
                   std::to_string(cuda.capability_minor);
    return device;
}

// The device that the value of the option stands for.
std::string resolve(const std::string &device, const std::vector<DeviceDescription> &devices) {
    if (device == "auto") return devices.size() > 1 ? "cuda:0" : "cpu";
    return device == "cuda" ? "cuda:0" : device;
}

const DeviceDescription *find(const std::string &device, const std::vector<DeviceDescription> &devices) {
    const std::string name = resolve(device, devices);
    const auto found = std::find_if(devices.begin(), devices.end(), [&](const auto &d) { return d.device == name; });
    return found == devices.end() ? nullptr : &*found;
}

}  // namespace

std::vector<DeviceDescription> list_devices() {
    std::vector<DeviceDescription> devices{describe_cpu()};
    if (!libtorch_has_cuda) return devices;
    for (const CudaDevice &cuda : list_cuda_devices()) devices.push_back(describe(cuda, devices.size() - 1));
    return devices;
}

int64_t free_memory(const std::string &device) {
    if (device == "cpu") return describe_cpu().memory_free;  // without a look at the driver
    const std::vector<DeviceDescription> devices = list_devices();
    const DeviceDescription *found = find(device, devices);
    return found ? found->memory_free : -1;
}

void require_device(const std::string &device) {
    if (device == "auto" || device == "cpu") return;
    const std::vector<DeviceDescription> devices = list_devices();
    if (find(device, devices)) return;
    std::string names;
    for (const DeviceDescription &d : devices) names += (names.empty() ? "" : ", ") + d.device;
    throw Error(ErrorKind::not_supported, "device \"" + device + "\" is not available", "Available: " + names + ".",
                libtorch_has_cuda ? "Set the option device, or csp.device, to one of these or to auto."
                                  : "Set the option device, or csp.device, to cpu or auto, or build csp_ext with a LibTorch that has CUDA.");
}

}  // namespace csp

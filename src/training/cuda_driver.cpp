// NVIDIA's driver, asked through dlopen. The declarations are those of cuda.h and nvml.h.
#include "cuda_driver.h"

#include <dlfcn.h>

#include <cstdio>

namespace csp {
namespace {

constexpr int success = 0;
constexpr int attribute_capability_major = 75, attribute_capability_minor = 76;

class Library {
public:
    explicit Library(const char *path) : handle_(dlopen(path, RTLD_NOW | RTLD_LOCAL)) {}
    // It stays loaded: a driver that has been started is not made for being unloaded.

    // False if it lacks the function.
    template <class Function>
    bool find(const char *name, Function *&function) const {
        function = handle_ ? reinterpret_cast<Function *>(dlsym(handle_, name)) : nullptr;
        return function != nullptr;
    }

private:
    void *handle_;
};

struct Uuid {
    unsigned char bytes[16];
};

// Free memory, which the driver itself tells only within a context. MIG slices have names of their own.
class Management {
public:
    explicit Management(const char *path) {
        const Library library(path);
        int (*init)() = nullptr;
        ready_ = library.find("nvmlInit_v2", init) && library.find("nvmlShutdown", shutdown_) &&
                 library.find("nvmlDeviceGetHandleByUUID", handle_by_uuid_) &&
                 library.find("nvmlDeviceGetMemoryInfo", memory_info_) && init() == success;
    }
    ~Management() {
        if (ready_) shutdown_();
    }
    Management(const Management &) = delete;
    Management &operator=(const Management &) = delete;

    int64_t free_memory(const Uuid &uuid) const {
        for (const char *prefix : {"GPU-", "MIG-"}) {
            void *device = nullptr;
            Memory memory{};
            if (ready_ && handle_by_uuid_((prefix + text(uuid)).c_str(), &device) == success &&
                memory_info_(device, &memory) == success)
                return static_cast<int64_t>(memory.free);
        }
        return -1;
    }

private:
    struct Memory {
        unsigned long long total, free, used;
    };

    static std::string text(const Uuid &uuid) {
        std::string result;
        for (int i = 0; i < 16; ++i) {
            char byte[4];
            std::snprintf(byte, sizeof byte, "%02x", uuid.bytes[i]);
            result += (i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "") + std::string(byte);
        }
        return result;
    }

    bool ready_ = false;
    int (*shutdown_)() = nullptr;
    int (*handle_by_uuid_)(const char *, void **) = nullptr;
    int (*memory_info_)(void *, Memory *) = nullptr;
};

}  // namespace

std::vector<CudaDevice> list_cuda_devices(const char *driver_path, const char *management_path) {
    const Library driver(driver_path);
    int (*init)(unsigned) = nullptr, (*get_count)(int *) = nullptr, (*get)(int *, int) = nullptr;
    int (*get_name)(char *, int, int) = nullptr, (*get_memory)(std::size_t *, int) = nullptr;
    int (*get_attribute)(int *, int, int) = nullptr, (*get_uuid)(Uuid *, int) = nullptr;
    int count = 0;
    if (!driver.find("cuInit", init) || !driver.find("cuDeviceGetCount", get_count) ||
        !driver.find("cuDeviceGet", get) || !driver.find("cuDeviceGetName", get_name) ||
        !driver.find("cuDeviceTotalMem_v2", get_memory) || !driver.find("cuDeviceGetAttribute", get_attribute) ||
        init(0) != success || get_count(&count) != success)
        return {};
    if (!driver.find("cuDeviceGetUuid_v2", get_uuid)) driver.find("cuDeviceGetUuid", get_uuid);

    const Management management(management_path);
    std::vector<CudaDevice> devices;
    for (int i = 0; i < count; ++i) {
        CudaDevice found;
        int device = 0;
        char name[256] = "";
        std::size_t memory = 0;
        Uuid uuid{};
        if (get(&device, i) != success || get_name(name, sizeof name, device) != success ||
            get_memory(&memory, device) != success)
            break;
        found.name = name;
        found.memory = static_cast<int64_t>(memory);
        get_attribute(&found.capability_major, attribute_capability_major, device);
        get_attribute(&found.capability_minor, attribute_capability_minor, device);
        if (get_uuid && get_uuid(&uuid, device) == success) found.memory_free = management.free_memory(uuid);
        devices.push_back(found);
    }
    return devices;
}

}  // namespace csp

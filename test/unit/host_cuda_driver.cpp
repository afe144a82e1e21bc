// The functions of NVIDIA's driver and of its management library that are asked for devices, for a machine with two:
// the tests load it where there is no driver.
#include <cstdio>
#include <cstring>

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace {
bool started = false, managed = false;
}

EXPORT int cuInit(unsigned flags) { return flags == 0 ? (started = true, 0) : 1; }
EXPORT int cuDeviceGetCount(int *count) { return started ? (*count = 2, 0) : 3; }
EXPORT int cuDeviceGet(int *device, int number) { return started && number < 2 ? (*device = 70 + number, 0) : 101; }
EXPORT int cuDeviceGetName(char *name, int size, int device) {
    std::snprintf(name, static_cast<std::size_t>(size), "Device of handle %d", device);
    return 0;
}
EXPORT int cuDeviceTotalMem_v2(std::size_t *bytes, int device) {
    *bytes = static_cast<std::size_t>(device - 69) << 34;  // 16 and 32 GB
    return 0;
}
EXPORT int cuDeviceGetAttribute(int *value, int attribute, int) {
    *value = attribute == 75 ? 9 : attribute == 76 ? 1 : -1;
    return 0;
}
EXPORT int cuDeviceGetUuid_v2(unsigned char *uuid, int device) {
    for (int i = 0; i < 16; ++i) uuid[i] = static_cast<unsigned char>(16 * i + device - 70);
    return 0;
}

EXPORT int nvmlInit_v2() { return managed = true, 0; }
EXPORT int nvmlShutdown() { return managed = false, 0; }
// The first is a whole device, the second a slice of one.
EXPORT int nvmlDeviceGetHandleByUUID(const char *uuid, void **device) {
    static int devices[2];
    if (managed && std::strcmp(uuid, "GPU-00102030-4050-6070-8090-a0b0c0d0e0f0") == 0) return *device = &devices[0], 0;
    if (managed && std::strcmp(uuid, "MIG-01112131-4151-6171-8191-a1b1c1d1e1f1") == 0) return *device = &devices[1], 0;
    return 6;
}
EXPORT int nvmlDeviceGetMemoryInfo(void *, unsigned long long *total_free_used) {
    total_free_used[1] = 5ull << 30;
    return 0;
}

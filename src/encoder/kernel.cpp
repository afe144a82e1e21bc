// Chooses the kernels at run time.
#include "kernel.h"

#include <cstring>
#include <initializer_list>

#include "kernel_tables.h"

namespace csp {

namespace {

// The tables of an instruction set are asked for only after the machine was found to have it:
// even the getters are compiled for that instruction set.
const Kernels *avx512_if_available() {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("fma"))
        return avx512_kernels();
#endif
    return nullptr;
}

const Kernels *avx2_if_available() {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return avx2_kernels();
#endif
    return nullptr;
}

}  // namespace

const Kernels &best_kernels() {
    if (const Kernels *kernels = avx512_if_available())
        return *kernels;
    if (const Kernels *kernels = avx2_if_available())
        return *kernels;
    return *baseline_kernels();
}

const Kernels *find_kernels(const char *name) {
    for (const Kernels *kernels : {avx512_if_available(), avx2_if_available(), baseline_kernels()})
        if (kernels && std::strcmp(kernels->name, name) == 0)
            return kernels;
    return nullptr;
}

}  // namespace csp

// The tables that the kernel_*.cpp files define; kernel.cpp alone may ask for them.
#pragma once

#include "kernel.h"

namespace csp {

// Null where the file was compiled without its instruction set (another architecture).
const Kernels *baseline_kernels();
const Kernels *avx2_kernels();
const Kernels *avx512_kernels();

}  // namespace csp

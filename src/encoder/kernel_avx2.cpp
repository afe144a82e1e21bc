// The kernels for AVX2 with FMA; compiled with -mavx2 -mfma.
#include "kernel_tables.h"

#if defined(__AVX2__) && defined(__FMA__)

#define CSP_KERNEL_NAMESPACE kernel_avx2
#define CSP_KERNEL_NAME "AVX2"
#define CSP_VECTOR_BYTES 32
#define CSP_ROW_BLOCK 6
#include "kernel_impl.h"

const csp::Kernels *csp::avx2_kernels() {
    return &kernel_avx2::table;
}

#else

const csp::Kernels *csp::avx2_kernels() {
    return nullptr;
}

#endif

// The kernels for AVX-512; compiled with -mavx512f -mavx512dq -mavx512bw -mavx512vl -mfma.
#include "kernel_tables.h"

#if defined(__AVX512F__) && defined(__AVX512DQ__) && defined(__AVX512BW__) && defined(__AVX512VL__)

#define CSP_KERNEL_NAMESPACE kernel_avx512
#define CSP_KERNEL_NAME "AVX-512"
#define CSP_VECTOR_BYTES 64
#define CSP_ROW_BLOCK 8
#include "kernel_impl.h"

const csp::Kernels *csp::avx512_kernels() {
    return &kernel_avx512::table;
}

#else

const csp::Kernels *csp::avx512_kernels() {
    return nullptr;
}

#endif

// The kernels for what every machine of the architecture has (SSE2 on x86-64).
#define CSP_KERNEL_NAMESPACE kernel_baseline
#define CSP_KERNEL_NAME "baseline"
#define CSP_VECTOR_BYTES 16
#define CSP_ROW_BLOCK 6
#include "kernel_impl.h"

const csp::Kernels *csp::baseline_kernels() {
    return &kernel_baseline::table;
}

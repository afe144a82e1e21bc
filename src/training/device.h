// Where a run computes: the one place that names devices, dtypes and threads.
#pragma once

#include <c10/core/TensorOptions.h>

#include <string>

namespace csp {

// Device and dtype (float32) for the option `device`: auto, cpu, cuda or cuda:N. Throws
// Error(not_supported), which lists those that are, for a CUDA device that is not there.
at::TensorOptions tensor_options(const std::string &device);

// Readies the whole process for training: neither LibTorch nor BLAS starts threads of its own beside the lanes (see
// lanes.h); and malloc keeps
// what is freed, since every step frees and allocates the same tensors: handing their pages
// back to the kernel each time costs a sixth of the step.
void prepare_process();

// Whether LibTorch has to take algorithms that give the same bits every time, and fail where it knows none. On the CPU
// those that a run uses do anyway.
void set_deterministic(bool deterministic);

int cuda_device_count();
std::string torch_version_name();

// The BLAS that answers LibTorch's calls in this process, for example
// "OpenBLAS 0.3.21 (/usr/lib/x86_64-linux-gnu/openblas-pthread/libblas.so.3)".
std::string blas_name();

// Empty, or a sentence that says that BLAS is the slow reference implementation and what to
// install.
std::string blas_warning();

}  // namespace csp

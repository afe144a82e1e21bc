// A device of the tests' own: LibTorch's PrivateUse1 with memory of the host.
//
// It computes what the CPU computes, and it is as strict as an accelerator: an operator that
// meets a tensor of the CPU among its own is an error, single numbers excepted. A whole
// training on it shows that nothing is left behind on the CPU, where no GPU is at hand.
#pragma once

#include <c10/core/TensorOptions.h>

namespace csp_test {

// float32 on that device. Operators are registered when the program starts.
at::TensorOptions host_device();

}  // namespace csp_test

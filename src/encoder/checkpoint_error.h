// What the parts of the checkpoint reader say of bytes that are not a checkpoint.
#pragma once

#include <string>

#include "error.h"

namespace csp {

[[noreturn]] inline void throw_bad_checkpoint(const std::string &detail) {
    throw Error(ErrorKind::data_corrupted, "not a valid PyTorch checkpoint", detail,
                "Import a complete file as torch.save of PyTorch 1.6 or later writes it.");
}

}  // namespace csp

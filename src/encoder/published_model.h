// Models that csp_ext did not write: checkpoints of the CSP and TorchSpatial code, and their tensors as safetensors.
#pragma once

#include <cstddef>

#include "model.h"

namespace csp {

// Whether the bytes begin as torch.save's do: a zip archive, or the bare pickle of old versions, which the reader refuses
// with advice.
bool is_pickled(const char *bytes, std::size_t size);

// Whatever is known of the model in the file: tensors under the names of encoder/model.h, sizes from their shapes, the
// rest from the parameters that the published code stores beside them (doc/encoders.md). No labels. position_encoding is
// empty if the file does not tell. The configuration is not validated: options may complete it.
//
// Errors: those of read_pytorch_checkpoint and read_safetensors; data_corrupted for a file without a location encoder, or
// whose two copies of a tensor differ.
ModelContents read_published_model(const char *bytes, std::size_t size);

}  // namespace csp

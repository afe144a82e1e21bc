// The model file: safetensors (https://github.com/huggingface/safetensors), float32 only.
//
// Layout: 8 bytes little-endian length N of the header, N bytes of JSON, then the tensor
// bytes. The reader is strict: it is fed bytes that users hand in.
#pragma once

#include <cstddef>
#include <map>
#include <string>

#include "tensors.h"

namespace csp {

struct ModelFile {
    TensorMap tensors;
    std::map<std::string, std::string> metadata;  // the header's __metadata__
};

// The bytes of a file: deterministic (names sorted, header padded to 8 bytes).
std::string write_safetensors(const ModelFile &file);

// Throws Error(data_corrupted) unless the bytes are exactly one well-formed file: header
// within the data, no duplicate or overlapping tensors, no gaps, shapes that match offsets.
ModelFile read_safetensors(const char *bytes, std::size_t size);

}  // namespace csp

// libFuzzer entry for the model file reader: any bytes give a file or a csp::Error, and what was
// read is written back and read again equal. Build: clang++ -fsanitize=fuzzer,address,undefined
// with the sources of src/encoder.
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "../../src/encoder/error.h"
#include "../../src/encoder/model.h"
#include "../../src/encoder/safetensors.h"

namespace {

bool equal(const csp::ModelFile &a, const csp::ModelFile &b) {
    if (a.metadata != b.metadata || a.tensors.size() != b.tensors.size())
        return false;
    for (const auto &[name, tensor] : a.tensors) {
        const auto found = b.tensors.find(name);
        if (found == b.tensors.end() || found->second.shape != tensor.shape ||
            found->second.values.size() != tensor.values.size())
            return false;
        if (!tensor.values.empty() && std::memcmp(tensor.values.data(), found->second.values.data(),
                                                  tensor.values.size() * sizeof(float)) != 0)
            return false;
    }
    return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, std::size_t size) {
    const char *bytes = reinterpret_cast<const char *>(data);
    try {
        const csp::ModelFile file = csp::read_safetensors(bytes, size);
        const std::string written = csp::write_safetensors(file);
        if (!equal(file, csp::read_safetensors(written.data(), written.size())))
            std::abort();
        csp::Model::from_file(bytes, size);
    } catch (const csp::Error &) {
        // What a malformed file gives.
    }
    return 0;
}

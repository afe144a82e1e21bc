// libFuzzer entry for the checkpoint reader: any bytes give a checkpoint or a csp::Error. The bytes are
// taken for a file, and for the pickle of one, which checksums would otherwise keep from being reached.
// Build: make build/fuzz_checkpoint.
#include <cstdint>
#include <cstdlib>

#include "../../src/encoder/error.h"
#include "../../src/encoder/pytorch_checkpoint.h"
#include "checkpoint_support.h"

namespace {

void read(const char *bytes, std::size_t size) {
    try {
        const csp::PyTorchCheckpoint checkpoint = csp::read_pytorch_checkpoint(bytes, size);
        for (const auto &[name, tensor] : checkpoint.tensors) {
            std::size_t elements = 1;
            for (int64_t extent : tensor.shape)
                elements *= static_cast<std::size_t>(extent);
            if (elements != tensor.values.size())
                std::abort();
        }
    } catch (const csp::Error &error) {
        if (error.kind() == csp::ErrorKind::internal)
            std::abort();
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, std::size_t size) {
    const char *bytes = reinterpret_cast<const char *>(data);
    read(bytes, size);
    const std::string file = csp_test::zip_of({{"a/data.pkl", std::string(bytes, size)},
                                               {"a/data/0", std::string(24, '\x3f')},
                                               {"a/data/1", std::string(2048, '\x40')},
                                               {"a/data/2", std::string()}});
    read(file.data(), file.size());
    return 0;
}

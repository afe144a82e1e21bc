// Exceptions of LibTorch and of the standard library as csp::Error.
#include "torch_guard.h"

#include <c10/util/Exception.h>

#include <new>
#include <string>

#include "../encoder/error.h"

namespace csp {
namespace {

// LibTorch has no type for an allocation that failed on the host, only these words.
bool speaks_of_memory(const std::string &text) {
    for (const char *words : {"allocate memory", "out of memory", "not enough memory", "ALLOC_FAILED"}) {
        if (text.find(words) != std::string::npos) return true;
    }
    return false;
}

[[noreturn]] void throw_out_of_memory(const std::string &detail) {
    throw Error(ErrorKind::out_of_memory, "training ran out of memory", detail,
                "Lower batch_size, negatives or hidden_dim, or train on fewer rows.");
}

[[noreturn]] void throw_library_error(const std::string &text) {
    const std::string line = text.substr(0, text.find('\n'));
    if (speaks_of_memory(text)) throw_out_of_memory(line);
    throw Error(ErrorKind::external_library, "LibTorch failed: " + line);
}

}  // namespace

void rethrow_as_error() {
    try {
        throw;
    } catch (const Error &) {
        throw;
    } catch (const std::bad_alloc &) {
        throw_out_of_memory({});
    } catch (const c10::Error &error) {
        throw_library_error(error.what_without_backtrace());
    } catch (const std::exception &error) {
        throw_library_error(error.what());
    } catch (...) {
        throw_library_error("unknown exception");
    }
}

}  // namespace csp

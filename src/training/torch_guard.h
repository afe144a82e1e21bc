// The face of this room: nothing but csp::Error leaves it.
#pragma once

#include <utility>

namespace csp {

// Inside a catch block: turns the exception in flight into an Error. Of an exception of
// LibTorch only the first line is kept, without its stack trace.
[[noreturn]] void rethrow_as_error();

template <class Function>
auto guarded(Function &&function) -> decltype(std::forward<Function>(function)()) {
    try {
        return std::forward<Function>(function)();
    } catch (...) {
        rethrow_as_error();
    }
}

}  // namespace csp

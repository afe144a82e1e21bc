// What leaves this room is a csp::Error and nothing else.
#pragma once

#include <exception>
#include <new>
#include <stdexcept>
#include <string>

#include "error.h"

namespace csp {

// Runs a public function's body; exceptions of the standard library become csp::Error.
template <typename Function>
auto at_room_face(Function function) -> decltype(function()) {
    try {
        return function();
    } catch (const Error &) {
        throw;
    } catch (const std::bad_alloc &) {
        throw Error(ErrorKind::out_of_memory, "out of memory in the location encoder");
    } catch (const std::length_error &) {
        throw Error(ErrorKind::out_of_memory, "out of memory in the location encoder");
    } catch (const std::exception &error) {
        throw Error(ErrorKind::internal, std::string("unexpected error in the location encoder: ") + error.what());
    }
}

}  // namespace csp

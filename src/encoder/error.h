// The one exception type of the C++ rooms.
//
// Rooms other than src/postgres know nothing of SQLSTATEs: an ErrorKind says what
// went wrong, and src/postgres/guard.cpp gives each kind its SQLSTATE.
#pragma once

#include <exception>
#include <string>
#include <utility>

namespace csp {

enum class ErrorKind {
    invalid_parameter,      // an option or argument has a value that cannot work
    undefined_object,       // a name that does not exist: option, label, encoding
    invalid_coordinates,    // not a place on the globe
    invalid_data,           // rows that cannot be trained on: NaN, unequal length, too few
    data_corrupted,         // a model file that is not one
    out_of_memory,          // an allocation failed or would go beyond the limit
    not_supported,          // known, but not available in this build or on this machine
    io_error,               // the system could not read a file
    external_library,       // LibTorch or BLAS refused
    internal,               // a defect of csp_ext itself
};

// message, detail and hint follow PostgreSQL's message style: the message starts in
// lower case without a period; detail and hint are sentences.
class Error : public std::exception {
public:
    Error(ErrorKind kind, std::string message, std::string detail = {}, std::string hint = {})
        : kind_(kind), message_(std::move(message)), detail_(std::move(detail)), hint_(std::move(hint)) {}

    const char *what() const noexcept override { return message_.c_str(); }
    ErrorKind kind() const noexcept { return kind_; }
    const std::string &message() const noexcept { return message_; }
    const std::string &detail() const noexcept { return detail_; }
    const std::string &hint() const noexcept { return hint_; }

private:
    ErrorKind kind_;
    std::string message_;
    std::string detail_;
    std::string hint_;
};

}  // namespace csp

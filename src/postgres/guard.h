// The two guards between C++ exceptions and the server's errors.
//
// A server error is a longjmp, which must not skip a destructor; a C++ exception must not
// leave into C code, where nothing would catch it and the whole server would restart. So:
//
//   - every entry from the server (SQL function, worker main, callback) is one guard():
//     whatever is thrown inside becomes an ereport after all destructors have run;
//   - every call of a server function that can raise an error goes through server_call()
//     wherever C++ objects with destructors are alive above it: the server's error becomes
//     the exception ServerError, and guard() raises the very same error again.
//
// Because guard() always raises again, the transaction aborts as it would have; nothing
// may catch a ServerError and go on in the same transaction.
#pragma once

#include "pg.h"

#include "../encoder/error.h"

namespace csp::server {

// A server error on its way through C++ frames.
class ServerError : public std::exception {
public:
    explicit ServerError(ErrorData *data) : data_(data) {}
    const char *what() const noexcept override { return data_->message ? data_->message : "server error"; }
    ErrorData *data() const noexcept { return data_; }

    // Whether it is about what was computed, not that the query was cancelled or a resource ran out.
    bool concerns_data() const noexcept {
        const int category = ERRCODE_TO_CATEGORY(data_->sqlerrcode);
        return category != ERRCODE_OPERATOR_INTERVENTION && category != ERRCODE_INSUFFICIENT_RESOURCES;
    }

private:
    ErrorData *data_;  // lives in the memory context that was current at server_call()
};

// A condition of the server's own, thrown from C++ with its SQLSTATE.
class SqlError : public Error {
public:
    SqlError(int sqlstate, std::string message, std::string detail = {}, std::string hint = {})
        : Error(ErrorKind::invalid_parameter, std::move(message), std::move(detail), std::move(hint)),
          sqlstate_(sqlstate) {}
    int sqlstate() const noexcept { return sqlstate_; }

private:
    int sqlstate_;
};

// The number of a SQLSTATE from its five characters; the server has unpack_sql_state for the way there.
inline int pack_sqlstate(const char *code) { return MAKE_SQLSTATE(code[0], code[1], code[2], code[3], code[4]); }

// One that says in other words what a ServerError said, after which nobody may go on in the (sub)transaction either.
class AbortingError : public SqlError {
public:
    using SqlError::SqlError;
};

// What an exception says, without C++ objects: it may outlive all of them.
struct PendingError {
    ErrorData *server = nullptr;  // set: raise exactly this again
    int sqlstate = 0;
    const char *message = nullptr;
    const char *detail = nullptr;
    const char *hint = nullptr;
};

// Call within a catch block: describes the exception being handled. Never throws.
PendingError describe_current_exception() noexcept;

[[noreturn]] void raise(const PendingError &error);

// Runs body() and raises what it throws as a server error.
template <typename Body>
auto guard(Body &&body) -> decltype(body()) {
    PendingError pending;
    try {
        return body();
    } catch (...) {
        pending = describe_current_exception();
    }
    raise(pending);
}

// Runs function(argument); returns the error it raised, copied into the current memory
// context, or null.
ErrorData *run_catching(void (*function)(void *), void *argument);

// Runs call(), in which server functions may raise errors, and throws those as ServerError.
// Nothing with a destructor may be created inside call().
template <typename Call>
auto server_call(Call &&call) -> decltype(call()) {
    using Result = decltype(call());
    if constexpr (std::is_void_v<Result>) {
        auto thunk = [](void *argument) { (*static_cast<std::remove_reference_t<Call> *>(argument))(); };
        if (ErrorData *error = run_catching(thunk, static_cast<void *>(&call)))
            throw ServerError(error);
    } else {
        static_assert(std::is_trivially_destructible_v<Result>);
        struct Arguments {
            std::remove_reference_t<Call> *call;
            Result result;
        } arguments{&call, Result{}};
        auto thunk = [](void *argument) {
            auto *a = static_cast<Arguments *>(argument);
            a->result = (*a->call)();
        };
        if (ErrorData *error = run_catching(thunk, &arguments))
            throw ServerError(error);
        return arguments.result;
    }
}

// While it lives, interrupts wait. An error of the server on the way lifts that by itself.
class InterruptsHeld {
public:
    InterruptsHeld() { HOLD_INTERRUPTS(); }
    ~InterruptsHeld() {
        if (InterruptHoldoffCount > 0)
            RESUME_INTERRUPTS();
    }
    InterruptsHeld(const InterruptsHeld &) = delete;
    InterruptsHeld &operator=(const InterruptsHeld &) = delete;
};

// Lets a cancelled query or a shutting-down server end this call.
inline void check_for_interrupts() {
    if (INTERRUPTS_PENDING_CONDITION())
        server_call([] { CHECK_FOR_INTERRUPTS(); });
}

}  // namespace csp::server

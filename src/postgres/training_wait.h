// Waiting for a training run: its progress as notices, its failure as an error.
#pragma once

#include <functional>

#include "pg.h"

#include "guard.h"

extern "C" {
#include "postmaster/bgworker.h"
}

namespace csp::server {

// Returns once the worker has taken over the run, or has left it queued, since others had come first. Throws if it could
// not start. Between SPI_connect and SPI_finish, outside an atomic context.
void wait_for_start(BackgroundWorkerHandle *handle, int64 run);

// Returns when the run has succeeded; raises its error if it has not. An interrupt of this
// session ends the run as cancelled before it is raised. handle: of its worker, if it is known; null while the run is
// queued, or was started by others. As above.
void wait_for_end(BackgroundWorkerHandle *handle, int64 run);

// Asks for the state of a run or a search until that is neither queued nor running, or the interval has passed that is
// an argument of the function, if it is not NULL. Returns the state.
std::string wait_for_state(FunctionCallInfo fcinfo, int timeout_argument, const std::function<std::string()> &look);

// A csp.run_state, which the function returns.
Datum run_state_datum(FunctionCallInfo fcinfo, const std::string &state);

// Commits, and begins the next transaction. Between SPI_connect and SPI_finish, outside an atomic context.
void finish_transaction();

// A line for the user who waits.
void emit_notice(const std::string &line);

// Whether the error is that of a cancel or a shutdown.
bool is_interrupt(const ServerError &error);

// Sleeps for so many milliseconds, or until this process's latch is set.
void sleep_on_latch(long milliseconds);

}  // namespace csp::server

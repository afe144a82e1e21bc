// What the background workers of csp_ext have in common.
#pragma once

#include "pg.h"

extern "C" {
#include "postmaster/bgworker.h"
}

namespace csp::server {

// Registers a worker that begins in `function` of this library; its arguments, `size` bytes, travel in bgw_extra. Null if
// max_worker_processes are all in use. The handle lives as long as the session.
BackgroundWorkerHandle *register_worker(const char *function, const char *type, const std::string &name,
                                        const void *arguments, std::size_t size);

template <typename Arguments>
BackgroundWorkerHandle *register_worker(const char *function, const char *type, const std::string &name,
                                        const Arguments &arguments) {
    static_assert(sizeof(arguments) <= BGW_EXTRALEN, "worker arguments must fit into bgw_extra");
    return register_worker(function, type, name, &arguments, sizeof(arguments));
}

// Whether the worker is gone, or the server with it.
bool worker_has_stopped(BackgroundWorkerHandle *handle);

// In a worker, before it unblocks signals: a request to end is taken as a cancel, so that it can still be recorded or told.
void take_termination_as_cancel();
bool termination_was_requested();

// Lets a cancel end what this worker does, and the death of the postmaster the worker: shared memory that it kept would keep
// the server from starting again.
void check_for_worker_interrupts();

}  // namespace csp::server

// Waiting for a training run: its progress as notices, its failure as an error.
#pragma once

#include "pg.h"

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

// Sleeps for so many milliseconds, or until this process's latch is set.
void sleep_on_latch(long milliseconds);

}  // namespace csp::server

// The background worker that trains: how it is started and what it is told.
#pragma once

#include "pg.h"

extern "C" {
#include "postmaster/bgworker.h"
}

namespace csp::server {

// What a worker needs to know to begin; travels in bgw_extra.
struct WorkerArguments {
    Oid database;
    Oid user;
    TransactionId launcher;  // the transaction that queues the run; the worker waits for its end
    int64 run;
};

// Registers a worker that executes the run as `user`. Throws SqlError(configuration_limit_exceeded) if
// max_worker_processes are all in use.
BackgroundWorkerHandle *start_training_worker(int64 run, const std::string &model, Oid user);

}  // namespace csp::server

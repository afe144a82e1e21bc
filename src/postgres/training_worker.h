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
    int64 run;
};

// Registers a worker that executes the run as `user`, if it may begin by then (see training_queue.h). Null if
// max_worker_processes are all in use.
BackgroundWorkerHandle *start_training_worker(int64 run, const std::string &model, Oid user);

// Within a worker: connects it to the database and readies it for training. name: what it is shown as.
void set_up_training_process(Oid database, Oid user, const std::string &name);

// Registers a process that starts queued runs and ends.
void start_queue_starter();

}  // namespace csp::server

// The queue of training runs of a database: which begin, and who starts their workers.
//
// At most csp.max_training_workers runs go on at a time; the others stay queued, in csp.run, and nobody watches over
// them. A worker that ends starts the next; so does whoever queues a run; and after a crash or a restart, when
// no worker is left, any call that comes by a queued run has a starter look after the queue (wake_queue).
//
// Starting a worker is a hint that may come twice or too early: the worker itself begins its run or not, under a lock that
// all of them take.
#pragma once

#include "pg.h"

extern "C" {
#include "postmaster/bgworker.h"
}

namespace csp::server {

// Starts workers for the first of the queued runs, as many as may begin. Takes the queue's lock until the end of the
// transaction, which must be short, of isolation level READ COMMITTED, and have an active SPI connection.
struct QueueStarts {
    BackgroundWorkerHandle *own_worker = nullptr;  // that of the run `own`, if one was started
    bool no_worker_free = false;                   // max_worker_processes are all in use
    int64 under_way = 0;                           // runs that go on or begin
};
QueueStarts start_queued_runs(int64 own = 0);

// The same, but nothing where somebody else is at it. For those who come by again and must not wait: lock_timeout might end that.
void start_queued_runs_unless_busy();

// The worker of a run: begins it, if it is still queued and may. Then the run is locked by this process and marked as
// running. As above.
bool begin_run(int64 run);

// Deletes the runs that have ended, but for the last csp.keep_runs, with their figures and checkpoints, and searches that
// have none left. Models stay. Runs of a search that goes on stay too.
void delete_old_runs();

// The place in the queue, from 1; 0 for a run that is not queued. Needs an active SPI connection.
int64 queue_position(int64 run);

// Whether a queued run could begin and nobody is about to start it. True at most once in a while for each session; needs an active
// SPI connection.
bool queue_needs_attention();

// If a queued run could begin and nobody is about to start it, or a search stands still, has a background process see to it,
// which takes one worker more. As above; writes nothing.
void wake_queue();

// Ends a queued run as cancelled, or asks the worker of a running one to. False if it is neither. Needs an active SPI connection.
bool cancel_run(int64 run);

}  // namespace csp::server

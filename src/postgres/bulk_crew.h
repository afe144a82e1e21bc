// Who works on a bulk job: the caller's session, and background workers beside it. They take the pieces of the work in
// turn from a counter in dynamic shared memory.
#pragma once

#include "bulk_shared.h"
#include "bulk_work.h"

extern "C" {
#include "postmaster/bgworker.h"
}

namespace csp::server {

class BulkCrew {
public:
    // With places for so many workers, none of which has come yet.
    BulkCrew(const BulkJob &job, int workers);
    // Ends workers that are still at work.
    ~BulkCrew();
    BulkCrew(const BulkCrew &) = delete;
    BulkCrew &operator=(const BulkCrew &) = delete;

    // Starts as many workers as there are places and free slots: none is no error. The run must have been committed.
    void start_workers();

    int places() const;
    int workers() const { return int(handles_.size()); }
    // How many of them have come to work so far.
    int workers_at_work() const;

    // The next piece for this session; nothing if all are taken.
    std::optional<uint32> take_piece() { return shared_->take_piece(); }
    void add(const PieceResult &result) { shared_->add(0, result); }

    // Throws the error of a worker that failed, or one for a worker that ended without a word.
    void check() const;
    // Returns when all workers have ended. Throws as check().
    void wait() const;

    double progress() const;       // share of the pieces that have been taken
    BulkTally tally() const;
    std::string examples() const;  // of invalid rows; after wait()

    // Whether nobody takes another piece, since somebody failed. Safe in a signal handler.
    bool has_stopped() const;
    // Tells the workers to end, without waiting.
    void dismiss() const;

private:
    void share(const BulkJob &job, int workers);
    dsm_segment *segment_ = nullptr;
    BulkShared *shared_ = nullptr;
    std::vector<BackgroundWorkerHandle *> handles_;
};

// The role that workers take over from this session; empty if it is its user.
std::string session_role();

// Workers connect as the session's user: none, with a notice, if he is not permitted to log in.
int workers_that_may_connect(int wanted);
// How many of the workers wanted there may be beside those of other sessions, by max_parallel_workers.
int workers_available(int wanted);

}  // namespace csp::server

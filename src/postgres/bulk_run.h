// A call of csp_embed_table as the catalogue knows it (csp.bulk_run), and its locks.
#pragma once

#include "bulk_plan.h"

namespace csp::server {

enum class BulkPhase { embedding, checking, pruning };

// What a piece of work, or all of them, came to.
struct BulkTally {
    int64 rows = 0;
    int64 invalid = 0;
};

// Adds a run of the current user and drops the oldest of the same kind. Returns its id.
int64 insert_bulk_run(const BulkPlan &plan);

// In the current transaction.
void begin_phase(int64 run, BulkPhase phase, uint32 pieces);
void record_workers(int64 run, int workers);  // the most at a time
void record_piece(int64 run, BulkPhase phase, const BulkTally &tally);
void mark_succeeded(int64 run, const std::string &detail);

// Within a catch block, in a session whose transaction may have failed: ends it, and records in another what the
// exception says.
void record_bulk_failure(int64 run);

// The lock on the table that a job writes, for this transaction; false if somebody has it.
bool lock_bulk_table(Oid table);

// Locks of the session beyond transactions, while it lives: on the table that is written, which must be free or ours, and
// on the run, by which others see that it is alive.
class BulkLocks {
public:
    BulkLocks(Oid table, int64 run);
    ~BulkLocks();
    BulkLocks(const BulkLocks &) = delete;
    BulkLocks &operator=(const BulkLocks &) = delete;

private:
    Oid table_;
    int64 run_;
};

bool bulk_run_is_alive(int64 run);

}  // namespace csp::server

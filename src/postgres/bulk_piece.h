// One piece of a bulk job.
#pragma once

#include "bulk_run.h"
#include "bulk_transaction.h"

namespace csp::server {

struct PieceResult {
    BulkTally tally;
    std::string examples;  // what is wrong with the first invalid rows
};

// Executes the statement of a piece and records its progress, in a transaction that ends with it. If a deadlock with
// another session, or a serialization failure, ends it, it is tried again. `label`: names of what names a row.
PieceResult execute_piece(const std::string &statement, const std::vector<std::string> &label, int64 run, BulkPhase phase,
                          const TransactionControl &transactions);

}  // namespace csp::server

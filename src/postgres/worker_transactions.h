// Transactions of a background worker, which has none about it.
#pragma once

#include "pg.h"

#include "spi.h"

extern "C" {
#include "pgstat.h"
}

namespace csp::server {

// body() in a transaction of its own. An error leaves the transaction to be aborted.
template <typename Body>
void in_transaction(Body &&body) {
    server_call([] {
        SetCurrentStatementStartTimestamp();
        StartTransactionCommand();
        PushActiveSnapshot(GetTransactionSnapshot());
    });
    body();
    server_call([] {
        PopActiveSnapshot();
        CommitTransactionCommand();
        pgstat_report_stat(true);
    });
}

// One transaction that writes to the catalogue.
template <typename Body>
void write_transaction(Body &&body) {
    in_transaction([&] { with_spi([&] { body(); }); });
}

}  // namespace csp::server

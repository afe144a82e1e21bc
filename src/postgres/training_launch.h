// From a run in the table to a run under way: what csp_train and csp_resume share.
#pragma once

#include <functional>

#include "pg.h"

extern "C" {
#include "postmaster/bgworker.h"
}

namespace csp::server {

// Throws SqlError(read_only_sql_transaction, active_sql_transaction) if the session cannot launch a run: on a standby, in
// a read-only transaction or a transaction block. procedure: its name.
void require_session_that_can_train(FunctionCallInfo fcinfo, const std::string &procedure);

// Throws SqlError(invalid_authorization_specification) for a role that a worker could not connect as.
void require_login(Oid role);

// Commits the runs that this transaction has queued and starts workers for the first of the queue, in a second transaction: what
// is queued keeps its place whatever happens there. Returns the worker of the run `own`, or null if that stays queued for now. If
// there is no free worker and no run whose end would bring one, throws SqlError(configuration_limit_exceeded) after give_up(),
// which is to undo the queueing. Between SPI_connect and SPI_finish, outside an atomic context.
BackgroundWorkerHandle *commit_and_start(int64 own, const std::function<void()> &give_up);

// Commits a run that this transaction has queued, starts its worker if it may begin, and waits: for its
// beginning if it does, or for its end. An interrupt of this session ends the run as cancelled. give_up, and where: as
// above.
void launch(int64 run, bool wait, void (*give_up)(int64 run));

}  // namespace csp::server

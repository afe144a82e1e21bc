// Transactions of a bulk job.
#include "bulk_transaction.h"

extern "C" {
#include "pgstat.h"
#include "utils/guc.h"
#include "utils/resowner.h"
}

namespace csp::server {

namespace {

void commit_in_session() { SPI_commit(); }

void roll_back_in_session() { SPI_rollback(); }

void begin_in_worker() {
    SetCurrentStatementStartTimestamp();
    StartTransactionCommand();
}

void commit_in_worker() {
    MemoryContext context = CurrentMemoryContext;
    CommitTransactionCommand();
    pgstat_report_stat(false);
    begin_in_worker();
    MemoryContextSwitchTo(context);
}

void roll_back_in_worker() {
    MemoryContext context = CurrentMemoryContext;
    AbortCurrentTransaction();
    begin_in_worker();
    MemoryContextSwitchTo(context);
}

void raise_again(void *error) { ReThrowError(static_cast<ErrorData *>(error)); }

void set_local(const char *name, const char *value) {
    set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false);
}

}  // namespace

const TransactionControl session_transactions(commit_in_session, roll_back_in_session);
const TransactionControl worker_transactions(commit_in_worker, roll_back_in_worker);

Subtransaction::Subtransaction() : context_(CurrentMemoryContext), owner_(CurrentResourceOwner) {
    server_call([this] {
        BeginInternalSubTransaction(nullptr);
        MemoryContextSwitchTo(context_);
        PushActiveSnapshot(GetTransactionSnapshot());
    });
}

void Subtransaction::commit() {
    server_call([this] {
        PopActiveSnapshot();
        ReleaseCurrentSubTransaction();
        MemoryContextSwitchTo(context_);
        CurrentResourceOwner = owner_;
    });
}

ServerError Subtransaction::keep(const ServerError &error) {
    // The copy that is thrown lies where the error was met, which may go with the subtransaction.
    MemoryContextSwitchTo(context_);
    return ServerError(run_catching(raise_again, error.data()));
}

void Subtransaction::roll_back() {
    server_call([this] {
        RollbackAndReleaseCurrentSubTransaction();
        MemoryContextSwitchTo(context_);
        CurrentResourceOwner = owner_;
    });
}

void prepare_transaction() {
    // Rows that others change meanwhile are to be seen in their new form, not to end the job.
    XactIsoLevel = XACT_READ_COMMITTED;
    server_call([] {
        // Ranges of blocks are what the work is split into; compiling a statement for each would take longer than it.
        set_local("enable_tidscan", "on");
        set_local("jit", "off");
    });
}

}  // namespace csp::server

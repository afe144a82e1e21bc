// Launching of training runs.
#include "training_launch.h"

#include "model_publication.h"
#include "spi.h"
#include "subscription.h"
#include "training_queue.h"
#include "training_run.h"
#include "training_wait.h"

extern "C" {
#include "access/xlog.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "utils/acl.h"
#include "utils/syscache.h"
}

namespace csp::server {

namespace {

// The name and number of the version that the run made, as a last line for the user.
void announce_result(int64 run) {
    SpiRows rows = spi_execute(
        "SELECT pg_catalog.format('model \"%s\" version %s is %s: %s rows in %s s%s', v.model, v.version, "
        DEPLOYED_OR_TRAINED ", "
        "v.provenance OPERATOR(pg_catalog.->>) 'rows', "
        "pg_catalog.round((v.provenance OPERATOR(pg_catalog.->>) 'seconds')::pg_catalog.numeric, 1), "
        "', validation Top-1 ' OPERATOR(pg_catalog.||) pg_catalog.round((v.metrics OPERATOR(pg_catalog.->>) "
        "'validation_top1')::pg_catalog.numeric, 3)::pg_catalog.text) "
        "FROM csp.run r JOIN csp.model_version v ON v.id OPERATOR(pg_catalog.=) r.version "
        "WHERE r.id OPERATOR(pg_catalog.=) $1",
        SpiArguments().add(run));
    if (rows.count() == 1)
        emit_notice(rows.text(0, 1));
}

[[noreturn]] void report_no_worker() {
    throw SqlError(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED, "no background worker is free for training",
                   "All " + std::to_string(max_worker_processes) + " of max_worker_processes are in use.",
                   "Wait until other workers have ended, or raise max_worker_processes and restart the server.");
}

}  // namespace

namespace {

bool may_connect(Oid role) {
#if PG_VERSION_NUM >= 160000
    return object_aclcheck(DatabaseRelationId, MyDatabaseId, role, ACL_CONNECT) == ACLCHECK_OK;
#else
    return pg_database_aclcheck(MyDatabaseId, role, ACL_CONNECT) == ACLCHECK_OK;
#endif
}

}  // namespace

void require_login(Oid role) {
    struct Role {
        bool can_login;
        const char *name;
    };
    Role found = server_call([role] {
        HeapTuple tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(role));
        if (!HeapTupleIsValid(tuple))
            ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("the role that owns the training run does not exist"),
                            errdetail("It did not exist where the run was restored from a dump.")));
        auto *form = (Form_pg_authid)GETSTRUCT(tuple);
        Role result{form->rolcanlogin, pstrdup(NameStr(form->rolname))};
        ReleaseSysCache(tuple);
        return result;
    });
    if (!found.can_login)
        throw SqlError(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
                       "role \"" + std::string(found.name) + "\" is not permitted to log in",
                       "Training runs in a background worker that connects as the current role.",
                       "Use RESET ROLE to train as a role that may log in, or ALTER ROLE ... LOGIN.");
    if (!server_call([role] { return may_connect(role); }))
        throw SqlError(ERRCODE_INSUFFICIENT_PRIVILEGE, "role \"" + std::string(found.name) + "\" may not connect to this database",
                       "Training runs in a background worker that connects as the current role.",
                       "Use RESET ROLE to train as a role that may, or GRANT CONNECT ON DATABASE.");
}

void require_session_that_can_train(FunctionCallInfo fcinfo, const std::string &procedure) {
    if (RecoveryInProgress())
        throw SqlError(ERRCODE_READ_ONLY_SQL_TRANSACTION, "cannot execute " + procedure + " during recovery",
                       "This server is a standby.", "Train on the primary; the model will arrive here by replication.");
    auto *context = reinterpret_cast<CallContext *>(fcinfo->context);
    if (context == nullptr || !IsA(context, CallContext) || context->atomic)
        throw SqlError(ERRCODE_ACTIVE_SQL_TRANSACTION, procedure + " cannot run inside a transaction block",
                       "It commits the run before the training worker starts.",
                       "CALL it outside BEGIN ... COMMIT, functions, and procedures with a SET clause.");
    if (XactReadOnly)
        throw SqlError(ERRCODE_READ_ONLY_SQL_TRANSACTION, "cannot execute " + procedure + " in a read-only transaction", {},
                       "SET transaction_read_only = off, or default_transaction_read_only = off.");
    require_own_runs(procedure);
}

BackgroundWorkerHandle *commit_and_start(int64 own, const std::function<void()> &give_up) {
    finish_transaction();
    InterruptsHeld held;  // so that the caller can roll back: see wait_for_end
    XactIsoLevel = XACT_READ_COMMITTED;  // a new transaction has begun, and no snapshot been taken
    QueueStarts starts = start_queued_runs(own);
    bool in_vain = starts.no_worker_free && starts.own_worker == nullptr && starts.under_way == 0;
    if (in_vain)
        give_up();
    finish_transaction();
    if (in_vain)
        report_no_worker();
    return starts.own_worker;
}

void launch(int64 run, bool wait, void (*give_up)(int64 run)) {
    BackgroundWorkerHandle *worker = commit_and_start(run, [&] { give_up(run); });
    if (!wait) {
        if (worker != nullptr)
            wait_for_start(worker, run);
        return;
    }
    wait_for_end(worker, run);
    announce_result(run);
}

}  // namespace csp::server

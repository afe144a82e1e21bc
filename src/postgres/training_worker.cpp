// The background worker of a training run, as a process.
//
// States: csp_train commits the run as queued; its worker locks it and marks it running before it
// begins, so that a worker which dies leaves a run that says so. Whatever goes wrong is
// recorded in the run; nothing is raised to the postmaster. Then the worker goes on with searches and starts the next run.
#include "training_worker.h"

#include "background_worker.h"
#include "spi.h"
#include "training_checkpoint.h"
#include "training_execution.h"
#include "training_queue.h"
#include "training_run.h"
#include "tune_steps.h"
#include "worker_transactions.h"

extern "C" {
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "utils/guc.h"
#include "utils/ps_status.h"
}

namespace csp::server {

namespace {

void apply_settings(const std::vector<std::string> &settings) {
    for (const std::string &setting : settings) {
        std::size_t equals = setting.find('=');
        std::string name = setting.substr(0, equals), value = setting.substr(equals + 1);
        server_call([&] { SetConfigOption(name.c_str(), value.c_str(), PGC_USERSET, PGC_S_SESSION); });
    }
    // LibTorch and the server's JIT may bring two versions of LLVM into one process, which
    // ends the server; and a synchronised scan would begin anywhere in the table.
    server_call([] {
        SetConfigOption("jit", "off", PGC_USERSET, PGC_S_SESSION);
        SetConfigOption("synchronize_seqscans", "off", PGC_USERSET, PGC_S_SESSION);
    });
    in_transaction([] {});  // temp_tablespaces, set outside one, holds from the transaction after the next on
}

// What it leaves behind is written with the end of the run, so that nobody resumes the run before it is there.
void record_failure(int64 run, const RunFailure &failure, const LastWords &last_words) {
    write_transaction([&] {
        if (!is_own_run(run))
            return;  // deleted meanwhile
        mark_failed(run, failure);
        for (const EpochMetrics &metrics : last_words.metrics)
            record_metrics(run, metrics);
        if (!last_words.checkpoint.empty())
            store_checkpoint(run, last_words.checkpoint);
    });
}

// Whatever is thrown, as a line of the server log; the transaction is over. False if something was.
template <typename Body>
bool or_log(const char *what, Body &&body) {
    RunFailure failure;
    try {
        body();
        return true;
    } catch (...) {
        failure = describe_failure();
    }
    server_call([&] {
        AbortOutOfAnyTransaction();
        ereport(LOG, (errmsg("%s: %s", what, failure.message.c_str())));
    });
    return false;
}

// False if the run was not to begin.
bool execute_run(int64 run) {
    bool begins = false;
    write_transaction([&] { begins = begin_run(run); });
    if (!begins)
        return false;
    or_log("could not delete old training runs", [] { write_transaction(delete_old_runs); });
    RunFailure failure;
    LastWords last_words;
    try {
        std::optional<StoredRun> stored;
        write_transaction([&] { stored = load_run(run); });
        apply_settings(stored.value().settings);
        execute_training(run, std::move(*stored), last_words);
        return true;
    } catch (...) {
        failure = describe_failure();
    }
    if (termination_was_requested() && std::strcmp(failure.state, "cancelled") == 0) {
        failure.message = "terminating training worker due to administrator command";
        failure.sqlstate = "57P01";
    }
    HOLD_INTERRUPTS();  // a second cancel must not keep the first from being recorded
    server_call([] { AbortOutOfAnyTransaction(); });
    if (!or_log("could not write the last checkpoint of a training run", [&] { record_failure(run, failure, last_words); }))
        or_log("could not record the end of a training run", [&] { record_failure(run, failure, {}); });
    RESUME_INTERRUPTS();
    server_call([&] { ereport(LOG, (errmsg("training run %lld ended: %s", (long long)run, failure.message.c_str()))); });
    return true;
}

void start_next_runs() {
    HOLD_INTERRUPTS();  // nobody else would
    or_log("could not go on with searches", go_on_with_searches);
    or_log("could not start queued training runs", [] {
        if (ConfigReloadPending) {  // csp.max_training_workers may have changed while the run went on
            ConfigReloadPending = false;
            server_call([] { ProcessConfigFile(PGC_SIGHUP); });
        }
        write_transaction([] { start_queued_runs(); });
    });
    RESUME_INTERRUPTS();
}

WorkerArguments worker_arguments() {
    WorkerArguments arguments;
    std::memcpy(&arguments, MyBgworkerEntry->bgw_extra, sizeof(arguments));
    return arguments;
}

}  // namespace

void set_up_training_process(Oid database, Oid user, const std::string &name) {
    server_call([&] {
        take_termination_as_cancel();
        pqsignal(SIGHUP, SignalHandlerForConfigReload);
        BackgroundWorkerUnblockSignals();
        BackgroundWorkerInitializeConnectionByOid(database, user, 0);
        // Whatever the role's defaults are: looks at the queue have to be fresh, and runs are written.
        SetConfigOption("default_transaction_isolation", "read committed", PGC_USERSET, PGC_S_SESSION);
        SetConfigOption("default_transaction_read_only", "off", PGC_USERSET, PGC_S_SESSION);
        pgstat_report_appname(name.c_str());
        pgstat_report_activity(STATE_RUNNING, name.c_str());
    });
}

BackgroundWorkerHandle *start_training_worker(int64 run, const std::string &model, Oid user) {
    return register_worker("csp_training_worker_main", "csp_ext training worker", "csp_ext training of model " + model,
                           WorkerArguments{MyDatabaseId, user, run});
}

void start_queue_starter() {
    register_worker("csp_queue_starter_main", "csp_ext queue starter", "csp_ext queue starter",
                    WorkerArguments{MyDatabaseId, InvalidOid, 0});
}

}  // namespace csp::server

extern "C" {

PGDLLEXPORT void csp_training_worker_main(Datum);
PGDLLEXPORT void csp_queue_starter_main(Datum);

void csp_training_worker_main(Datum) {
    using namespace csp::server;
    const WorkerArguments arguments = worker_arguments();
    guard([&] {
        set_up_training_process(arguments.database, arguments.user,
                                "csp_ext training run " + std::to_string(arguments.run));
        if (!execute_run(arguments.run))
            return;
        unlock_run(arguments.run);  // it may be the next to begin again
        start_next_runs();
    });
    proc_exit(0);
}

void csp_queue_starter_main(Datum) {
    using namespace csp::server;
    guard([&] {
        const WorkerArguments arguments = worker_arguments();
        set_up_training_process(arguments.database, arguments.user, "csp_ext queue starter");
        start_next_runs();
    });
    proc_exit(0);
}

}  // extern "C"

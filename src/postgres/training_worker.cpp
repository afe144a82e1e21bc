// The background worker of a training run: reads, trains outside any transaction, publishes.
//
// States: csp_train commits the run as queued; its worker locks it for life and marks it running before it
// begins, so that a worker which dies leaves a run that says so. Whatever goes wrong is
// recorded in the run; nothing is raised to the postmaster. Then the worker starts the next.
#include "training_worker.h"

#include "spi.h"
#include "training_checkpoint.h"
#include "training_library.h"
#include "training_queue.h"
#include "training_run.h"
#include "training_settings.h"

extern "C" {
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/ps_status.h"
}

namespace csp::server {

int csp_training_memory = 2 * 1024 * 1024;

namespace {

constexpr double slice_seconds = 0.05;        // between two looks at interrupts
constexpr double progress_interval_seconds = 0.5;  // between two writes of progress

volatile sig_atomic_t shutdown_requested = 0;

// A request to end is taken as a cancel, so that the run can be recorded as cancelled.
void on_sigterm(SIGNAL_ARGS) {
    int saved_errno = errno;
    shutdown_requested = 1;
    InterruptPending = true;
    QueryCancelPending = true;
    SetLatch(MyLatch);
    errno = saved_errno;
}

double now_seconds() { return double(GetCurrentTimestamp()) * 1e-6; }

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
}

// What a run that is cancelled leaves behind, to be written once its transaction has been aborted.
struct LastWords {
    std::vector<EpochMetrics> metrics;
    std::string checkpoint;
};

// Everything of one run, from reading to publishing.
class TrainingRun {
public:
    TrainingRun(int64 run, StoredRun stored, LastWords &last_words)
        : run_(run), stored_(std::move(stored)), last_words_(last_words) {}

    void execute() {
        started_ = now_seconds();
        read_rows();
        train();
        publish_model();
    }

private:
    void read_rows() {
        const int64_t limit = int64_t(csp_training_memory) * 1024;
        const RunRequest &request = stored_.request;
        in_transaction([&] { rows_ = read_training_rows(request.query, request.options, limit); });
        require_rows();
        data_ = rows_.data(request.query);
        int64_t estimate = estimate_memory(request.options, data_.rows, data_.image_dim, data_.class_count, data_.user_count);
        write_transaction([&] { record_rows(run_, rows_, estimate); });
        if (estimate > limit)
            throw Error(ErrorKind::out_of_memory, "the training run does not fit into csp.training_memory",
                        "It would need about " + std::to_string(estimate >> 20) + " MB for " +
                            std::to_string(data_.rows) + " rows.",
                        "Raise csp.training_memory, lower option batch_size, or train on fewer rows.");
    }

    void require_rows() const {
        if (rows_.classes.empty())
            throw Error(ErrorKind::invalid_data, "the source has no rows to train on",
                        "Of " + std::to_string(rows_.read) + " rows, " + std::to_string(rows_.skipped_location) +
                            " have no location, " + std::to_string(rows_.skipped_features) + " no features and " +
                            std::to_string(rows_.skipped_date) + " no date.");
    }

    void train() {
        write_transaction([&] { mark_phase(run_, "loading the training library"); });
        const TrainingLibrary &library = training_library();
        if (std::string warning = library.blas_warning(); !warning.empty())
            server_call([&] { ereport(WARNING, (errmsg("%s", warning.c_str()))); });
        std::unique_ptr<Trainer> trainer = make_trainer(library, checkpoint_to_go_on_from());
        trained_.device = trainer->device();
        trained_.torch_version = library.torch_version();
        trained_.blas_name = library.blas_name();
        write_transaction([&] { record_device(run_, trained_.device); });

        last_checkpoint_ = now_seconds();
        try {
            train_with(*trainer);
        } catch (const ServerError &) {  // a cancel, most likely: between two steps of the trainer
            if (writes_checkpoints())
                last_words_ = {std::move(pending_metrics_), take_checkpoint(*trainer)};
            throw;
        }
        trained_.model = trainer->finish();
    }

    void train_with(Trainer &trainer) {
        Progress progress;
        while (advance(trainer, progress)) {
            note(progress);
            if (writes_checkpoints() && now_seconds() - last_checkpoint_ >= stored_.request.options.checkpoint_seconds)
                write_checkpoint(take_checkpoint(trainer));
            check_for_interrupts();
        }
    }

    // Without one the run starts anew, whatever an interrupted one has left behind.
    std::string checkpoint_to_go_on_from() {
        std::string checkpoint;
        write_transaction([&] {
            checkpoint = load_checkpoint(run_);
            if (checkpoint.empty())
                delete_metrics(run_);
        });
        return checkpoint;
    }

    bool writes_checkpoints() const { return stored_.request.options.checkpoint_seconds > 0; }

    static std::string take_checkpoint(const Trainer &trainer) {
        SignalBlock no_signals;
        return trainer.checkpoint();
    }

    void write_checkpoint(const std::string &checkpoint) {
        write_with_metrics([&] { store_checkpoint(run_, checkpoint); });
        last_checkpoint_ = now_seconds();
    }

    std::unique_ptr<Trainer> make_trainer(const TrainingLibrary &library, const std::string &checkpoint) {
        SignalBlock no_signals;  // LibTorch starts threads
        return library.make_trainer(stored_.request.options, data_, checkpoint);
    }

    static bool advance(Trainer &trainer, Progress &progress) {
        SignalBlock no_signals;
        return trainer.advance(slice_seconds, progress);
    }

    // Keeps the figures of finished epochs and writes what has gathered from time to time.
    void note(const Progress &progress) {
        last_progress_ = progress;
        if (progress.epoch_finished)
            pending_metrics_.push_back(progress.metrics);
        if (now_seconds() - last_write_ < progress_interval_seconds)
            return;
        write_with_metrics([&] { record_progress(run_, progress); });
        last_write_ = now_seconds();
    }

    // One transaction that also writes the figures that have gathered: so no checkpoint is ahead of them.
    template <typename Body>
    void write_with_metrics(Body &&body) {
        write_transaction([&] {
            for (const EpochMetrics &metrics : pending_metrics_)
                record_metrics(run_, metrics);
            body();
        });
        pending_metrics_.clear();
    }

    void publish_model() {
        trained_.seconds = now_seconds() - started_;
        write_with_metrics([&] {
            record_progress(run_, last_progress_);
            publish(run_, stored_, rows_, trained_);
        });
    }

    int64 run_;
    StoredRun stored_;
    TrainingRows rows_;
    TrainingData data_;
    TrainedVersion trained_;
    std::vector<EpochMetrics> pending_metrics_;
    Progress last_progress_;
    double started_ = 0;
    double last_write_ = 0;
    double last_checkpoint_ = 0;
    LastWords &last_words_;
};

void record_failure(int64 run, const RunFailure &failure, const LastWords &last_words) {
    write_transaction([&] {
        mark_failed(run, failure);
        for (const EpochMetrics &metrics : last_words.metrics)
            record_metrics(run, metrics);
        if (!last_words.checkpoint.empty())
            store_checkpoint(run, last_words.checkpoint);
    });
}

// Whatever is thrown, as a line of the server log; the transaction is over.
template <typename Body>
void or_log(const char *what, Body &&body) {
    RunFailure failure;
    try {
        return body();
    } catch (...) {
        failure = describe_failure();
    }
    server_call([&] {
        AbortOutOfAnyTransaction();
        ereport(LOG, (errmsg("%s: %s", what, failure.message.c_str())));
    });
}

// False if the run was not to begin.
bool execute_run(int64 run) {
    bool begins = false;
    write_transaction([&] { begins = begin_run(run); });
    if (!begins)
        return false;
    RunFailure failure;
    LastWords last_words;
    try {
        std::optional<StoredRun> stored;
        write_transaction([&] { stored = load_run(run); });
        apply_settings(stored.value().settings);
        TrainingRun(run, std::move(*stored), last_words).execute();
        return true;
    } catch (...) {
        failure = describe_failure();
    }
    if (shutdown_requested) {
        failure.message = "terminating training worker due to administrator command";
        failure.sqlstate = "57P01";
    }
    HOLD_INTERRUPTS();  // a second cancel must not keep the first from being recorded
    server_call([] { AbortOutOfAnyTransaction(); });
    or_log("could not record the end of a training run", [&] { record_failure(run, failure, last_words); });
    RESUME_INTERRUPTS();
    server_call([&] { ereport(LOG, (errmsg("training run %lld ended: %s", (long long)run, failure.message.c_str()))); });
    return true;
}

void start_next_runs() {
    HOLD_INTERRUPTS();  // nobody else would
    or_log("could not start queued training runs", [] {
        if (ConfigReloadPending) {  // csp.max_training_workers may have changed while the run went on
            ConfigReloadPending = false;
            server_call([] { ProcessConfigFile(PGC_SIGHUP); });
        }
        write_transaction([] { start_queued_runs(); });
    });
    RESUME_INTERRUPTS();
}

void set_up_process(const WorkerArguments &arguments, const std::string &name) {
    server_call([&] {
        pqsignal(SIGTERM, on_sigterm);
        pqsignal(SIGINT, StatementCancelHandler);
        pqsignal(SIGHUP, SignalHandlerForConfigReload);
        BackgroundWorkerUnblockSignals();
        BackgroundWorkerInitializeConnectionByOid(arguments.database, arguments.user, 0);
        // Whatever the role's defaults are: looks at the queue have to be fresh, and runs are written.
        SetConfigOption("default_transaction_isolation", "read committed", PGC_USERSET, PGC_S_SESSION);
        SetConfigOption("default_transaction_read_only", "off", PGC_USERSET, PGC_S_SESSION);
        pgstat_report_appname(name.c_str());
        pgstat_report_activity(STATE_RUNNING, name.c_str());
    });
}

// Registers a process that begins in `function`; null if max_worker_processes are all in use.
BackgroundWorkerHandle *start_process(const char *function, const char *type, const std::string &name,
                                      const WorkerArguments &arguments) {
    return server_call([&] {
        BackgroundWorker worker{};
        worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
        worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
        worker.bgw_restart_time = BGW_NEVER_RESTART;
        worker.bgw_notify_pid = MyProcPid;
        snprintf(worker.bgw_library_name, sizeof(worker.bgw_library_name), "csp_ext");
        snprintf(worker.bgw_function_name, sizeof(worker.bgw_function_name), "%s", function);
        snprintf(worker.bgw_name, sizeof(worker.bgw_name), "%s", name.c_str());
        snprintf(worker.bgw_type, sizeof(worker.bgw_type), "%s", type);
        static_assert(sizeof(arguments) <= BGW_EXTRALEN, "worker arguments must fit into bgw_extra");
        std::memcpy(worker.bgw_extra, &arguments, sizeof(arguments));

        BackgroundWorkerHandle *handle = nullptr;
        return RegisterDynamicBackgroundWorker(&worker, &handle) ? handle : nullptr;
    });
}

WorkerArguments worker_arguments() {
    WorkerArguments arguments;
    std::memcpy(&arguments, MyBgworkerEntry->bgw_extra, sizeof(arguments));
    return arguments;
}

}  // namespace

BackgroundWorkerHandle *start_training_worker(int64 run, const std::string &model, Oid user) {
    return start_process("csp_training_worker_main", "csp_ext training worker", "csp_ext training of model " + model,
                         {MyDatabaseId, user, run});
}

void start_queue_starter() {
    start_process("csp_queue_starter_main", "csp_ext queue starter", "csp_ext queue starter", {MyDatabaseId, InvalidOid, 0});
}

}  // namespace csp::server

extern "C" {

PGDLLEXPORT void csp_training_worker_main(Datum);
PGDLLEXPORT void csp_queue_starter_main(Datum);

void csp_training_worker_main(Datum) {
    using namespace csp::server;
    const WorkerArguments arguments = worker_arguments();
    guard([&] {
        set_up_process(arguments, "csp_ext training run " + std::to_string(arguments.run));
        if (execute_run(arguments.run))
            start_next_runs();
    });
    proc_exit(0);
}

void csp_queue_starter_main(Datum) {
    using namespace csp::server;
    guard([&] {
        set_up_process(worker_arguments(), "csp_ext queue starter");
        start_next_runs();
    });
    proc_exit(0);
}

}  // extern "C"

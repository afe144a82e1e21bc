// A background worker of csp_embed_table: it takes pieces of the job until there are none.
//
// It connects as the session's user and then takes the session's role and settings, so that the statements mean here what
// they mean there, row-level security included. What goes wrong is told to the session, which raises it.
#include "background_worker.h"
#include "bulk_shared.h"
#include "bulk_work.h"
#include "training_run.h"

extern "C" {
#include "pgstat.h"
#include "storage/ipc.h"
#include "utils/guc.h"
}

namespace csp::server {

namespace {

void apply_settings(const BulkJob &job) {
    server_call([&] {
        // One that cannot be set here, for want of a library say, is left as it is.
        for (const auto &[name, value] : job.settings)
            set_config_option(name.c_str(), value.c_str(), PGC_SUSET, PGC_S_SESSION, GUC_ACTION_SET, true, DEBUG1, false);
        if (!job.role.empty())
            SetConfigOption("role", job.role.c_str(), PGC_USERSET, PGC_S_SESSION);
    });
}

void take_pieces(BulkShared &shared, int number) {
    const BulkJob job = job_from_bytes(shared.job(), shared.job_size);
    MemoryContext context = server_call([] {
        SetCurrentStatementStartTimestamp();
        StartTransactionCommand();
        return AllocSetContextCreate(TopMemoryContext, "csp_ext bulk worker", ALLOCSET_DEFAULT_SIZES);
    });
    MemoryContextSwitchTo(context);
    apply_settings(job);
    worker_transactions.commit();
    while (std::optional<uint32> piece = shared.take_piece()) {
        shared.add(number, execute_piece(job.work.piece(*piece), job.label, job.run, BulkPhase::embedding,
                                         worker_transactions));
        MemoryContextReset(context);
        check_for_worker_interrupts();
    }
    server_call([] { CommitTransactionCommand(); });
    pgstat_report_stat(true);
}

void report_failure(BulkShared &shared, int number) {
    PendingError error = describe_current_exception();
    auto text = [](const char *value) { return value ? std::string(value) : std::string(); };
    if (termination_was_requested())
        shared.fail(number, ERRCODE_ADMIN_SHUTDOWN,
                    "terminating worker of csp_embed_table due to administrator command", {}, {});
    else if (error.server != nullptr)
        shared.fail(number, error.server->sqlerrcode, text(error.server->message), text(error.server->detail),
                    text(error.server->hint));
    else
        shared.fail(number, error.sqlstate, text(error.message), text(error.detail), text(error.hint));
}

// However the process ends, the session hears of it.
void report_end(dsm_segment *segment, Datum number) {
    auto &shared = *static_cast<BulkShared *>(dsm_segment_address(segment));
    if (pg_atomic_read_u32(&shared.participant[DatumGetInt32(number)].state) == participant_working)
        shared.fail(DatumGetInt32(number), ERRCODE_CRASH_SHUTDOWN, "a worker of csp_embed_table ended unexpectedly",
                    "What had been committed stays.", "The server log says why. Call csp_embed_table again to go on.");
}

void execute_worker(const BulkWorkerArguments &arguments) {
    dsm_segment *segment = server_call([&] { return dsm_attach(arguments.segment); });
    if (segment == nullptr)
        return;  // the session has ended
    auto &shared = *static_cast<BulkShared *>(dsm_segment_address(segment));
    if (!shared.leave_absence(arguments.number, participant_working))
        return;
    server_call([&] { on_dsm_detach(segment, report_end, Int32GetDatum(arguments.number)); });
    try {
        take_pieces(shared, arguments.number);
        pg_atomic_write_u32(&shared.participant[arguments.number].state, participant_done);
    } catch (...) {
        report_failure(shared, arguments.number);
        server_call([] { AbortOutOfAnyTransaction(); });
    }
}

void set_up_process(const BulkWorkerArguments &arguments) {
    take_termination_as_cancel();
    BackgroundWorkerUnblockSignals();
    BackgroundWorkerInitializeConnectionByOid(arguments.database, arguments.user, 0);
    pgstat_report_appname("csp_ext bulk worker");
    pgstat_report_activity(STATE_RUNNING, "csp_embed_table");
}

}  // namespace

}  // namespace csp::server

extern "C" {

PGDLLEXPORT void csp_bulk_worker_main(Datum);

void csp_bulk_worker_main(Datum) {
    using namespace csp::server;
    BulkWorkerArguments arguments;
    std::memcpy(&arguments, MyBgworkerEntry->bgw_extra, sizeof(arguments));
    set_up_process(arguments);
    guard([&] { execute_worker(arguments); });
    proc_exit(0);
}

}  // extern "C"

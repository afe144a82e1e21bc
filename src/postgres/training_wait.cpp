// The caller's side of a training run, once its worker is under way.
#include "training_wait.h"

#include "spi.h"
#include "training_run.h"

extern "C" {
#include "pgstat.h"
#include "storage/latch.h"
#if PG_VERSION_NUM >= 140000
#include "utils/wait_event.h"
#endif
}

namespace csp::server {

namespace {

constexpr long poll_milliseconds = 100;
constexpr long cancel_poll_milliseconds = 20;
constexpr double notice_interval_seconds = 2;

struct RunState {
    std::string state, phase, sqlstate, message, detail, hint;
    std::string progress;  // a line for the user
};

// Each look is a transaction of its own: nothing is held while the run goes on.
RunState look_at(int64 run) {
    SpiRows rows = spi_execute(
        "SELECT r.state::pg_catalog.text, r.phase, r.sqlstate, r.message, r.detail, r.hint, "
        "CASE WHEN r.epoch IS NULL THEN pg_catalog.format('run %s: %s', r.id, r.phase) "
        "ELSE pg_catalog.format('run %s: %s, epoch %s of %s, loss %s, %s rows/s', r.id, r.phase, r.epoch, r.epochs, "
        "pg_catalog.round(r.loss::pg_catalog.numeric, 4), pg_catalog.round(r.rows_per_second::pg_catalog.numeric)) END "
        "FROM csp.run r WHERE r.id OPERATOR(pg_catalog.=) $1",
        SpiArguments().add(run));
    RunState state;
    if (rows.count() == 0)
        return state;
    state = {rows.text(0, 1), rows.text(0, 2), rows.text(0, 3), rows.text(0, 4),
             rows.text(0, 5), rows.text(0, 6), rows.text(0, 7)};
    return state;
}

bool has_ended(const RunState &state) { return state.state != "queued" && state.state != "running"; }

[[noreturn]] void report_failure(const RunState &state) {
    if (state.sqlstate.size() != 5)
        throw SqlError(ERRCODE_INTERNAL_ERROR, "training run has been deleted while it ran");
    const char *code = state.sqlstate.c_str();
    throw SqlError(MAKE_SQLSTATE(code[0], code[1], code[2], code[3], code[4]), state.message, state.detail, state.hint);
}

void finish_transaction() {
    server_call([] { SPI_commit(); });
}

// The worker is gone without a word: it could not connect, or it died.
[[noreturn]] void report_lost_worker(int64 run) {
    RunFailure failure{"crashed", "57P02", "training worker of run " + std::to_string(run) + " ended unexpectedly", "",
                       "The server log says why."};
    mark_failed(run, failure);
    finish_transaction();
    throw SqlError(ERRCODE_CRASH_SHUTDOWN, failure.message, {}, failure.hint);
}

void emit_notice(const RunState &state) {
    server_call([&] { ereport(NOTICE, (errmsg_internal("%s", state.progress.c_str()))); });
}

bool worker_has_stopped(BackgroundWorkerHandle *handle) {
    pid_t pid;
    BgwHandleStatus status = GetBackgroundWorkerPid(handle, &pid);
    return status == BGWH_STOPPED || status == BGWH_POSTMASTER_DIED;
}

// The worker ends its run as cancelled when it is told to stop; wait for that.
void cancel_and_wait(BackgroundWorkerHandle *handle) {
    HOLD_INTERRUPTS();
    TerminateBackgroundWorker(handle);
    for (int i = 0; i < 500 && !worker_has_stopped(handle); ++i)
        sleep_on_latch(cancel_poll_milliseconds);
    RESUME_INTERRUPTS();
}

// A look every now and then until `done` says so. The worker is asked before the table: if
// it had stopped by then, the table holds its last word.
template <typename Done>
RunState poll(BackgroundWorkerHandle *handle, int64 run, bool with_notices, Done &&done) {
    TimestampTz last_notice = 0;
    std::string last_phase;
    for (;;) {
        bool stopped = worker_has_stopped(handle);
        RunState state = look_at(run);
        finish_transaction();
        if (done(state))
            return state;
        if (stopped)
            report_lost_worker(run);
        bool due = state.phase != last_phase || double(GetCurrentTimestamp() - last_notice) * 1e-6 >= notice_interval_seconds;
        if (with_notices && due && !state.phase.empty()) {
            emit_notice(state);
            last_notice = GetCurrentTimestamp();
            last_phase = state.phase;
        }
        sleep_on_latch(poll_milliseconds);
        check_for_interrupts();
    }
}

}  // namespace

void sleep_on_latch(long milliseconds) {
    server_call([milliseconds] {
        (void)WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, milliseconds, PG_WAIT_EXTENSION);
        ResetLatch(MyLatch);
    });
}

void wait_for_start(BackgroundWorkerHandle *handle, int64 run) {
    RunState state = poll(handle, run, false, [](const RunState &s) { return s.state != "queued"; });
    if (state.state != "running" && state.state != "succeeded")
        report_failure(state);
}

void wait_for_end(BackgroundWorkerHandle *handle, int64 run) {
    try {
        RunState state = poll(handle, run, true, has_ended);
        if (state.state != "succeeded")
            report_failure(state);
    } catch (const ServerError &) {
        cancel_and_wait(handle);
        throw;
    }
}

}  // namespace csp::server

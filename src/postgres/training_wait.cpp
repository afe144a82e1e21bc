// The caller's side of a training run, once its worker is under way.
#include "training_wait.h"

#include "background_worker.h"
#include "spi.h"
#include "training_queue.h"
#include "training_run.h"

extern "C" {
#include "pgstat.h"
#include "storage/latch.h"
#include "utils/fmgrprotos.h"
#if PG_VERSION_NUM >= 140000
#include "utils/wait_event.h"
#endif
}

namespace csp::server {

namespace {

constexpr long poll_milliseconds = 100;
constexpr long cancel_poll_milliseconds = 20;
constexpr int cancel_polls = 500;
constexpr double notice_interval_seconds = 2;

struct RunState {
    std::string state, phase, sqlstate, message, detail, hint;
    std::string progress;  // a line for the user
    bool lost = false;     // said to be running, and nobody holds its lock
    bool launched = false;  // queued, with a worker that is about to begin it
};

// Each look is a transaction of its own: nothing is held while the run goes on.
RunState look_at(int64 run) {
    SpiRows rows = spi_execute(
        "SELECT r.state::pg_catalog.text, r.phase, r.sqlstate, r.message, r.detail, r.hint, "
        "CASE WHEN r.state OPERATOR(pg_catalog.=) 'queued' THEN pg_catalog.format('run %s: queued', r.id) "
        "WHEN r.epoch IS NULL THEN pg_catalog.format('run %s: %s', r.id, r.phase) "
        "ELSE pg_catalog.format('run %s: %s, epoch %s of %s, loss %s, %s rows/s', r.id, r.phase, r.epoch, r.epochs, "
        "pg_catalog.round(r.loss::pg_catalog.numeric, 4), pg_catalog.round(r.rows_per_second::pg_catalog.numeric)) END, "
        "(r.state OPERATOR(pg_catalog.=) 'running' AND NOT csp.run_is_alive(r.id))::pg_catalog.text, "
        "(r.launched IS NOT NULL)::pg_catalog.text "
        "FROM csp.run r WHERE r.id OPERATOR(pg_catalog.=) $1",
        SpiArguments().add(run));
    RunState state;
    if (rows.count() == 0)
        return state;
    state = {rows.text(0, 1), rows.text(0, 2), rows.text(0, 3), rows.text(0, 4),
             rows.text(0, 5), rows.text(0, 6), rows.text(0, 7), rows.text(0, 8) == "true", rows.text(0, 9) == "true"};
    return state;
}

bool is_queued(const RunState &state) { return state.state == "queued"; }

bool has_ended(const RunState &state) { return state.state != "queued" && state.state != "running"; }

[[noreturn]] void report_failure(const RunState &state) {
    if (state.sqlstate.size() != 5)
        throw SqlError(ERRCODE_UNDEFINED_OBJECT, "training run is no longer there",
                       "It has been deleted while it ran, or given to another role.");
    throw SqlError(pack_sqlstate(state.sqlstate.c_str()), state.message, state.detail, state.hint);
}

// The worker is gone without a word: it could not connect, or it died.
[[noreturn]] void report_lost_worker(int64 run) {
    RunFailure failure{"crashed", "57P02", "training worker of run " + std::to_string(run) + " ended unexpectedly", "",
                       "The server log says why."};
    mark_failed(run, failure);
    finish_transaction();
    throw SqlError(ERRCODE_CRASH_SHUTDOWN, failure.message, {}, failure.hint);
}

// One look and the end of its transaction. Interrupts wait meanwhile: when one is raised there is nothing that a
// roll back would meet half done.
RunState look_in_transaction(int64 run) {
    InterruptsHeld held;
    RunState state = look_at(run);
    bool in_vain = is_queued(state) && queue_needs_attention();
    finish_transaction();
    if (in_vain) {  // here, without a process that would take the only worker that is free
        XactIsoLevel = XACT_READ_COMMITTED;
        start_queued_runs_unless_busy();
        finish_transaction();
    }
    return state;
}

// Whoever is interrupted while he waits ends the run; wait for that.
void cancel_and_wait(int64 run) {
    server_call([] { SPI_rollback(); });
    InterruptsHeld held;
    cancel_run(run);
    finish_transaction();
    for (int i = 0; i < cancel_polls && !has_ended(look_in_transaction(run)); ++i)
        sleep_on_latch(cancel_poll_milliseconds);
}

// Notices of the progress: at each new phase, and every other second.
class Notices {
public:
    void show(const RunState &state) {
        std::string phase = is_queued(state) ? state.state : state.phase;
        bool due = phase != last_phase_ || double(GetCurrentTimestamp() - last_) * 1e-6 >= notice_interval_seconds;
        if (!due || phase.empty())
            return;
        emit_notice(state.progress);
        last_ = GetCurrentTimestamp();
        last_phase_ = phase;
    }

private:
    TimestampTz last_ = 0;
    std::string last_phase_;
};

// Whether the run will not go on, which is certain only at a second look: see find_run in training_control.cpp. A worker
// that was started and has stopped without a word leaves the run as launched.
bool is_lost(const RunState &state, bool worker_stopped) {
    return state.lost || (worker_stopped && is_queued(state) && state.launched);
}

}  // namespace

void finish_transaction() {
    server_call([] { SPI_commit(); });
}

void emit_notice(const std::string &line) {
    server_call([&] { ereport(NOTICE, (errmsg_internal("%s", line.c_str()))); });
}

bool is_interrupt(const ServerError &error) {
    return ERRCODE_TO_CATEGORY(error.data()->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION;
}

std::string wait_for_state(FunctionCallInfo fcinfo, int timeout_argument, const std::function<std::string()> &look) {
    TimestampTz deadline = DT_NOEND;
    if (!PG_ARGISNULL(timeout_argument))
        deadline = DatumGetTimestampTz(server_call([&] {
            return DirectFunctionCall2(timestamptz_pl_interval, TimestampTzGetDatum(GetCurrentTimestamp()),
                                       PG_GETARG_DATUM(timeout_argument));
        }));
    for (;;) {
        std::string state = look();
        if ((state != "queued" && state != "running") || GetCurrentTimestamp() >= deadline)
            return state;
        sleep_on_latch(poll_milliseconds);
        check_for_interrupts();
    }
}

Datum run_state_datum(FunctionCallInfo fcinfo, const std::string &state) {
    Oid type = get_fn_expr_rettype(fcinfo->flinfo);
    return server_call(
        [&] { return DirectFunctionCall2(enum_in, CStringGetDatum(state.c_str()), ObjectIdGetDatum(type)); });
}

void sleep_on_latch(long milliseconds) {
    server_call([milliseconds] {
        (void)WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, milliseconds, PG_WAIT_EXTENSION);
        ResetLatch(MyLatch);
    });
}

// The worker is asked before the table: if it had stopped by then, the table holds its last word.
void wait_for_start(BackgroundWorkerHandle *handle, int64 run) {
    for (;;) {
        bool stopped = worker_has_stopped(handle);
        RunState state = look_in_transaction(run);
        if (has_ended(state) && state.state != "succeeded")
            report_failure(state);
        if (!is_queued(state) || (stopped && !state.launched))
            return;
        if (is_lost(state, stopped))
            report_lost_worker(run);
        sleep_on_latch(poll_milliseconds);
        check_for_interrupts();
    }
}

namespace {

RunState poll_to_end(BackgroundWorkerHandle *handle, int64 run) {
    Notices notices;
    bool lost = false;
    for (;;) {
        bool stopped = handle != nullptr && worker_has_stopped(handle);
        RunState state = look_in_transaction(run);
        if (has_ended(state))
            return state;
        if (stopped && is_queued(state) && !state.launched)
            handle = nullptr;  // it came too early: another will come
        bool lost_before = lost;
        lost = is_lost(state, stopped && handle != nullptr);
        if (lost && lost_before)
            report_lost_worker(run);
        notices.show(state);
        sleep_on_latch(poll_milliseconds);
        check_for_interrupts();
    }
}

}  // namespace

void wait_for_end(BackgroundWorkerHandle *handle, int64 run) {
    try {
        RunState state = poll_to_end(handle, run);
        if (state.state != "succeeded")
            report_failure(state);
    } catch (const ServerError &error) {
        if (is_interrupt(error))
            cancel_and_wait(run);
        throw;
    }
}

}  // namespace csp::server

// Control of a run: csp_resume, csp_cancel, csp_wait, and what the views ask.
#include "spi.h"
#include "training_launch.h"
#include "training_queue.h"
#include "training_run.h"
#include "training_wait.h"

extern "C" {
#include "utils/acl.h"
}

using namespace csp;
using namespace csp::server;

namespace {

struct VisibleRun {
    Oid owner;
    std::string state;
};

// Under the latest snapshot, whatever the isolation level: what is asked is how things stand.
VisibleRun look_for_run(int64 run) {
    server_call([] { PushActiveSnapshot(GetLatestSnapshot()); });
    SpiRows rows = spi_execute("SELECT r.owner::pg_catalog.oid, csp.current_state(r)::pg_catalog.text "
                               "FROM csp.run r WHERE r.id OPERATOR(pg_catalog.=) $1",
                               SpiArguments().add(run), true);
    server_call([] { PopActiveSnapshot(); });
    if (rows.count() == 0)
        throw SqlError(ERRCODE_UNDEFINED_OBJECT, "training run " + std::to_string(run) + " does not exist", {},
                       "View csp.runs lists your runs.");
    bool is_null;
    return {DatumGetObjectId(rows.datum(0, 1, is_null)), rows.text(0, 2)};
}

// A worker records the end of its run and then lets go of its lock: between our snapshot and our look at the lock it may
// have done both. A second look tells.
VisibleRun find_run(int64 run) {
    VisibleRun found = look_for_run(run);
    return found.state == "crashed" ? look_for_run(run) : found;
}

bool is_under_way(const VisibleRun &run) { return run.state == "queued" || run.state == "running"; }

void require_membership(const VisibleRun &run) {
    if (!server_call([&] { return has_privs_of_role(GetUserId(), run.owner); }))
        throw SqlError(ERRCODE_INSUFFICIENT_PRIVILEGE, "must be a member of the role that owns the training run");
}

void give_up_resuming(int64 run) {
    mark_failed(run, {"failed", "53400", "no background worker was free to resume the training run", "", ""});
}

// A search has its trials go on by itself; one that has ended knows nothing to do with a trial.
void require_no_trial(int64 run) {
    SpiRows rows = spi_execute("SELECT r.search FROM csp.run r WHERE r.id OPERATOR(pg_catalog.=) $1 AND r.search IS NOT NULL",
                               SpiArguments().add(run));
    if (rows.count() > 0)
        throw SqlError(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                       "training run " + std::to_string(run) + " is a trial of search " + std::to_string(rows.bigint(0, 1)),
                       "A search has its trials go on by itself.", "If it has ended, resume it with csp_resume_search.");
}

void resume(FunctionCallInfo fcinfo) {
    require_session_that_can_train(fcinfo, "csp_resume");
    if (PG_ARGISNULL(0))
        throw SqlError(ERRCODE_NULL_VALUE_NOT_ALLOWED, "run must not be NULL");
    int64 run = PG_GETARG_INT64(0);
    bool wait = PG_ARGISNULL(1) || PG_GETARG_BOOL(1);

    server_call([] { SPI_connect_ext(SPI_OPT_NONATOMIC); });
    require_membership(find_run(run));
    require_no_trial(run);
    RunToResume found = queue_again(run);
    require_login(found.owner);
    require_model_rights(found.model, found.owner);
    launch(run, wait, give_up_resuming);
    server_call([] { SPI_finish(); });
}

}  // namespace

extern "C" {

PG_FUNCTION_INFO_V1(csp_resume);
PG_FUNCTION_INFO_V1(csp_cancel);
PG_FUNCTION_INFO_V1(csp_wait);
PG_FUNCTION_INFO_V1(csp_run_is_alive);
PG_FUNCTION_INFO_V1(csp_wake_queue);
PG_FUNCTION_INFO_V1(csp_queue_position);

// csp_resume(run, wait)
Datum csp_resume(PG_FUNCTION_ARGS) {
    return guard([&]() -> Datum {
        resume(fcinfo);
        PG_RETURN_NULL();
    });
}

// csp_cancel(run) -> boolean
Datum csp_cancel(PG_FUNCTION_ARGS) {
    return guard([&]() -> Datum {
        bool ends = with_spi([&] {
            VisibleRun run = find_run(PG_GETARG_INT64(0));
            require_membership(run);
            return is_under_way(run) && cancel_run(PG_GETARG_INT64(0));
        });
        PG_RETURN_BOOL(ends);
    });
}

// csp_wait(run, timeout) -> csp.run_state
Datum csp_wait(PG_FUNCTION_ARGS) {
    return guard([&]() -> Datum {
        if (PG_ARGISNULL(0))
            PG_RETURN_NULL();
        const std::string state = wait_for_state(
            fcinfo, 1, [&] { return with_spi([&] { return find_run(PG_GETARG_INT64(0)).state; }); });
        PG_RETURN_DATUM(run_state_datum(fcinfo, state));
    });
}

// csp.run_is_alive(run) -> boolean
Datum csp_run_is_alive(PG_FUNCTION_ARGS) {
    return guard([&]() -> Datum { PG_RETURN_BOOL(run_is_alive(PG_GETARG_INT64(0))); });
}

// csp.queue_position(run) -> bigint
Datum csp_queue_position(PG_FUNCTION_ARGS) {
    return guard([&]() -> Datum {
        int64 position = with_spi([&] { return queue_position(PG_GETARG_INT64(0)); });
        if (position == 0)
            PG_RETURN_NULL();
        PG_RETURN_INT64(position);
    });
}

// csp.wake_queue() -> boolean
Datum csp_wake_queue(PG_FUNCTION_ARGS) {
    (void)fcinfo;
    return guard([]() -> Datum {
        with_spi([] { wake_queue(); });
        PG_RETURN_BOOL(true);
    });
}

}  // extern "C"

// Control of a search: csp_resume_search, csp_cancel_search, csp_wait_search.
#include "spi.h"
#include "training_launch.h"
#include "training_wait.h"
#include "tune_search.h"
#include "tune_steps.h"
#include "tune_wait.h"

extern "C" {
#include "utils/acl.h"
}

using namespace csp;
using namespace csp::server;

namespace {

struct VisibleSearch {
    Oid owner;
    std::string state;
};

// Under the latest snapshot, whatever the isolation level: what is asked is how things stand.
VisibleSearch find_search(int64 search) {
    server_call([] { PushActiveSnapshot(GetLatestSnapshot()); });
    SpiRows rows = spi_execute("SELECT s.owner::pg_catalog.oid, csp.current_search_state(s)::pg_catalog.text "
                               "FROM csp.search s WHERE s.id OPERATOR(pg_catalog.=) $1",
                               SpiArguments().add(search), true);
    server_call([] { PopActiveSnapshot(); });
    if (rows.count() == 0)
        throw SqlError(ERRCODE_UNDEFINED_OBJECT, "search " + std::to_string(search) + " does not exist", {},
                       "View csp.searches lists your searches.");
    bool is_null;
    return {DatumGetObjectId(rows.datum(0, 1, is_null)), rows.text(0, 2)};
}

void require_membership(const VisibleSearch &search) {
    if (!server_call([&] { return has_privs_of_role(GetUserId(), search.owner); }))
        throw SqlError(ERRCODE_INSUFFICIENT_PRIVILEGE, "must be a member of the role that owns the search");
}

void resume_search(FunctionCallInfo fcinfo) {
    require_session_that_can_train(fcinfo, "csp_resume_search");
    if (PG_ARGISNULL(0))
        throw SqlError(ERRCODE_NULL_VALUE_NOT_ALLOWED, "search must not be NULL");
    int64 search = PG_GETARG_INT64(0);
    bool wait = PG_ARGISNULL(1) || PG_GETARG_BOOL(1);

    server_call([] { SPI_connect_ext(SPI_OPT_NONATOMIC); });
    require_membership(find_search(search));
    SearchToResume found = reopen_search(search);
    require_login(found.owner);
    require_model_rights(found.model, found.owner);
    go_on_with_search(search);
    const RunFailure no_worker{"failed", "53400", "no background worker was free to resume the search", "", ""};
    commit_and_start(0, [&] { end_search(search, no_worker); });
    if (wait)
        wait_for_search(search);
    server_call([] { SPI_finish(); });
}

bool cancel_search(int64 search) {
    VisibleSearch found = find_search(search);
    require_membership(found);
    return found.state == "running" && end_search(search, search_cancellation());
}

}  // namespace

extern "C" {

PG_FUNCTION_INFO_V1(csp_resume_search);
PG_FUNCTION_INFO_V1(csp_cancel_search);
PG_FUNCTION_INFO_V1(csp_wait_search);

// csp_resume_search(search, wait)
Datum csp_resume_search(PG_FUNCTION_ARGS) {
    return guard([&]() -> Datum {
        resume_search(fcinfo);
        PG_RETURN_NULL();
    });
}

// csp_cancel_search(search) -> boolean
Datum csp_cancel_search(PG_FUNCTION_ARGS) {
    return guard([&]() -> Datum { PG_RETURN_BOOL(with_spi([&] { return cancel_search(PG_GETARG_INT64(0)); })); });
}

// csp_wait_search(search, timeout) -> csp.run_state
Datum csp_wait_search(PG_FUNCTION_ARGS) {
    return guard([&]() -> Datum {
        if (PG_ARGISNULL(0))
            PG_RETURN_NULL();
        const std::string state = wait_for_state(
            fcinfo, 1, [&] { return with_spi([&] { return find_search(PG_GETARG_INT64(0)).state; }); });
        PG_RETURN_DATUM(run_state_datum(fcinfo, state));
    });
}

}  // extern "C"

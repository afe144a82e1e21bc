// csp_train and the functions that control a run: the caller's side.
#include "geometry.h"
#include "options_argument.h"
#include "spi.h"
#include "training_run.h"
#include "training_wait.h"
#include "training_worker.h"

extern "C" {
#include "access/xlog.h"
#include "catalog/pg_authid.h"
#include "utils/acl.h"
#include "utils/fmgrprotos.h"
#include "utils/syscache.h"
}

#include <csignal>

using namespace csp;
using namespace csp::server;

namespace {

std::string text_or_empty(FunctionCallInfo fcinfo, int argument) {
    if (PG_ARGISNULL(argument))
        return {};
    auto *value = server_call([&] { return PG_GETARG_TEXT_PP(argument); });
    return std::string(VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value));
}

// ---- what must hold before anything is done ---------------------------------------------

void require_login(Oid role) {
    struct Role {
        bool can_login;
        const char *name;
    };
    Role found = server_call([role] {
        HeapTuple tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(role));
        if (!HeapTupleIsValid(tuple))
            elog(ERROR, "cache lookup failed for role %u", role);
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
}

// ---- csp_train --------------------------------------------------------------------------

enum TrainArgument { arg_model, arg_source, arg_location, arg_features, arg_label, arg_options, arg_wait };

RunRequest request_from_arguments(FunctionCallInfo fcinfo) {
    if (PG_ARGISNULL(arg_model) || PG_ARGISNULL(arg_source))
        throw SqlError(ERRCODE_NULL_VALUE_NOT_ALLOWED, "model and source must not be NULL");
    RunRequest request;
    request.model = text_or_empty(fcinfo, arg_model);
    request.source = text_or_empty(fcinfo, arg_source);
    set_options(request.options, options_argument(fcinfo, arg_options));
    validate(request.options);
    return request;
}

void check_request(FunctionCallInfo fcinfo, RunRequest &request) {
    require_model_rights(request.model, GetUserId());
    request.query = resolve_training_query(
        request.source, {text_or_empty(fcinfo, arg_location), text_or_empty(fcinfo, arg_features),
                         text_or_empty(fcinfo, arg_label), request.options.observed_at, request.options.observer});
    if (!request.query.has_features && !request.query.has_label)
        throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "there is nothing to learn from",
                       "Neither features nor label names a column.",
                       "Give features for contrastive pre-training, label for supervised training, or both.");
}

// The name and number of the version that the run made, as a last line for the user.
void announce_result(int64 run) {
    SpiRows rows = spi_execute(
        "SELECT pg_catalog.format('model \"%s\" version %s is deployed: %s rows in %s s%s', v.model, v.version, "
        "v.provenance OPERATOR(pg_catalog.->>) 'rows', "
        "pg_catalog.round((v.provenance OPERATOR(pg_catalog.->>) 'seconds')::pg_catalog.numeric, 1), "
        "', validation Top-1 ' OPERATOR(pg_catalog.||) pg_catalog.round((v.metrics OPERATOR(pg_catalog.->>) "
        "'validation_top1')::pg_catalog.numeric, 3)::pg_catalog.text) "
        "FROM csp.run r JOIN csp.model_version v ON v.id OPERATOR(pg_catalog.=) r.version "
        "WHERE r.id OPERATOR(pg_catalog.=) $1",
        SpiArguments().add(run));
    if (rows.count() == 1) {
        std::string line = rows.text(0, 1);
        server_call([&] { ereport(NOTICE, (errmsg_internal("%s", line.c_str()))); });
    }
}

// Commits the run with the registration of its worker, and waits: for the start at least.
void launch(int64 run, const std::string &model, Oid user, bool wait) {
    BackgroundWorkerHandle *handle = start_training_worker(run, model, user);
    server_call([] { SPI_commit(); });
    wait_for_start(handle, run);
    if (wait) {
        wait_for_end(handle, run);
        announce_result(run);
    }
}

int64 train(FunctionCallInfo fcinfo) {
    require_session_that_can_train(fcinfo, "csp_train");
    require_login(GetUserId());
    RunRequest request = request_from_arguments(fcinfo);
    bool wait = PG_ARGISNULL(arg_wait) || PG_GETARG_BOOL(arg_wait);

    server_call([] { SPI_connect_ext(SPI_OPT_NONATOMIC); });
    check_request(fcinfo, request);
    int64 run = insert_run(request);
    launch(run, request.model, GetUserId(), wait);
    server_call([] { SPI_finish(); });
    return run;
}

Datum run_as_record(FunctionCallInfo fcinfo, int64 run) {
    return server_call([&] {
        TupleDesc descriptor;
        if (get_call_result_type(fcinfo, nullptr, &descriptor) != TYPEFUNC_COMPOSITE)
            elog(ERROR, "return type must be a row type");
        Datum values[] = {Int64GetDatum(run)};
        bool nulls[] = {false};
        return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(descriptor), values, nulls));
    });
}

// ---- control of a run -------------------------------------------------------------------

struct VisibleRun {
    Oid owner;
    int32 pid;
    std::string state;
};

VisibleRun find_run(int64 run) {
    SpiRows rows = spi_execute("SELECT r.owner::pg_catalog.oid, r.pid, csp.current_state(r)::pg_catalog.text "
                               "FROM csp.run r WHERE r.id OPERATOR(pg_catalog.=) $1",
                               SpiArguments().add(run));
    if (rows.count() == 0)
        throw SqlError(ERRCODE_UNDEFINED_OBJECT, "training run " + std::to_string(run) + " does not exist", {},
                       "View csp.runs lists your runs.");
    bool is_null;
    return {DatumGetObjectId(rows.datum(0, 1, is_null)), rows.integer(0, 2), rows.text(0, 3)};
}

bool is_under_way(const VisibleRun &run) { return run.state == "queued" || run.state == "running"; }

void require_membership(const VisibleRun &run) {
    if (!server_call([&] { return has_privs_of_role(GetUserId(), run.owner); }))
        throw SqlError(ERRCODE_INSUFFICIENT_PRIVILEGE, "must be a member of the role that owns the training run");
}

void resume(FunctionCallInfo fcinfo) {
    require_session_that_can_train(fcinfo, "csp_resume");
    if (PG_ARGISNULL(0))
        throw SqlError(ERRCODE_NULL_VALUE_NOT_ALLOWED, "run must not be NULL");
    int64 run = PG_GETARG_INT64(0);
    bool wait = PG_ARGISNULL(1) || PG_GETARG_BOOL(1);

    server_call([] { SPI_connect_ext(SPI_OPT_NONATOMIC); });
    require_membership(find_run(run));
    RunToResume found = queue_again(run);
    require_login(found.owner);
    require_model_rights(found.model, found.owner);
    launch(run, found.model, found.owner, wait);
    server_call([] { SPI_finish(); });
}

}  // namespace

extern "C" {

PG_FUNCTION_INFO_V1(csp_train);
PG_FUNCTION_INFO_V1(csp_resume);
PG_FUNCTION_INFO_V1(csp_cancel);
PG_FUNCTION_INFO_V1(csp_wait);
PG_FUNCTION_INFO_V1(csp_run_is_alive);

// csp_train(model, source, location, features, label, options, wait, INOUT run)
Datum csp_train(PG_FUNCTION_ARGS) {
    return guard([&] { return run_as_record(fcinfo, train(fcinfo)); });
}

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
        int64 id = PG_GETARG_INT64(0);
        VisibleRun run = with_spi([&] { return find_run(id); });
        require_membership(run);
        // The state says running only while a worker holds the run's lock, so the pid is its.
        bool signalled = run.state == "running" && run.pid > 0 && kill(run.pid, SIGINT) == 0;
        PG_RETURN_BOOL(signalled);
    });
}

// csp_wait(run, timeout) -> csp.run_state
Datum csp_wait(PG_FUNCTION_ARGS) {
    return guard([&]() -> Datum {
        if (PG_ARGISNULL(0))
            PG_RETURN_NULL();
        TimestampTz deadline = DT_NOEND;
        if (!PG_ARGISNULL(1))
            deadline = DatumGetTimestampTz(server_call([&] {
                return DirectFunctionCall2(timestamptz_pl_interval, TimestampTzGetDatum(GetCurrentTimestamp()),
                                           PG_GETARG_DATUM(1));
            }));
        VisibleRun run;
        for (;;) {
            run = with_spi([&] { return find_run(PG_GETARG_INT64(0)); });
            if (!is_under_way(run) || GetCurrentTimestamp() >= deadline)
                break;
            sleep_on_latch(100);
            check_for_interrupts();
        }
        Oid type = get_fn_expr_rettype(fcinfo->flinfo);
        PG_RETURN_DATUM(server_call([&] {
            return DirectFunctionCall2(enum_in, CStringGetDatum(run.state.c_str()), ObjectIdGetDatum(type));
        }));
    });
}

// csp.run_is_alive(run) -> boolean
Datum csp_run_is_alive(PG_FUNCTION_ARGS) {
    return guard([&]() -> Datum { PG_RETURN_BOOL(run_is_alive(PG_GETARG_INT64(0))); });
}

}  // extern "C"

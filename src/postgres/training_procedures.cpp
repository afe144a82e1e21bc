// csp_train.
#include "options_argument.h"
#include "procedure_result.h"
#include "spi.h"
#include "training_launch.h"
#include "training_library.h"
#include "training_run.h"
#include "training_settings.h"

#include "../training/hardware.h"

using namespace csp;
using namespace csp::server;

namespace {

std::string text_or_empty(FunctionCallInfo fcinfo, int argument) {
    if (PG_ARGISNULL(argument))
        return {};
    auto *value = server_call([&] { return PG_GETARG_TEXT_PP(argument); });
    return std::string(VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value));
}

enum TrainArgument { arg_model, arg_source, arg_location, arg_features, arg_label, arg_options, arg_wait };

RunRequest request_from_arguments(FunctionCallInfo fcinfo) {
    if (PG_ARGISNULL(arg_model) || PG_ARGISNULL(arg_source))
        throw SqlError(ERRCODE_NULL_VALUE_NOT_ALLOWED, "model and source must not be NULL");
    RunRequest request;
    request.model = text_or_empty(fcinfo, arg_model);
    request.source = text_or_empty(fcinfo, arg_source);
    request.options.device = csp_device;
    set_options(request.options, options_argument(fcinfo, arg_options));
    validate(request.options);
    SignalBlock no_signals;  // a driver may start threads
    require_device(request.options.device);
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

int64 train(FunctionCallInfo fcinfo) {
    require_session_that_can_train(fcinfo, "csp_train");
    require_login(GetUserId());
    RunRequest request = request_from_arguments(fcinfo);
    bool wait = PG_ARGISNULL(arg_wait) || PG_GETARG_BOOL(arg_wait);

    server_call([] { SPI_connect_ext(SPI_OPT_NONATOMIC); });
    check_request(fcinfo, request);
    int64 run = insert_run(request);
    launch(run, wait, delete_run);
    server_call([] { SPI_finish(); });
    return run;
}

}  // namespace

extern "C" {

PG_FUNCTION_INFO_V1(csp_train);

// csp_train(model, source, location, features, label, options, wait, INOUT run)
Datum csp_train(PG_FUNCTION_ARGS) {
    return guard([&] { return bigint_record(fcinfo, train(fcinfo)); });
}

}  // extern "C"

// csp_train.
#include "options_argument.h"
#include "procedure_result.h"
#include "spi.h"
#include "training_initial.h"
#include "training_launch.h"
#include "training_request.h"

using namespace csp;
using namespace csp::server;

namespace {

enum TrainArgument { arg_options = arg_label + 1, arg_wait };

int64 train(FunctionCallInfo fcinfo) {
    require_session_that_can_train(fcinfo, "csp_train");
    require_login(GetUserId());
    RunRequest request = request_from_arguments(fcinfo);
    set_options(request.options, complete_options(options_argument(fcinfo, arg_options)));
    validate(request.options);
    require_usable_device(request.options);
    bool wait = PG_ARGISNULL(arg_wait) || PG_GETARG_BOOL(arg_wait);

    server_call([] { SPI_connect_ext(SPI_OPT_NONATOMIC); });
    resolve_request(fcinfo, request);
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

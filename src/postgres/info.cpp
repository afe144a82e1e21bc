// csp_info, csp_options and csp_evaluation_options: what this installation is and what it can be told.
#include "guard.h"
#include "spi.h"
#include "training_library.h"

#include "../encoder/model.h"
#include "../training/evaluation_options.h"
#include "../training/hardware.h"
#include "../training/options.h"

#ifndef CSP_EXT_VERSION
#error "the Makefile defines CSP_EXT_VERSION"
#endif

using namespace csp;
using namespace csp::server;

namespace {

using TextRow = std::vector<std::string>;

// Adds rows of text columns to a materialized result; "" becomes NULL.
void put_text_row(FunctionCallInfo fcinfo, const TextRow &row) {
    auto *result = reinterpret_cast<ReturnSetInfo *>(fcinfo->resultinfo);
    std::vector<Datum> values(row.size());
    std::unique_ptr<bool[]> nulls(new bool[row.size()]);
    for (std::size_t i = 0; i < row.size(); ++i) {
        nulls[i] = row[i].empty();
        if (!nulls[i])
            values[i] = server_call([&] { return CStringGetTextDatum(row[i].c_str()); });
    }
    server_call([&] { tuplestore_putvalues(result->setResult, result->setDesc, values.data(), nulls.get()); });
}

// A driver may start threads, which must not run this process's signal handlers.
std::vector<DeviceDescription> devices() {
    SignalBlock no_signals;
    return list_devices();
}

}  // namespace

extern "C" {

PG_FUNCTION_INFO_V1(csp_info);
PG_FUNCTION_INFO_V1(csp_options);
PG_FUNCTION_INFO_V1(csp_evaluation_options);

// csp_info() -> setof (name, value)
Datum csp_info(PG_FUNCTION_ARGS) {
    return guard([&]() -> Datum {
        server_call([&] { InitMaterializedSRF(fcinfo, 0); });
        put_text_row(fcinfo, {"version", CSP_EXT_VERSION});
        put_text_row(fcinfo, {"server", PG_VERSION});
        put_text_row(fcinfo, {"compiler", __VERSION__});
        put_text_row(fcinfo, {"instruction set", kernel_instruction_set()});
        put_text_row(fcinfo, {"training library", training_library_path()});
        put_text_row(fcinfo, {"training library installed", training_library_exists() ? "yes" : "no"});
        for (const DeviceDescription &device : devices())
            put_text_row(fcinfo, {"device " + device.device, device.text});
        PG_RETURN_NULL();
    });
}

// csp_evaluation_options() -> setof (name, type, default_value, range, description)
Datum csp_evaluation_options(PG_FUNCTION_ARGS) {
    return guard([&]() -> Datum {
        server_call([&] { InitMaterializedSRF(fcinfo, 0); });
        for (const OptionDescription &option : describe_evaluation_options())
            put_text_row(fcinfo, {option.name, option.type, option.default_value, option.range, option.description});
        PG_RETURN_NULL();
    });
}

// csp_options() -> setof (name, published_name, type, default_value, range, description)
Datum csp_options(PG_FUNCTION_ARGS) {
    return guard([&]() -> Datum {
        server_call([&] { InitMaterializedSRF(fcinfo, 0); });
        for (const OptionDescription &option : describe_options())
            put_text_row(fcinfo, {option.name, option.published_name, option.type, option.default_value, option.range,
                                  option.description});
        PG_RETURN_NULL();
    });
}

}  // extern "C"

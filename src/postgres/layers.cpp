// What csp_create_prior_layer needs beyond SQL: the name that a layer goes on to use for its model.
#include "catalog.h"
#include "spi.h"
#include "text_argument.h"

using namespace csp;
using namespace csp::server;

namespace {

// Of the model that functions use when none is named.
std::string default_model_name() {
    const int64 version = resolve_model(nullptr);
    if (csp_model_setting != nullptr && *csp_model_setting != '\0')
        return csp_model_setting;
    return with_spi([version] {
        return spi_execute("SELECT m.name FROM csp.model m WHERE m.deployed OPERATOR(pg_catalog.=) $1", SpiArguments().add(version),
                           true).text(0, 1);
    });
}

std::string checked_model_name(const std::string &name) {
    resolve_model(name.c_str());
    return name;
}

}  // namespace

extern "C" {

PG_FUNCTION_INFO_V1(csp_model_name);

// csp.model_name(model) -> text
Datum csp_model_name(PG_FUNCTION_ARGS) {
    return guard([&]() -> Datum {
        const std::string name =
            PG_ARGISNULL(0) ? default_model_name() : checked_model_name(text_argument(fcinfo, 0));
        return server_call([&] { return CStringGetTextDatum(name.c_str()); });
    });
}

}  // extern "C"

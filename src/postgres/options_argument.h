// The argument `options` of csp_train, csp_import and csp_evaluate.
#pragma once

#include "pg.h"

#include "../training/options.h"

namespace csp::server {

// The members of a jsonb object; none for NULL. A list becomes its JSON text, anything else that is not a scalar is of
// the kind `other`. Throws SqlError(invalid_parameter_value) for jsonb that is not an object.
std::vector<OptionValue> options_argument(
    FunctionCallInfo fcinfo, int argument,
    const char *hint = "For example '{\"epochs\": 20}'. csp_options() lists all options.");

}  // namespace csp::server

// What csp_train and csp_tune are asked for, from their arguments.
#pragma once

#include "pg.h"

#include "training_run.h"

namespace csp::server {

// The first arguments of both, in their order.
enum TrainingArgument { arg_model, arg_source, arg_location, arg_features, arg_label };

// Model and source. Throws SqlError(null_value_not_allowed).
RunRequest request_from_arguments(FunctionCallInfo fcinfo);

// Throws Error(not_supported) for a device that is not there.
void require_usable_device(const TrainingOptions &options);

// Checks rights on the model, source and columns, and composes the query. options must have been set. Needs an active SPI
// connection. Errors: those of require_model_rights and resolve_training_query; invalid_parameter_value if neither
// features nor label is given.
void resolve_request(FunctionCallInfo fcinfo, RunRequest &request);

}  // namespace csp::server

// The model that a run goes on from (option from_model), out of the catalogue.
#pragma once

#include "pg.h"

#include "../encoder/model.h"
#include "../training/options.h"

namespace csp::server {

// Options as a caller wants them, completed where they name a model to go on from: by the number of its version and by its
// architecture. Throws as resolve_model, read_weights and options_from_model; invalid_parameter_value for a name that is no text.
std::vector<OptionValue> complete_options(std::vector<OptionValue> wanted);

// The contents of the version, name@version, that a run goes on from. Throws as resolve_model and read_weights, and
// SqlError(undefined_object) if the name has come to another version since the run, or the search that it belongs to, began.
ModelContents read_initial_model(const std::string &from_model, int64 run);

}  // namespace csp::server

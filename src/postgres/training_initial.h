// The model that a run goes on from (option from_model), out of the catalogue.
#pragma once

#include "pg.h"

#include "../encoder/model.h"
#include "../training/options.h"

namespace csp::server {

// Options as a caller wants them, completed where they name a model to go on from: by the number of its version and by its
// architecture. Throws as resolve_model, read_weights and options_from_model; invalid_parameter_value for a name that is no text.
std::vector<OptionValue> complete_options(std::vector<OptionValue> wanted);

// The contents of a version, name@version, that the current user can see. Throws as resolve_model and read_weights.
ModelContents read_initial_model(const std::string &from_model);

}  // namespace csp::server

// The best trial of a search becomes a version of the model.
#pragma once

#include "pg.h"

#include "tune_search.h"

namespace csp::server {

// Deploys the weights that the run has left, as they are, and marks the search as succeeded, all in the current transaction.
// Throws as require_model_rights.
void publish_winner(const Search &search, int64 run);

}  // namespace csp::server

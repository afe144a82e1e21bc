// Models that this backend has loaded, by the id of their version.
#pragma once

#include "pg.h"

#include "../encoder/model.h"

namespace csp::server {

// The model that a call means by its argument number `model_argument` (a text, or -1 if the
// function has none), loaded if need be. Valid until the next call of this function. Repeated
// calls by the same FmgrInfo cost a comparison.
const Model &model_of_call(FunctionCallInfo fcinfo, int model_argument);

// The same for a name, or for none (null): to hold on to while others are loaded.
std::shared_ptr<const Model> find_model(const char *name);

// Value of the setting csp.model_cache_size, in kB.
extern int csp_model_cache_size;

}  // namespace csp::server

// Whether a plan may be read ahead of what is asked of it.
#pragma once

#include "pg.h"

extern "C" {
#include "nodes/plannodes.h"
}

namespace csp::server {

// Reading rows of `plan` that nobody will ask for has no effect that anybody could see: nothing in it is volatile but
// random numbers and the clock. Plans that modify data always run to their end.
bool may_read_ahead(const PlannedStmt *statement, Plan *plan);

// Whether evaluating the expressions may change what a call without a model means: a function in them could set csp.model.
bool may_change_settings(List *expressions);

}  // namespace csp::server

// Putting CspBatch nodes into finished plans.
#pragma once

#include "plan_expressions.h"

namespace csp::server {

// Changes the plan in place: calls of query functions that can be evaluated in batches move into CspBatch nodes.
// cursor_options: those that the plan was made with.
void batch_calls_of_plan(PlannedStmt *statement, int cursor_options);

}  // namespace csp::server

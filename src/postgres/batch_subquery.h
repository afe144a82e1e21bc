// Calls in functions that a correlated subquery executes: (SELECT label FROM csp_classify(p.geom, 1)).
#pragma once

#include "plan_builder.h"

namespace csp::server {

// The calls become arguments of the subquery, part of the expression around it, where they can be batched like others.
void hoist_subquery_calls(Rewriter &rewriter);

}  // namespace csp::server

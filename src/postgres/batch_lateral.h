// Calls in functions that a nested loop executes for each row: FROM places p, csp_classify(p.geom, 3).
#pragma once

#include "plan_builder.h"

namespace csp::server {

// Where the inner side of a nested loop runs a function whose calls are about the outer row, the values of the calls
// become columns of the outer side, computed in batches, and reach the function as parameters. csp_classify itself is
// replaced by csp.classify_probabilities of such a column.
void hoist_lateral_calls(Rewriter &rewriter, NestLoop *join);

}  // namespace csp::server

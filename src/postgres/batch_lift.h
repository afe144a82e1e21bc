// Calls in a node's target list and filter move above the node.
#pragma once

#include "plan_builder.h"

namespace csp::server {

// The node in *slot hands up what its calls are about; CspBatch nodes above it evaluate target list and filter. The
// filter moves from its first clause with a call on, so that clauses stay in their order: those of a security barrier
// come first. Does nothing where there are no calls.
void lift_calls(Rewriter &rewriter, Plan **slot);

}  // namespace csp::server

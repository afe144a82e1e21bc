// Calls in what a ModifyTable node evaluates itself: RETURNING, and the actions of MERGE.
#pragma once

#include "plan_builder.h"

namespace csp::server {

// The calls in RETURNING move above the node; it hands up the columns that they are about. Returns the new top.
Plan *lift_returning(Rewriter &rewriter, ModifyTable *modify);

// The calls in the actions of MERGE that are about the source row alone are evaluated below the node. Whether an action
// is taken is not known there: where a call would fail, the action evaluates it itself.
void lower_merge_actions(Rewriter &rewriter, ModifyTable *modify);

}  // namespace csp::server

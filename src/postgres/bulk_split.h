// How the work of a plan is split into pieces.
#pragma once

#include "bulk_plan.h"
#include "bulk_work.h"

namespace csp::server {

// Rows to embed: by ranges of blocks of the source's tables, or, where these cannot be read directly, by ranges of the
// key. In the current transaction, as the current user.
//
// Errors: insufficient_privilege and whatever else the statements would end with; feature_not_supported for a source
// that must be split by its key and has none; not_null_violation for keys that are NULL.
BulkWork split_embedding(const BulkPlan &plan);

// Rows of the target to look at for pruning.
BulkWork split_pruning(const BulkPlan &plan);

}  // namespace csp::server

// A filter and a target list with calls as CspBatch nodes, one above the other.
#pragma once

#include "plan_builder.h"

namespace csp::server {

// The filter and target list above a node, on their way into CspBatch nodes.
struct Pipeline {
    Plan *input;         // what is built so far
    List *target_list;   // in terms of input's columns
    List *filter;        // what of it is not yet in a node
    const Plan *like;
    int flags;           // of the nodes
};

// Builds the nodes, filter first: a row that a clause rejects is not embedded for the next. Clauses are evaluated in
// their order. Returns the topmost node, whose target list is the pipeline's.
Plan *build_stages(Rewriter &rewriter, Pipeline pipeline);

}  // namespace csp::server

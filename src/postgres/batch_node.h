// The plan node that evaluates calls of query functions in batches: how a plan holds it.
//
// A CspBatch node sits above the node whose rows the calls are about. Its expressions refer to that node's columns as
// OUTER_VAR and to the values of the calls as INDEX_VAR; custom_scan_tlist holds the calls themselves, so that EXPLAIN
// shows them. custom_exprs holds what it takes to do without batches, for the rows that call for it:
//   1. a guard for each call (a constant true: none)
//   2. the target list with the calls in place
//   3. the filter with the calls in place
//   4. and 5. LIMIT and OFFSET, as bigint, where no more rows will be asked for; else NULL
#pragma once

#include "plan_expressions.h"

namespace csp::server {

// What is special about a node; in custom_private.
enum BatchNodeFlags {
    batch_node_modifies = 1,  // reading ahead writes: only where all rows will be asked for
    batch_node_marks = 2,     // made by make_marking_node
    batch_node_chooses = 4,   // its filter asks for values of some rows only
};

// A CspBatch node above `input`, with a target list and filter in terms of its columns (OUTER_VAR), calls in place.
// Costs and parameters are those of `like`. node_id: of a plan node, unused so far. flags: BatchNodeFlags.
CustomScan *make_batch_node(Plan *input, List *target_list, List *filter, const Plan *like, int node_id, int flags);

// A node whose columns are those of `input`, then the values of `calls`, then whether the row is marked: such rows are
// handed on too, with values that mean nothing.
CustomScan *make_marking_node(Plan *input, const Calls &calls, int node_id);

// The same node with the values of more calls, which are in terms of its own columns, as further columns at its end; null
// if they are better evaluated above it.
CustomScan *with_more_values(const Plan *node, const Calls &calls);

// Tells a node that its parent asks for the rows of LIMIT and OFFSET only: it then reads no further. Either may be null.
void bound_batch_node(Plan *node, Node *limit, Node *offset);

bool is_batch_node(const Plan *plan);

void register_batch_node();

}  // namespace csp::server

// Building blocks of the changes to a finished plan.
#pragma once

#include "plan_expressions.h"

namespace csp::server {

// A plan while it is changed.
struct Rewriter {
    PlannedStmt *statement;
    int last_node_id;
    Cost call_cost;  // of the calls that batches evaluate, as part of the plan's total
};

inline Node *node_of(void *expression) { return static_cast<Node *>(expression); }

// CASE WHEN guard THEN value END
Expr *guarded(Expr *value, Node *guard);

// The plan calls csp_classify as open_classify wrote it, because the current user may call the functions in it: it holds for
// that user, until one of them changes.
void note_opened(PlannedStmt *statement, FuncExpr *opened);

// Whether rows with the columns of a target list and `more` fit a tuple, in which a batch keeps them.
bool may_be_kept(const List *target_list, int more);

// Visits the plans in a list, or the inputs of a plan; the visitor may replace them.
using PlanVisitor = void (*)(Plan **plan, void *context);
void visit_list(List *plans, PlanVisitor visit, void *context);
void visit_children(Plan *plan, PlanVisitor visit, void *context);

// A CspBatch node; arguments as for make_batch_node.
Plan *add_batch_node(Rewriter &rewriter, Plan *input, List *target_list, List *filter, const Plan *like,
                     int flags = 0);

// A Material node above a plan: for parents that go back.
Plan *materialized(Rewriter &rewriter, Plan *input);

// A CspBatch node whose columns are those of `input` and then the values of `calls`. Whoever reads a value under a guard
// reads NULL where it does not hold.
Plan *with_values(Rewriter &rewriter, Plan *input, const Calls &calls, int flags = 0);

// References to the columns after the first `columns`, one for each call.
List *references_behind(int columns, const List *calls);

// Puts calls below an evaluator of rows that it may never get to, as move_below does. *values become expressions of its own
// (varno: how it refers to *input): the values of the calls; where one failed, the call itself, which then raises its error
// where and when it is evaluated.
bool move_below_marked(Rewriter &rewriter, Plan **input, const Calls &calls, int varno, List **values);

// Puts calls below: *input becomes a node that has their values as columns, to which *references refer. False, and
// nothing done, if there are no calls, or *input may not be read ahead.
bool move_below(Rewriter &rewriter, Plan **input, const Calls &calls, List **references);

}  // namespace csp::server

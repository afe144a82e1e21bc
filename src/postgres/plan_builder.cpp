// New nodes for a finished plan.
#include "plan_builder.h"

#include "batch_node.h"
#include "plan_volatility.h"

extern "C" {
#include "access/htup_details.h"
#include "nodes/makefuncs.h"
#include "optimizer/cost.h"
#include "utils/syscache.h"
}

namespace csp::server {

Expr *guarded(Expr *value, Node *guard) {
    Const *null = makeNullConst(exprType(node_of(value)), exprTypmod(node_of(value)), exprCollation(node_of(value)));
    return make_case(list_make1(make_branch(copy_node(guard), value)), reinterpret_cast<Expr *>(null));
}

namespace {

bool note_function(Node *node, void *statement) {
    if (node == nullptr)
        return false;
    if (IsA(node, FuncExpr)) {
        PlanInvalItem *item = makeNode(PlanInvalItem);
        item->cacheId = PROCOID;
        item->hashValue = GetSysCacheHashValue1(PROCOID, ObjectIdGetDatum(reinterpret_cast<FuncExpr *>(node)->funcid));
        auto *plan = static_cast<PlannedStmt *>(statement);
        plan->invalItems = lappend(plan->invalItems, item);
    }
    return walk_expression(node, note_function, statement);
}

}  // namespace

void note_opened(PlannedStmt *statement, FuncExpr *opened) {
    statement->dependsOnRole = true;
    note_function(reinterpret_cast<Node *>(opened), statement);
}

namespace {

void count_call_cost(Rewriter &rewriter, const CustomScan *node) {
    QualCost cost;
    cost_qual_eval(&cost, node->custom_scan_tlist, nullptr);
    rewriter.call_cost += cost.per_tuple * outerPlan(node)->plan_rows;
}

// CASE WHEN marked THEN call ELSE value END
Expr *value_or_call(Var *marked, Expr *call, Var *value) {
    return make_case(list_make1(make_branch(reinterpret_cast<Node *>(copy_node(marked)), call)),
                     reinterpret_cast<Expr *>(value));
}

// Whether there are calls that a node above `input` can evaluate, whose rows it may read ahead.
bool can_move_below(const Rewriter &rewriter, Plan *input, const Calls &calls) {
    return calls.calls != NIL && may_be_kept(input->targetlist, list_length(calls.calls) + 1) &&
           may_read_ahead(rewriter.statement, input);
}

// Expressions about an input as the node above it writes them, whatever that calls its columns: about OUTER_VAR.
struct Renaming {
    int from;
};

Node *as_outer(Node *node, void *context) {
    if (node == nullptr)
        return nullptr;
    if (!IsA(node, Var) || reinterpret_cast<Var *>(node)->varno != static_cast<Renaming *>(context)->from)
        return mutate_expression(node, as_outer, context);
    Var *column = copy_node(reinterpret_cast<Var *>(node));
    column->varno = OUTER_VAR;
    return reinterpret_cast<Node *>(column);
}

}  // namespace

bool may_be_kept(const List *target_list, int more) { return list_length(target_list) + more <= MaxTupleAttributeNumber; }

void visit_list(List *plans, PlanVisitor visit, void *context) {
    ListCell *cell;
    foreach (cell, plans)
        visit(reinterpret_cast<Plan **>(&lfirst(cell)), context);
}

void visit_children(Plan *plan, PlanVisitor visit, void *context) {
    visit(&plan->lefttree, context);
    visit(&plan->righttree, context);
    switch (nodeTag(plan)) {
        case T_Append: return visit_list(reinterpret_cast<Append *>(plan)->appendplans, visit, context);
        case T_MergeAppend: return visit_list(reinterpret_cast<MergeAppend *>(plan)->mergeplans, visit, context);
        case T_BitmapAnd: return visit_list(reinterpret_cast<BitmapAnd *>(plan)->bitmapplans, visit, context);
        case T_BitmapOr: return visit_list(reinterpret_cast<BitmapOr *>(plan)->bitmapplans, visit, context);
        case T_SubqueryScan: return visit(&reinterpret_cast<SubqueryScan *>(plan)->subplan, context);
        case T_CustomScan: return visit_list(reinterpret_cast<CustomScan *>(plan)->custom_plans, visit, context);
        default: return;
    }
}

Plan *add_batch_node(Rewriter &rewriter, Plan *input, List *target_list, List *filter, const Plan *like, int flags) {
    CustomScan *node = make_batch_node(input, target_list, filter, like, ++rewriter.last_node_id, flags);
    count_call_cost(rewriter, node);
    return &node->scan.plan;
}

Plan *materialized(Rewriter &rewriter, Plan *input) {
    Material *node = makeNode(Material);
    Plan *plan = &node->plan;
    plan->targetlist = make_references(input->targetlist);
    plan->lefttree = input;
    plan->startup_cost = input->startup_cost;
    plan->total_cost = input->total_cost;
    plan->plan_rows = input->plan_rows;
    plan->plan_width = input->plan_width;
    plan->parallel_safe = input->parallel_safe;
    plan->plan_node_id = ++rewriter.last_node_id;
    plan->extParam = bms_copy(input->extParam);
    plan->allParam = bms_copy(input->allParam);
    return plan;
}

Plan *with_values(Rewriter &rewriter, Plan *input, const Calls &calls, int flags) {
    List *columns = make_references(input->targetlist);
    const ListCell *call, *guard;
    forboth (call, calls.calls, guard, calls.guards) {
        auto *value = static_cast<Expr *>(lfirst(call));
        if (lfirst(guard) != nullptr)
            value = guarded(value, static_cast<Node *>(lfirst(guard)));
        columns = lappend(columns, makeTargetEntry(value, static_cast<AttrNumber>(list_length(columns) + 1), nullptr,
                                                   false));
    }
    return add_batch_node(rewriter, input, columns, NIL, input, flags);
}

List *references_behind(int columns, const List *calls) {
    List *references = NIL;
    const ListCell *cell;
    foreach (cell, calls)
        references = lappend(references, make_reference(OUTER_VAR, ++columns, node_of(lfirst(cell))));
    return references;
}

bool move_below(Rewriter &rewriter, Plan **input, const Calls &calls, List **references) {
    if (!can_move_below(rewriter, *input, calls))
        return false;
    const int columns = list_length((*input)->targetlist);
    CustomScan *known = with_more_values(*input, calls);
    *input = known ? &known->scan.plan : with_values(rewriter, *input, calls);
    *references = references_behind(columns, calls.calls);
    return true;
}

bool move_below_marked(Rewriter &rewriter, Plan **input, const Calls &calls, int varno, List **values) {
    if (!can_move_below(rewriter, *input, calls))
        return false;
    if (CustomScan *known = varno == OUTER_VAR ? with_more_values(*input, calls) : nullptr) {
        *values = references_behind(list_length((*input)->targetlist), calls.calls);
        *input = &known->scan.plan;
        return true;
    }
    Renaming renaming{varno};
    const Calls below{reinterpret_cast<List *>(as_outer(node_of(calls.calls), &renaming)),
                      reinterpret_cast<List *>(as_outer(node_of(calls.guards), &renaming))};
    int column = list_length((*input)->targetlist);
    CustomScan *node = make_marking_node(*input, below, ++rewriter.last_node_id);
    count_call_cost(rewriter, node);
    *input = &node->scan.plan;
    Var *marked = makeVar(varno, static_cast<AttrNumber>(column + list_length(calls.calls) + 1), BOOLOID, -1, InvalidOid, 0);
    *values = NIL;
    const ListCell *cell;
    foreach (cell, calls.calls)
        *values = lappend(*values, value_or_call(marked, static_cast<Expr *>(lfirst(cell)),
                                                 make_reference(varno, ++column, node_of(lfirst(cell)))));
    return true;
}

}  // namespace csp::server

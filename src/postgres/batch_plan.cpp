// Where CspBatch nodes go in a plan: above the nodes whose target lists and filters hold calls (batch_lift), below those
// that alone can evaluate what holds them (here), beside nested loops (batch_lateral) and ModifyTable (batch_modify).
#include "batch_plan.h"

#include "batch_lateral.h"
#include "batch_lift.h"
#include "batch_modify.h"
#include "batch_node.h"
#include "batch_subquery.h"
#include "plan_atoms.h"
#include "plan_builder.h"

extern "C" {
#include "executor/executor.h"
#include "jit/jit.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
}

namespace csp::server {

namespace {

// ---- plan nodes ----------------------------------------------------------------------------

void find_last_node_id(Plan **plan, void *context) {
    if (*plan == nullptr)
        return;
    check_stack_depth();
    auto *last = static_cast<int *>(context);
    *last = Max(*last, (*plan)->plan_node_id);
    visit_children(*plan, find_last_node_id, context);
}

// ---- below: calls in the arguments of aggregates, window functions and set-returning functions ----

using IsEvaluator = bool (*)(Node *node);

struct EvaluatorContext {
    IsEvaluator is_evaluator;
    Calls calls;
    List *values;  // that stand for the calls
};

bool is_aggregate(Node *node) { return IsA(node, Aggref); }

bool is_window_function(Node *node) { return IsA(node, WindowFunc); }

bool is_set_returning_function(Node *node) { return is_set_returning(node); }

bool collect_within(Node *node, void *context) {
    if (node == nullptr)
        return false;
    auto *evaluators = static_cast<EvaluatorContext *>(context);
    if (evaluators->is_evaluator(node)) {
        collect_calls(node, evaluators->calls);
        return false;
    }
    return walk_expression(node, collect_within, context);
}

Node *replace_within(Node *node, void *context) {
    if (node == nullptr)
        return nullptr;
    auto *evaluators = static_cast<EvaluatorContext *>(context);
    if (evaluators->is_evaluator(node))
        return replace_expressions(node, evaluators->calls.calls, evaluators->values);
    return mutate_expression(node, replace_within, context);
}

// An aggregate may be handed rows that it never gets to: the first of a group behind a LIMIT, those that enter no frame of
// a window. So a row that fails is handed up, marked. Calls about the values of others remain: an error of those others
// would have to wait, too.
void lower(Rewriter &rewriter, Plan *plan, IsEvaluator is_evaluator) {
    EvaluatorContext context{is_evaluator, {}, NIL};
    collect_within(node_of(plan->targetlist), &context);
    collect_within(node_of(plan->qual), &context);
    if (!move_below_marked(rewriter, &plan->lefttree, context.calls, OUTER_VAR, &context.values))
        return;
    plan->targetlist = reinterpret_cast<List *>(replace_within(node_of(plan->targetlist), &context));
    plan->qual = reinterpret_cast<List *>(replace_within(node_of(plan->qual), &context));
}

// ---- the tree --------------------------------------------------------------------------------

void rewrite(Plan **slot, void *context);

// A merge join goes back in its inner input, which CspBatch cannot, nor a Result above it.
void rewrite_merge_join(Rewriter &rewriter, Plan *plan) {
    const Plan *inner = plan->righttree;
    while (IsA(inner, Result) && inner->lefttree != nullptr)
        inner = inner->lefttree;
    if (is_batch_node(inner))
        plan->righttree = materialized(rewriter, plan->righttree);
}

// csp_classify in a target list.
Node *open_classify_mutator(Node *node, void *context) {
    if (node == nullptr)
        return nullptr;
    FuncExpr *opened = IsA(node, FuncExpr) ? open_classify(reinterpret_cast<FuncExpr *>(node)) : nullptr;
    if (opened != nullptr) {
        note_opened(static_cast<PlannedStmt *>(context), opened);
        return reinterpret_cast<Node *>(opened);
    }
    return mutate_expression(node, open_classify_mutator, context);
}

void lower_project_set(Rewriter &rewriter, Plan *plan) {
    List *as_written = plan->targetlist;
    const Plan *input = plan->lefttree;
    plan->targetlist = reinterpret_cast<List *>(open_classify_mutator(node_of(plan->targetlist), rewriter.statement));
    lower(rewriter, plan, is_set_returning_function);
    if (plan->lefttree == input)
        plan->targetlist = as_written;
}

// Nodes that hand on each row of their input, one for one.
Plan *one_for_one_input(Plan *plan) {
    if (plan->qual != NIL)
        return nullptr;
    if (is_batch_node(plan))
        return plan->lefttree;
    if (IsA(plan, Result) && reinterpret_cast<Result *>(plan)->resconstantqual == nullptr)
        return plan->lefttree;
    return IsA(plan, SubqueryScan) ? reinterpret_cast<SubqueryScan *>(plan)->subplan : nullptr;
}

// Below a LIMIT nothing more need be read than it asks for. Its numbers are evaluated once more for that.
void bound_reading(const Limit *limit) {
    if (limit->limitOption != LIMIT_OPTION_COUNT || limit->limitCount == nullptr ||
        contain_volatile_functions(limit->limitCount) || contain_volatile_functions(limit->limitOffset))
        return;
    for (Plan *plan = limit->plan.lefttree; plan != nullptr; plan = one_for_one_input(plan))
        if (is_batch_node(plan) && plan->qual == NIL)
            bound_batch_node(plan, limit->limitCount, limit->limitOffset);
}

void rewrite(Plan **slot, void *context) {
    Plan *plan = *slot;
    if (plan == nullptr)
        return;
    check_stack_depth();
    auto &rewriter = *static_cast<Rewriter *>(context);
    visit_children(plan, rewrite, context);
    switch (nodeTag(plan)) {
        case T_Agg: lower(rewriter, plan, is_aggregate); break;
        case T_WindowAgg: lower(rewriter, plan, is_window_function); break;
        case T_ProjectSet: lower_project_set(rewriter, plan); break;
        case T_NestLoop: hoist_lateral_calls(rewriter, reinterpret_cast<NestLoop *>(plan)); break;
        case T_MergeJoin: rewrite_merge_join(rewriter, plan); break;
        case T_Limit: bound_reading(reinterpret_cast<Limit *>(plan)); break;
        case T_Result:
            if (plan->lefttree == nullptr)
                return;  // one row; and PL/pgSQL looks for such plans
            break;
        default: break;
    }
    switch (nodeTag(plan)) {
        case T_Result:
        case T_ProjectSet:
        case T_SeqScan:
        case T_SampleScan:
        case T_IndexScan:
        case T_IndexOnlyScan:
        case T_BitmapHeapScan:
        case T_TidScan:
        case T_TidRangeScan:
        case T_SubqueryScan:
        case T_FunctionScan:
        case T_TableFuncScan:
        case T_ValuesScan:
        case T_CteScan:
        case T_NamedTuplestoreScan:
        case T_WorkTableScan:
        case T_ForeignScan:
        case T_NestLoop:
        case T_MergeJoin:
        case T_HashJoin:
        case T_Agg:
        case T_Group:
        case T_WindowAgg:
        case T_Gather:
        case T_GatherMerge: lift_calls(rewriter, slot); break;
        case T_ModifyTable:
            lower_merge_actions(rewriter, reinterpret_cast<ModifyTable *>(plan));
            *slot = lift_returning(rewriter, reinterpret_cast<ModifyTable *>(plan));
            break;
        default: break;
    }
}

// Below a Gather, nodes share what they count.
void share_counters(Plan **slot, void *below_gather) {
    Plan *plan = *slot;
    if (plan == nullptr)
        return;
    check_stack_depth();
    bool below = *static_cast<bool *>(below_gather) || IsA(plan, Gather) || IsA(plan, GatherMerge);
    if (is_batch_node(plan))
        plan->parallel_aware = below;
    visit_children(plan, share_counters, &below);
}

// Compiling the expressions of a plan pays by what is left of its cost: batches are compiled already.
void reconsider_jit(const Rewriter &rewriter) {
    PlannedStmt *statement = rewriter.statement;
    const Cost rest = statement->planTree->total_cost - rewriter.call_cost;
    const auto pays = [rest](double threshold) { return threshold >= 0 && rest > threshold; };
    if (!pays(jit_above_cost))
        statement->jitFlags = PGJIT_NONE;
    if (!pays(jit_optimize_above_cost))
        statement->jitFlags &= ~PGJIT_OPT3;
    if (!pays(jit_inline_above_cost))
        statement->jitFlags &= ~PGJIT_INLINE;
}

}  // namespace

void batch_calls_of_plan(PlannedStmt *statement, int cursor_options) {
    Rewriter rewriter{statement, 0, 0};
    find_last_node_id(&statement->planTree, &rewriter.last_node_id);
    visit_list(statement->subplans, find_last_node_id, &rewriter.last_node_id);

    hoist_subquery_calls(rewriter);
    rewrite(&statement->planTree, &rewriter);
    visit_list(statement->subplans, rewrite, &rewriter);
    bool below_gather = false;
    share_counters(&statement->planTree, &below_gather);
    reconsider_jit(rewriter);
    if ((cursor_options & CURSOR_OPT_SCROLL) != 0 && !ExecSupportsBackwardScan(statement->planTree))
        statement->planTree = materialized(rewriter, statement->planTree);
}

}  // namespace csp::server

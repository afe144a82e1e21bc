// Where CspBatch nodes go in a plan.
//
// Calls in a node's target list or filter move above it: the node hands up what they are about, and the filter from its
// first such clause on moves along, so that clauses stay in their order (a security barrier's come first). Calls in
// what only the node itself can evaluate (arguments of aggregates and set-returning functions) move below it instead and
// reach it as columns.
#include "batch_plan.h"

#include "batch_lateral.h"
#include "batch_node.h"
#include "plan_builder.h"
#include "plan_volatility.h"

extern "C" {
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
}

namespace csp::server {

namespace {

// ---- plan nodes ----------------------------------------------------------------------------

using PlanVisitor = void (*)(Plan **plan, void *context);

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
    List *from;
    List *to;
};

bool is_aggregate(Node *node) { return IsA(node, Aggref); }

bool is_window_function(Node *node) { return IsA(node, WindowFunc); }

bool is_set_returning(Node *node) {
    return (IsA(node, FuncExpr) && reinterpret_cast<FuncExpr *>(node)->funcretset) ||
           (IsA(node, OpExpr) && reinterpret_cast<OpExpr *>(node)->opretset);
}

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
        return replace_expressions(node, evaluators->from, evaluators->to);
    return mutate_expression(node, replace_within, context);
}

void lower(Rewriter &rewriter, Plan *plan, IsEvaluator is_evaluator) {
    for (;;) {  // once for each level of calls within calls
        EvaluatorContext context{is_evaluator, {}, NIL, NIL};
        collect_within(node_of(plan->targetlist), &context);
        collect_within(node_of(plan->qual), &context);
        if (!move_below(rewriter, &plan->lefttree, context.calls, &context.to))
            return;
        context.from = context.calls.calls;
        plan->targetlist = reinterpret_cast<List *>(replace_within(node_of(plan->targetlist), &context));
        plan->qual = reinterpret_cast<List *>(replace_within(node_of(plan->qual), &context));
    }
}

// ---- above: a filter and target list of their own --------------------------------------------

// What must be evaluated by the node itself: columns, aggregates, window and set-returning functions.
bool is_atom(Node *node) {
    return IsA(node, Var) || IsA(node, Aggref) || IsA(node, WindowFunc) || IsA(node, GroupingFunc) ||
#if PG_VERSION_NUM >= 170000
           IsA(node, MergeSupportFunc) ||
#endif
           is_set_returning(node);
}

bool collect_atoms(Node *node, void *context) {
    if (node == nullptr)
        return false;
    if (!is_atom(node))
        return walk_expression(node, collect_atoms, context);
    auto **atoms = static_cast<List **>(context);
    if (position_of(*atoms, node) < 0)
        *atoms = lappend(*atoms, node);
    return false;
}

List *as_target_list(const List *expressions) {
    List *entries = NIL;
    const ListCell *cell;
    foreach (cell, expressions)
        entries = lappend(entries, makeTargetEntry(static_cast<Expr *>(lfirst(cell)),
                                                   static_cast<AttrNumber>(list_length(entries) + 1), nullptr, false));
    return entries;
}

// The clauses from the first with a call on; the others remain in *clauses. `all`: every clause.
List *split_clauses(List **clauses, bool all) {
    int first = 0;
    const ListCell *cell;
    foreach (cell, *clauses) {
        if (all || has_calls(node_of(lfirst(cell))))
            break;
        ++first;
    }
    List *moved = list_copy_tail(*clauses, first);
    *clauses = list_truncate(list_copy(*clauses), first);
    return moved;
}

// The lists of clauses of a node that a filter above can take over, in the order of their evaluation.
struct Clauses {
    List **lists[2];
    int count;
};

Clauses movable_clauses(Plan *plan) {
    if (IsA(plan, NestLoop) || IsA(plan, MergeJoin) || IsA(plan, HashJoin)) {
        auto *join = reinterpret_cast<Join *>(plan);
        if (join->jointype == JOIN_INNER)
            return {{&join->joinqual, &plan->qual}, 2};
    }
    return {{&plan->qual, nullptr}, 1};
}

// Places of the calls in a filter stage, and whether another clause can share it: one whose calls are about the same
// places, so that evaluating them together wastes little.
bool same_place(const FuncExpr *a, const FuncExpr *b) {
    BatchFunction first, second;
    if (!find_batch_function(a->funcid, &first) || !find_batch_function(b->funcid, &second))
        return false;
    if (first.location < 0 || second.location < 0 || first.dated != second.dated)
        return false;
    const auto same = [&](int i, int j) {
        return i < 0 || j < 0 ? i == j : equal(list_nth(a->args, i), list_nth(b->args, j));
    };
    return same(first.location, second.location) && same(first.date, second.date) && same(first.model, second.model);
}

// Whether a call costs next to nothing once `calls` are evaluated.
bool comes_along(const FuncExpr *call, const Calls &calls) {
    if (position_of(calls.calls, call) >= 0)
        return true;
    BatchFunction function;
    if (!find_batch_function(call->funcid, &function) ||
        (function.kind != CallKind::embed && function.kind != CallKind::probability))
        return false;
    if (function.label >= 0 && !IsA(list_nth(call->args, function.label), Const))
        return false;
    const ListCell *cell;
    foreach (cell, calls.calls)
        if (same_place(call, lfirst_node(FuncExpr, cell)))
            return true;
    return false;
}

bool all_come_along(Node *expression, const Calls &calls) {
    Calls others;
    collect_calls(expression, others);
    const ListCell *cell;
    foreach (cell, others.calls)
        if (!comes_along(lfirst_node(FuncExpr, cell), calls))
            return false;
    return true;
}

// The filter and target list above a node, on their way into CspBatch nodes.
struct Pipeline {
    Plan *input;         // what is built so far
    List *target_list;   // in terms of input's columns
    List *filter;        // what of it is not yet in a node
    const Plan *like;
};

void replace_in_pipeline(Pipeline &pipeline, List *from, List *to) {
    pipeline.target_list =
        reinterpret_cast<List *>(replace_expressions(node_of(pipeline.target_list), from, to));
    pipeline.filter = reinterpret_cast<List *>(replace_expressions(node_of(pipeline.filter), from, to));
}

// Whether there are calls whose arguments are calls.
bool is_nested(Node *expression, const Calls &innermost) {
    if (innermost.calls == NIL)
        return false;
    return has_calls(replace_expressions(expression, innermost.calls, references_behind(0, innermost.calls)));
}

// Calls that are arguments of others: a node of their own computes them.
void add_inner_stage(Rewriter &rewriter, Pipeline &pipeline, const Calls &calls) {
    const int columns = list_length(pipeline.input->targetlist);
    pipeline.input = with_values(rewriter, pipeline.input, calls);
    replace_in_pipeline(pipeline, calls.calls, references_behind(columns, calls.calls));
}

// Takes the clauses that one stage can evaluate off the filter; `calls` becomes theirs.
List *take_stage(Pipeline &pipeline, Calls &calls) {
    List *stage = list_make1(linitial(pipeline.filter));
    collect_calls(node_of(linitial(pipeline.filter)), calls);
    pipeline.filter = list_delete_first(list_copy(pipeline.filter));
    while (pipeline.filter != NIL && all_come_along(node_of(linitial(pipeline.filter)), calls)) {
        stage = lappend(stage, linitial(pipeline.filter));
        pipeline.filter = list_delete_first(pipeline.filter);
    }
    return stage;
}

// Those of `calls` that are still needed after a stage: kept as columns.
Calls needed_again(const Pipeline &pipeline, const Calls &calls) {
    Calls later, again;
    collect_calls(node_of(pipeline.target_list), later);
    collect_calls(node_of(pipeline.filter), later);
    const ListCell *cell;
    foreach (cell, calls.calls)
        if (position_of(later.calls, lfirst(cell)) >= 0) {
            again.calls = lappend(again.calls, lfirst(cell));
            again.guards = lappend(again.guards, nullptr);
        }
    return again;
}

void add_filter_stage(Rewriter &rewriter, Pipeline &pipeline, List *stage, const Calls &calls) {
    const Calls again = needed_again(pipeline, calls);
    List *columns = make_references(pipeline.input->targetlist);
    const int before = list_length(columns);
    const ListCell *cell;
    foreach (cell, again.calls)
        columns = lappend(columns, makeTargetEntry(static_cast<Expr *>(lfirst(cell)),
                                                   static_cast<AttrNumber>(list_length(columns) + 1), nullptr, false));
    pipeline.input = add_batch_node(rewriter, pipeline.input, columns, stage, pipeline.like);
    replace_in_pipeline(pipeline, again.calls, references_behind(before, again.calls));
}

// Builds the nodes, filter first: a row that a clause rejects is not embedded for the next.
Plan *build(Rewriter &rewriter, Pipeline pipeline) {
    for (;;) {
        auto *next = pipeline.filter != NIL ? node_of(linitial(pipeline.filter)) : node_of(pipeline.target_list);
        Calls innermost;
        collect_calls(next, innermost);
        if (is_nested(next, innermost)) {
            add_inner_stage(rewriter, pipeline, innermost);
            continue;
        }
        Calls calls;
        List *stage = pipeline.filter != NIL ? take_stage(pipeline, calls) : NIL;
        const bool last = pipeline.filter == NIL && (stage == NIL || all_come_along(node_of(pipeline.target_list), calls));
        if (last)
            return add_batch_node(rewriter, pipeline.input, pipeline.target_list, stage, pipeline.like);
        add_filter_stage(rewriter, pipeline, stage, calls);
    }
}

// Without a node of its own: a Result that only projects, whose child does as well for an input.
bool only_projects(Plan *plan) {
    return IsA(plan, Result) && plan->lefttree != nullptr &&
           reinterpret_cast<Result *>(plan)->resconstantqual == nullptr;
}

// Subqueries that run once belong to the topmost node that may use them.
void move_init_plans(Plan *from, Plan *to) {
    to->initPlan = from->initPlan;
    from->initPlan = NIL;
}

// What a node hands up, and what is evaluated above it instead.
struct Split {
    List *target_list;
    List *filter;
    List *clauses[2];  // as they were
};

// Takes target list and filter off a node, which is left with what they are about.
Split take_off(Plan *plan, const Clauses &clauses) {
    Split split{plan->targetlist, NIL, {NIL, NIL}};
    for (int i = 0; i < clauses.count; ++i) {
        split.clauses[i] = *clauses.lists[i];
        split.filter = list_concat(split.filter, split_clauses(clauses.lists[i], split.filter != NIL));
    }
    List *atoms = NIL;
    collect_atoms(node_of(split.target_list), &atoms);
    collect_atoms(node_of(split.filter), &atoms);
    plan->targetlist = as_target_list(atoms);
    return split;
}

void put_back(Plan *plan, const Clauses &clauses, const Split &split) {
    plan->targetlist = split.target_list;
    for (int i = 0; i < clauses.count; ++i)
        *clauses.lists[i] = split.clauses[i];
}

Plan *put_above(Rewriter &rewriter, Plan *plan, const Split &split) {
    List *atoms = NIL;
    const ListCell *cell;
    foreach (cell, plan->targetlist)
        atoms = lappend(atoms, lfirst_node(TargetEntry, cell)->expr);
    List *references = references_behind(0, atoms);
    const auto above = [&](List *list) {
        return reinterpret_cast<List *>(replace_expressions(node_of(list), atoms, references));
    };
    return build(rewriter, {plan, above(split.target_list), above(split.filter), plan});
}

// Whether a call stands outside of atoms, where it can move above.
bool has_calls_above(Node *expression) {
    List *atoms = NIL;
    collect_atoms(expression, &atoms);
    return has_calls(replace_expressions(expression, atoms, references_behind(0, atoms)));
}

bool has_current_of(Node *node, void *context) {
    if (node == nullptr)
        return false;
    return IsA(node, CurrentOfExpr) || walk_expression(node, has_current_of, context);
}

bool has_movable_calls(Plan *plan, const Clauses &clauses) {
    bool found = has_calls_above(node_of(plan->targetlist));
    for (int i = 0; i < clauses.count; ++i)
        found = found || has_calls_above(node_of(*clauses.lists[i]));
    return found && !has_current_of(node_of(plan->qual), nullptr);
}

// A Result that only projects gives way to the node above it.
Plan *lift_projection(Rewriter &rewriter, Plan *plan) {
    if (!may_read_ahead(rewriter.statement, plan->lefttree))
        return plan;
    return build(rewriter, {plan->lefttree, plan->targetlist, plan->qual, plan});
}

Plan *lift_scan_or_join(Rewriter &rewriter, Plan *plan, const Clauses &clauses) {
    const Split split = take_off(plan, clauses);
    if (!may_read_ahead(rewriter.statement, plan)) {
        put_back(plan, clauses, split);
        return plan;
    }
    if (split.filter != NIL && clauses.count == 2)
        reinterpret_cast<Join *>(plan)->inner_unique = false;  // what is left may match more than once
    plan->async_capable = false;  // or it would wait for a parent that it no longer has
    return put_above(rewriter, plan, split);
}

// Moves the calls in a node's target list and filter above it.
void lift(Rewriter &rewriter, Plan **slot) {
    Plan *plan = *slot;
    const Clauses clauses = movable_clauses(plan);
    if (!has_movable_calls(plan, clauses))
        return;
    *slot = only_projects(plan) ? lift_projection(rewriter, plan) : lift_scan_or_join(rewriter, plan, clauses);
    if (*slot != plan)
        move_init_plans(plan, *slot);
}

// ---- the tree --------------------------------------------------------------------------------

void rewrite(Plan **slot, void *context);

// A merge join goes back in its inner input, which CspBatch cannot.
void rewrite_merge_join(Rewriter &rewriter, Plan *plan) {
    if (is_batch_node(plan->righttree))
        plan->righttree = materialized(rewriter, plan->righttree);
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
        case T_ProjectSet: lower(rewriter, plan, is_set_returning); break;
        case T_NestLoop: hoist_lateral_calls(rewriter, reinterpret_cast<NestLoop *>(plan)); break;
        case T_MergeJoin: rewrite_merge_join(rewriter, plan); break;
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
        case T_GatherMerge: return lift(rewriter, slot);
        default: return;
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

}  // namespace

void batch_calls_of_plan(PlannedStmt *statement, int cursor_options) {
    Rewriter rewriter{statement, 0};
    find_last_node_id(&statement->planTree, &rewriter.last_node_id);
    visit_list(statement->subplans, find_last_node_id, &rewriter.last_node_id);

    Plan *top = statement->planTree;
    rewrite(&statement->planTree, &rewriter);
    visit_list(statement->subplans, rewrite, &rewriter);
    bool below_gather = false;
    share_counters(&statement->planTree, &below_gather);
    if (statement->planTree != top && (cursor_options & CURSOR_OPT_SCROLL) != 0)
        statement->planTree = materialized(rewriter, statement->planTree);
}

}  // namespace csp::server

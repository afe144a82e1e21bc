// Moving calls from correlated subqueries to the expressions around them.
#include "batch_subquery.h"

#include "function_scan_calls.h"

namespace csp::server {

namespace {

bool collect_subplans(Node *node, void *context) {
    if (node == nullptr)
        return false;
    if (IsA(node, SubPlan)) {
        auto **subplans = static_cast<List **>(context);
        *subplans = lappend(*subplans, node);
    }
    return walk_expression(node, collect_subplans, context);
}

void collect_from_plan(Plan **plan, void *context) {
    if (*plan == nullptr)
        return;
    check_stack_depth();
    collect_subplans(node_of((*plan)->targetlist), context);
    collect_subplans(node_of((*plan)->qual), context);
    visit_children(*plan, collect_from_plan, context);
}

// The places that run a subquery and pass their row to it. A partitioned table has one for each partition.
List *runs_of(const List *subplans, int plan_id) {
    List *runs = NIL;
    const ListCell *cell;
    foreach (cell, subplans) {
        auto *subplan = lfirst_node(SubPlan, cell);
        if (subplan->plan_id == plan_id && !subplan->useHashTable && subplan->parParam != NIL)
            runs = lappend(runs, subplan);
    }
    return runs;
}

// How often a subquery is mentioned in the whole plan, wherever expressions may be.
int count_mentions(const char *plan_text, int plan_id) {
    const char *pattern = psprintf(" :plan_id %d ", plan_id);
    int count = 0;
    for (const char *found = strstr(plan_text, pattern); found != nullptr; found = strstr(found + 1, pattern))
        ++count;
    return count;
}

// A call in the subquery's own terms, as one more argument at a place that runs it.
void pass_call(SubPlan *run, const FunctionScanCalls &calls, const List *parameters) {
    // Copies of a SubPlan, one for each partition, share this list.
    run->parParam = list_copy(run->parParam);
    run->args = list_copy(run->args);
    const ListCell *call, *guard, *parameter;
    forthree (call, calls.outer.calls, guard, calls.outer.guards, parameter, parameters) {
        auto *value = static_cast<Expr *>(lfirst(call));
        run->args = lappend(run->args, lfirst(guard) ? guarded(value, node_of(lfirst(guard))) : value);
        run->parParam = lappend_int(run->parParam, lfirst_node(Param, parameter)->paramid);
    }
}

Passed passed_by(const SubPlan *run) { return {run->parParam, run->args}; }

void hoist(Rewriter &rewriter, Plan *plan, FunctionScan *scan, const List *runs) {
    List *as_written = copy_node(scan->functions);
    List *calls_of_runs = NIL;
    const ListCell *cell;
    foreach (cell, runs) {
        auto *calls = static_cast<FunctionScanCalls *>(palloc(sizeof(FunctionScanCalls)));
        *calls = find_function_scan_calls(rewriter, scan, passed_by(lfirst_node(SubPlan, cell)));
        if (calls->inner == NIL ||
            (calls_of_runs != NIL &&
             !equal(calls->inner, static_cast<FunctionScanCalls *>(linitial(calls_of_runs))->inner))) {
            scan->functions = as_written;
            return;
        }
        calls_of_runs = lappend(calls_of_runs, calls);
    }
    List *parameters =
        replace_by_parameters(rewriter, plan, scan, *static_cast<FunctionScanCalls *>(linitial(calls_of_runs)));
    const ListCell *calls;
    forboth (cell, runs, calls, calls_of_runs)
        pass_call(lfirst_node(SubPlan, cell), *static_cast<FunctionScanCalls *>(lfirst(calls)), parameters);
}

}  // namespace

void hoist_subquery_calls(Rewriter &rewriter) {
    PlannedStmt *statement = rewriter.statement;
    List *subplans = NIL;
    const char *text = nullptr;
    for (int plan_id = 1; plan_id <= list_length(statement->subplans); ++plan_id) {
        auto *plan = static_cast<Plan *>(list_nth(statement->subplans, plan_id - 1));
        FunctionScan *scan = plan ? find_function_scan(plan) : nullptr;
        if (scan == nullptr)
            continue;
        if (text == nullptr) {
            collect_from_plan(&statement->planTree, &subplans);
            visit_list(statement->subplans, collect_from_plan, &subplans);
            text = nodeToString(statement);
        }
        const List *runs = runs_of(subplans, plan_id);
        // A place that was not found would run the subquery without its new arguments.
        if (runs != NIL && list_length(runs) == count_mentions(text, plan_id))
            hoist(rewriter, plan, scan, runs);
    }
}

}  // namespace csp::server

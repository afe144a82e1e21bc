// Taking calls out of a function scan.
#include "function_scan_calls.h"

extern "C" {
#include "nodes/makefuncs.h"
}

namespace csp::server {

namespace {

// Nodes that run their input whenever they are run, once for each row of the outer side.
Plan *input_of(Plan *plan) {
    switch (nodeTag(plan)) {
        case T_Sort:
        case T_IncrementalSort:
        case T_Agg:
        case T_Group:
        case T_WindowAgg:
        case T_Unique:
        case T_Material:
        case T_ProjectSet:
        case T_CustomScan: return plan->lefttree;
        case T_Result: return reinterpret_cast<Result *>(plan)->resconstantqual ? nullptr : plan->lefttree;
        case T_Limit: return reinterpret_cast<Limit *>(plan)->limitCount &&
                                     !IsA(reinterpret_cast<Limit *>(plan)->limitCount, Const)
                                 ? nullptr
                                 : plan->lefttree;
        case T_SubqueryScan: return reinterpret_cast<SubqueryScan *>(plan)->subplan;
        default: return nullptr;
    }
}

// Parameters in an expression, and what is passed for them.
struct Uses {
    const Passed *passed;
    List *parameters = NIL;
    List *values = NIL;
    bool others = false;  // it uses parameters of other origin
};

bool find_parameters(Node *node, void *context) {
    if (node == nullptr)
        return false;
    auto *uses = static_cast<Uses *>(context);
    if (!IsA(node, Param) || reinterpret_cast<Param *>(node)->paramkind != PARAM_EXEC)
        return walk_expression(node, find_parameters, context);
    const ListCell *id, *value;
    forboth (id, uses->passed->ids, value, uses->passed->values)
        if (lfirst_int(id) == reinterpret_cast<Param *>(node)->paramid) {
            uses->parameters = lappend(uses->parameters, node);
            uses->values = lappend(uses->values, lfirst(value));
            return false;
        }
    uses->others = true;
    return false;
}

// An expression in terms of what is passed; null if it is not about that alone.
Node *outer_expression(const Passed &passed, Node *expression) {
    Uses uses{&passed};
    find_parameters(expression, &uses);
    if (uses.others || uses.parameters == NIL)
        return nullptr;
    return replace_expressions(expression, uses.parameters, uses.values);
}

// csp_classify about what is passed, at the top of a function's expression, gives way to a call that can be batched.
void open_function(PlannedStmt *statement, RangeTblFunction *function, const Passed &passed) {
    if (!IsA(function->funcexpr, FuncExpr))
        return;
    FuncExpr *opened = open_classify(reinterpret_cast<FuncExpr *>(function->funcexpr));
    if (opened == nullptr)
        return;
    Calls calls;
    collect_calls(reinterpret_cast<Node *>(opened), calls);
    if (calls.calls == NIL || outer_expression(passed, static_cast<Node *>(linitial(calls.calls))) == nullptr)
        return;
    note_opened(statement, opened);
    function->funcexpr = reinterpret_cast<Node *>(opened);
}

Param *new_parameter(PlannedStmt *statement, Node *value) {
    Param *parameter = makeNode(Param);
    parameter->paramkind = PARAM_EXEC;
    parameter->paramid = list_length(statement->paramExecTypes);
    parameter->paramtype = exprType(value);
    parameter->paramtypmod = exprTypmod(value);
    parameter->paramcollid = exprCollation(value);
    parameter->location = -1;
    statement->paramExecTypes = lappend_oid(statement->paramExecTypes, parameter->paramtype);
    return parameter;
}

// Tells the nodes from `plan` down to `scan` that they depend on the parameter.
void depend_on(Plan *plan, const FunctionScan *scan, const Param *parameter) {
    for (;; plan = input_of(plan)) {
        plan->extParam = bms_add_member(plan->extParam, parameter->paramid);
        plan->allParam = bms_add_member(plan->allParam, parameter->paramid);
        if (plan == &scan->scan.plan)
            return;
    }
}

}  // namespace

FunctionScan *find_function_scan(Plan *plan) {
    while (plan != nullptr && !IsA(plan, FunctionScan))
        plan = input_of(plan);
    return reinterpret_cast<FunctionScan *>(plan);
}

FunctionScanCalls find_function_scan_calls(Rewriter &rewriter, FunctionScan *scan, const Passed &passed) {
    FunctionScanCalls found;
    const ListCell *cell;
    Calls calls;
    foreach (cell, scan->functions) {
        auto *function = static_cast<RangeTblFunction *>(lfirst(cell));
        open_function(rewriter.statement, function, passed);
        collect_calls(function->funcexpr, calls);
    }
    const ListCell *call, *guard;
    forboth (call, calls.calls, guard, calls.guards) {
        Node *moved = outer_expression(passed, static_cast<Node *>(lfirst(call)));
        Node *condition = lfirst(guard) ? outer_expression(passed, static_cast<Node *>(lfirst(guard))) : nullptr;
        if (moved == nullptr || (lfirst(guard) != nullptr && condition == nullptr))
            continue;
        found.inner = lappend(found.inner, lfirst(call));
        found.outer.calls = lappend(found.outer.calls, moved);
        found.outer.guards = lappend(found.outer.guards, condition);
    }
    return found;
}

List *replace_by_parameters(Rewriter &rewriter, Plan *plan, FunctionScan *scan, const FunctionScanCalls &calls) {
    List *parameters = NIL;
    const ListCell *cell;
    foreach (cell, calls.inner) {
        Param *parameter = new_parameter(rewriter.statement, node_of(lfirst(cell)));
        depend_on(plan, scan, parameter);
        parameters = lappend(parameters, parameter);
    }
    foreach (cell, scan->functions) {
        auto *function = static_cast<RangeTblFunction *>(lfirst(cell));
        function->funcexpr = replace_expressions(function->funcexpr, calls.inner, parameters);
        const ListCell *parameter;
        foreach (parameter, parameters)
            function->funcparams = bms_add_member(function->funcparams, lfirst_node(Param, parameter)->paramid);
    }
    return parameters;
}

}  // namespace csp::server

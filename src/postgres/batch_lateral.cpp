// Moving calls from the inner side of a nested loop to the outer.
#include "batch_lateral.h"

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

FunctionScan *find_function_scan(Plan *plan) {
    while (plan != nullptr && !IsA(plan, FunctionScan))
        plan = input_of(plan);
    return reinterpret_cast<FunctionScan *>(plan);
}

// The parameters that a nested loop passes in.
struct Passed {
    const NestLoop *join;
    List *parameters = NIL;  // those that an expression uses
    List *columns = NIL;     // and the outer columns that they stand for
    bool others = false;     // it uses parameters of other origin
};

bool find_parameters(Node *node, void *context) {
    if (node == nullptr)
        return false;
    auto *passed = static_cast<Passed *>(context);
    if (!IsA(node, Param) || reinterpret_cast<Param *>(node)->paramkind != PARAM_EXEC)
        return walk_expression(node, find_parameters, context);
    const ListCell *cell;
    foreach (cell, passed->join->nestParams) {
        auto *parameter = static_cast<NestLoopParam *>(lfirst(cell));
        if (parameter->paramno == reinterpret_cast<Param *>(node)->paramid) {
            passed->parameters = lappend(passed->parameters, node);
            passed->columns = lappend(passed->columns, parameter->paramval);
            return false;
        }
    }
    passed->others = true;
    return false;
}

// A call in terms of the outer columns; null if it is not about the outer row alone.
FuncExpr *outer_call(const NestLoop *join, FuncExpr *call) {
    Passed passed{join};
    find_parameters(reinterpret_cast<Node *>(call->args), &passed);
    if (passed.others || passed.parameters == NIL)
        return nullptr;
    return reinterpret_cast<FuncExpr *>(
        replace_expressions(reinterpret_cast<Node *>(call), passed.parameters, passed.columns));
}

// csp_classify at the top of a function expression, with its probabilities as a call of their own.
struct Classify {
    FuncExpr *call;
    BatchFunction function;
    FuncExpr *probabilities;
};

bool find_classify(Node *expression, Classify &classify) {
    if (expression == nullptr || !IsA(expression, FuncExpr))
        return false;
    classify.call = reinterpret_cast<FuncExpr *>(expression);
    if (!find_batch_function(classify.call->funcid, &classify.function) ||
        classify.function.kind != CallKind::classify)
        return false;
    classify.probabilities = probabilities_for_classify(classify.call, classify.function);
    return classify.probabilities != nullptr;
}

// csp_classify written as csp.classify_probabilities(csp_probabilities(...), ...).
void open_classify(RangeTblFunction *function) {
    Classify classify;
    if (!find_classify(function->funcexpr, classify))
        return;
    FuncExpr *opened = classify_from_probabilities(classify.call, classify.function,
                                                   reinterpret_cast<Expr *>(classify.probabilities));
    if (opened != nullptr)
        function->funcexpr = reinterpret_cast<Node *>(opened);
}

// Of the calls in a function expression, those about the outer row: as they are there, and in the outer columns.
void find_hoistable(const NestLoop *join, Node *expression, List **inner, Calls &outer) {
    Calls calls;
    collect_calls(expression, calls);
    const ListCell *call, *guard;
    forboth (call, calls.calls, guard, calls.guards) {
        FuncExpr *moved = lfirst(guard) == nullptr ? outer_call(join, lfirst_node(FuncExpr, call)) : nullptr;
        if (moved == nullptr)
            continue;
        *inner = lappend(*inner, lfirst(call));
        outer.calls = lappend(outer.calls, moved);
        outer.guards = lappend(outer.guards, nullptr);
    }
}

Param *new_parameter(PlannedStmt *statement, const Var *value) {
    Param *parameter = makeNode(Param);
    parameter->paramkind = PARAM_EXEC;
    parameter->paramid = list_length(statement->paramExecTypes);
    parameter->paramtype = value->vartype;
    parameter->paramtypmod = value->vartypmod;
    parameter->paramcollid = value->varcollid;
    parameter->location = -1;
    statement->paramExecTypes = lappend_oid(statement->paramExecTypes, value->vartype);
    return parameter;
}

void pass_column(NestLoop *join, const Param *parameter, Var *column) {
    NestLoopParam *passed = makeNode(NestLoopParam);
    passed->paramno = parameter->paramid;
    passed->paramval = column;
    join->nestParams = lappend(join->nestParams, passed);
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

void hoist(Rewriter &rewriter, NestLoop *join, FunctionScan *scan, RangeTblFunction *function) {
    Node *as_written = function->funcexpr;
    open_classify(function);
    List *inner = NIL, *columns = NIL, *parameters = NIL;
    Calls outer;
    find_hoistable(join, function->funcexpr, &inner, outer);
    if (!move_below(rewriter, &join->join.plan.lefttree, outer, &columns)) {
        function->funcexpr = as_written;
        return;
    }
    const ListCell *cell;
    foreach (cell, columns) {
        auto *column = lfirst_node(Var, cell);
        Param *parameter = new_parameter(rewriter.statement, column);
        pass_column(join, parameter, column);
        depend_on(join->join.plan.righttree, scan, parameter);
        function->funcparams = bms_add_member(function->funcparams, parameter->paramid);
        parameters = lappend(parameters, parameter);
    }
    function->funcexpr = replace_expressions(function->funcexpr, inner, parameters);
}

}  // namespace

void hoist_lateral_calls(Rewriter &rewriter, NestLoop *join) {
    FunctionScan *scan = find_function_scan(join->join.plan.righttree);
    if (scan == nullptr)
        return;
    const ListCell *cell;
    foreach (cell, scan->functions)
        hoist(rewriter, join, scan, static_cast<RangeTblFunction *>(lfirst(cell)));
}

}  // namespace csp::server

// Moving calls from the inner side of a nested loop to the outer.
#include "batch_lateral.h"

#include "function_scan_calls.h"

extern "C" {
#include "nodes/makefuncs.h"
}

namespace csp::server {

namespace {

Passed passed_by(const NestLoop *join) {
    Passed passed;
    const ListCell *cell;
    foreach (cell, join->nestParams) {
        auto *parameter = static_cast<NestLoopParam *>(lfirst(cell));
        passed.ids = lappend_int(passed.ids, parameter->paramno);
        passed.values = lappend(passed.values, parameter->paramval);
    }
    return passed;
}

void pass_column(NestLoop *join, const Param *parameter, Var *column) {
    NestLoopParam *passed = makeNode(NestLoopParam);
    passed->paramno = parameter->paramid;
    passed->paramval = column;
    join->nestParams = lappend(join->nestParams, passed);
}

}  // namespace

void hoist_lateral_calls(Rewriter &rewriter, NestLoop *join) {
    Plan *inner = join->join.plan.righttree;
    FunctionScan *scan = find_function_scan(inner);
    if (scan == nullptr)
        return;
    List *as_written = copy_node(scan->functions);
    const FunctionScanCalls calls = find_function_scan_calls(rewriter, scan, passed_by(join));
    List *columns = NIL;
    if (!move_below(rewriter, &join->join.plan.lefttree, calls.outer, &columns)) {
        scan->functions = as_written;
        return;
    }
    List *parameters = replace_by_parameters(rewriter, inner, scan, calls);
    const ListCell *column, *parameter;
    forboth (column, columns, parameter, parameters)
        pass_column(join, lfirst_node(Param, parameter), lfirst_node(Var, column));
}

}  // namespace csp::server

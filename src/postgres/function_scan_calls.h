// Calls in a function scan that runs once for each row of something outside: a nested loop, or the query around a
// correlated subquery. Their values can be computed outside and passed in.
#pragma once

#include "plan_builder.h"

namespace csp::server {

// The function scan that `plan` runs whenever it is run; null if there is none for certain.
FunctionScan *find_function_scan(Plan *plan);

// What is passed in from outside: numbers of parameters and, as many, expressions of the row outside.
struct Passed {
    List *ids = NIL;
    List *values = NIL;
};

// Calls of a function scan that are about what is passed: as they stand in the scan, and in terms of the row outside.
// csp_classify itself becomes csp.classify_probabilities of such a call.
struct FunctionScanCalls {
    List *inner = NIL;
    Calls outer;
};

// Finds the calls. Rewrites csp_classify in the scan, which changes nothing yet.
FunctionScanCalls find_function_scan_calls(Rewriter &rewriter, FunctionScan *scan, const Passed &passed);

// Replaces the calls by new parameters, which are returned: whoever runs `plan`, which runs the scan, has to pass them.
List *replace_by_parameters(Rewriter &rewriter, Plan *plan, FunctionScan *scan, const FunctionScanCalls &calls);

}  // namespace csp::server

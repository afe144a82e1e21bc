// Planner support function of the query functions.
//
// Being asked anything loads the library, which is why a session's very first query is batched too.
#include "hooks.h"

#include "batch_functions.h"

extern "C" {
#include "nodes/supportnodes.h"
}

using namespace csp::server;

namespace {

// csp_classify returns k rows, if k is known.
Node *estimate_rows(SupportRequestRows *request) {
    BatchFunction function;
    if (request->node == nullptr || !IsA(request->node, FuncExpr) ||
        !find_batch_function(request->funcid, &function) || function.kind != CallKind::classify || function.k < 0)
        return nullptr;
    auto *k = static_cast<Node *>(list_nth(reinterpret_cast<FuncExpr *>(request->node)->args, function.k));
    if (!IsA(k, Const) || reinterpret_cast<Const *>(k)->constisnull)
        return nullptr;
    request->rows = Max(1, DatumGetInt32(reinterpret_cast<Const *>(k)->constvalue));
    return reinterpret_cast<Node *>(request);
}

}  // namespace

extern "C" {

PG_FUNCTION_INFO_V1(csp_planner_support);

// csp.planner_support(internal) -> internal
Datum csp_planner_support(PG_FUNCTION_ARGS) {
    auto *request = reinterpret_cast<Node *>(PG_GETARG_POINTER(0));
    note_call_in_planning();
    if (IsA(request, SupportRequestRows))
        PG_RETURN_POINTER(estimate_rows(reinterpret_cast<SupportRequestRows *>(request)));
    PG_RETURN_POINTER(nullptr);
}

}  // extern "C"

// Atoms of expressions.
#include "plan_atoms.h"

extern "C" {
#include "nodes/makefuncs.h"
}

namespace csp::server {

namespace {

bool is_atom(Node *node) {
    switch (nodeTag(node)) {
        case T_Var:
        case T_Aggref:
        case T_WindowFunc:
        case T_GroupingFunc:
        case T_ConvertRowtypeExpr:  // of a row of a partition: its column has another type
#if PG_VERSION_NUM >= 170000
        case T_MergeSupportFunc:
#endif
            return true;
        default: return is_set_returning(node);
    }
}

bool collect_walker(Node *node, void *context) {
    if (node == nullptr)
        return false;
    if (!is_atom(node))
        return walk_expression(node, collect_walker, context);
    auto **atoms = static_cast<List **>(context);
    if (position_of(*atoms, node) < 0)
        *atoms = lappend(*atoms, node);
    return false;
}

}  // namespace

bool is_set_returning(const Node *node) {
    return (IsA(node, FuncExpr) && reinterpret_cast<const FuncExpr *>(node)->funcretset) ||
           (IsA(node, OpExpr) && reinterpret_cast<const OpExpr *>(node)->opretset);
}

void collect_atoms(Node *expression, List **atoms) { collect_walker(expression, atoms); }

Node *above_atoms(Node *expression, List *atoms) {
    return replace_expressions(expression, atoms, references_behind(0, atoms));
}

bool has_calls_above(Node *expression) {
    if (!mentions_call(expression))
        return false;  // which nearly all nodes of a large plan are
    List *atoms = NIL;
    collect_atoms(expression, &atoms);
    return has_calls(above_atoms(expression, atoms));
}

List *as_target_list(const List *expressions) {
    List *entries = NIL;
    const ListCell *cell;
    foreach (cell, expressions)
        entries = lappend(entries, makeTargetEntry(static_cast<Expr *>(lfirst(cell)),
                                                   static_cast<AttrNumber>(list_length(entries) + 1), nullptr, false));
    return entries;
}

}  // namespace csp::server

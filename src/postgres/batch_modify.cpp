// Calls in RETURNING and in the actions of MERGE.
#include "batch_modify.h"

#include "batch_node.h"
#include "batch_stages.h"
#include "plan_atoms.h"
#include "plan_volatility.h"

extern "C" {
#include "nodes/makefuncs.h"
}

namespace csp::server {

namespace {

// ---- RETURNING -----------------------------------------------------------------------------

List *atoms_of(Node *expression) {
    List *atoms = NIL;
    collect_atoms(expression, &atoms);
    return atoms;
}

bool same_types(const List *a, const List *b) {
    if (list_length(a) != list_length(b))
        return false;
    const ListCell *first, *second;
    forboth (first, a, second, b)
        if (exprType(node_of(lfirst(first))) != exprType(node_of(lfirst(second))))
            return false;
    return true;
}

// Each partition has a RETURNING list of its own, in its own columns. Their atoms correspond; NIL if they do not.
List *atoms_of_partitions(const ModifyTable *modify) {
    List *of_each = NIL;
    const ListCell *cell;
    foreach (cell, modify->returningLists) {
        List *atoms = atoms_of(node_of(lfirst(cell)));
        if (of_each != NIL && !same_types(static_cast<List *>(linitial(of_each)), atoms))
            return NIL;
        of_each = lappend(of_each, atoms);
    }
    return of_each;
}

// ---- MERGE ---------------------------------------------------------------------------------

bool is_source_column(Node *node) { return IsA(node, Var) && reinterpret_cast<Var *>(node)->varno == INNER_VAR; }

bool has_other_columns(Node *node, void *context) {
    if (node == nullptr)
        return false;
    if (IsA(node, Var))
        return !is_source_column(node);
    return walk_expression(node, has_other_columns, context);
}

using ActionVisitor = void (*)(MergeAction *action, void *context);

void visit_actions(ModifyTable *modify, ActionVisitor visit, void *context) {
    const ListCell *actions, *cell;
    foreach (actions, modify->mergeActionLists)
        foreach (cell, static_cast<List *>(lfirst(actions)))
            visit(static_cast<MergeAction *>(lfirst(cell)), context);
}

// Calls that are about the source alone, as actions write them.
void collect_of_source(MergeAction *action, void *context) {
    auto *calls = static_cast<Calls *>(context);
    Calls found;
    collect_calls(node_of(action->targetList), found);
    const ListCell *cell;
    foreach (cell, found.calls)
        if (!has_other_columns(node_of(lfirst(cell)), nullptr) && position_of(calls->calls, lfirst(cell)) < 0) {
            calls->calls = lappend(calls->calls, lfirst(cell));
            calls->guards = lappend(calls->guards, nullptr);
        }
}

struct ActionReplacement {
    List *calls;
    List *values;
};

void replace_in_action(MergeAction *action, void *context) {
    auto *replacement = static_cast<ActionReplacement *>(context);
    action->targetList = reinterpret_cast<List *>(
        replace_expressions(node_of(action->targetList), replacement->calls, replacement->values));
}

}  // namespace

Plan *lift_returning(Rewriter &rewriter, ModifyTable *modify) {
    Plan *plan = &modify->plan;
    if (modify->returningLists == NIL || !has_calls_above(node_of(linitial(modify->returningLists))))
        return plan;
    List *of_each = atoms_of_partitions(modify);
    if (of_each == NIL)
        return plan;

    auto *atoms = static_cast<List *>(linitial(of_each));
    auto *returning = reinterpret_cast<List *>(above_atoms(node_of(linitial(modify->returningLists)), atoms));
    List *handed_up = NIL;
    const ListCell *cell;
    foreach (cell, of_each)
        handed_up = lappend(handed_up, as_target_list(static_cast<List *>(lfirst(cell))));
    modify->returningLists = handed_up;
    plan->targetlist = copy_node(static_cast<List *>(linitial(handed_up)));
    return build_stages(rewriter, {plan, returning, NIL, plan, batch_node_modifies});
}

// Actions know the columns of the source as INNER_VAR.
void lower_merge_actions(Rewriter &rewriter, ModifyTable *modify) {
    Calls calls;
    visit_actions(modify, collect_of_source, &calls);
    ActionReplacement replacement{calls.calls, NIL};
    if (move_below_marked(rewriter, &modify->plan.lefttree, calls, INNER_VAR, &replacement.values))
        visit_actions(modify, replace_in_action, &replacement);
}

}  // namespace csp::server

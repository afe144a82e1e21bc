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

// Actions know the columns of the source as INNER_VAR, a node above the source as OUTER_VAR.
Node *as_outer(Node *node, void *context) {
    if (node == nullptr || !is_source_column(node))
        return node == nullptr ? nullptr : mutate_expression(node, as_outer, context);
    Var *column = copy_node(reinterpret_cast<Var *>(node));
    column->varno = OUTER_VAR;
    return reinterpret_cast<Node *>(column);
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

// CASE WHEN marked THEN call ELSE value END
Expr *value_or_call(Var *marked, Expr *call, Var *value) {
    CaseWhen *branch = makeNode(CaseWhen);
    branch->expr = reinterpret_cast<Expr *>(copy_node(marked));
    branch->result = call;
    branch->location = -1;
    CaseExpr *expression = makeNode(CaseExpr);
    expression->casetype = value->vartype;
    expression->casecollid = value->varcollid;
    expression->args = list_make1(branch);
    expression->defresult = reinterpret_cast<Expr *>(value);
    expression->location = -1;
    return reinterpret_cast<Expr *>(expression);
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

void lower_merge_actions(Rewriter &rewriter, ModifyTable *modify) {
    Calls calls;
    visit_actions(modify, collect_of_source, &calls);
    Plan **source = &modify->plan.lefttree;
    if (calls.calls == NIL || !may_read_ahead(rewriter.statement, *source))
        return;

    List *columns = make_references((*source)->targetlist);
    const int before = list_length(columns);
    const int count = list_length(calls.calls);
    List *below = reinterpret_cast<List *>(as_outer(node_of(calls.calls), nullptr));
    columns = list_concat(columns, as_target_list(below));
    columns = lappend(columns, makeTargetEntry(reinterpret_cast<Expr *>(make_mark_reference(count)),
                                               static_cast<AttrNumber>(list_length(columns) + 1), nullptr, true));
    int position = 0;
    ListCell *cell;
    foreach (cell, columns) {
        auto *column = lfirst_node(TargetEntry, cell);
        column->resno = static_cast<AttrNumber>(++position);
        column->resjunk = column->resjunk || position > before;
    }

    Var *marked = makeVar(INNER_VAR, static_cast<AttrNumber>(before + count + 1), BOOLOID, -1, InvalidOid, 0);
    ActionReplacement replacement{calls.calls, NIL};
    const ListCell *call;
    foreach (call, calls.calls) {
        Var *value = make_reference(INNER_VAR, before + list_length(replacement.values) + 1, node_of(lfirst(call)));
        replacement.values = lappend(replacement.values, value_or_call(marked, static_cast<Expr *>(lfirst(call)), value));
    }
    *source = add_batch_node(rewriter, *source, columns, NIL, *source, batch_node_marks);
    visit_actions(modify, replace_in_action, &replacement);
}

}  // namespace csp::server

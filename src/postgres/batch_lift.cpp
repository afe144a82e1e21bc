// Moving target lists and filters above their nodes.
#include "batch_lift.h"

#include "batch_stages.h"
#include "plan_atoms.h"
#include "plan_volatility.h"

namespace csp::server {

namespace {

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
    const auto above = [&](List *list) {
        return reinterpret_cast<List *>(above_atoms(node_of(list), atoms));
    };
    return build_stages(rewriter, {plan, above(split.target_list), above(split.filter), plan, 0});
}

bool has_current_of(Node *node, void *context) {
    if (node == nullptr)
        return false;
    return IsA(node, CurrentOfExpr) || walk_expression(node, has_current_of, context);
}

// Whether a row's evaluation may change what the calls of the next row mean.
bool depends_on_order(Plan *plan, const Clauses &clauses) {
    List *all = list_copy(plan->targetlist);
    for (int i = 0; i < clauses.count; ++i)
        all = list_concat(all, *clauses.lists[i]);
    return may_change_settings(all) && has_call_without_model(node_of(all));
}

bool has_movable_calls(Plan *plan, const Clauses &clauses) {
    bool found = has_calls_above(node_of(plan->targetlist));
    for (int i = 0; i < clauses.count; ++i)
        found = found || has_calls_above(node_of(*clauses.lists[i]));
    return found && !has_current_of(node_of(plan->qual), nullptr) && !depends_on_order(plan, clauses);
}

// A Result that only projects gives way to the node above it.
Plan *lift_projection(Rewriter &rewriter, Plan *plan) {
    if (!may_read_ahead(rewriter.statement, plan->lefttree))
        return plan;
    return build_stages(rewriter, {plan->lefttree, plan->targetlist, plan->qual, plan, 0});
}

Plan *lift_scan_or_join(Rewriter &rewriter, Plan *plan, const Clauses &clauses) {
    const Split split = take_off(plan, clauses);
    if (!may_be_kept(plan->targetlist, 0) || !may_read_ahead(rewriter.statement, plan)) {
        put_back(plan, clauses, split);
        return plan;
    }
    if (split.filter != NIL && clauses.count == 2)
        reinterpret_cast<Join *>(plan)->inner_unique = false;  // what is left may match more than once
    plan->async_capable = false;  // or it would wait for a parent that it no longer has
    return put_above(rewriter, plan, split);
}

}  // namespace

void lift_calls(Rewriter &rewriter, Plan **slot) {
    Plan *plan = *slot;
    const Clauses clauses = movable_clauses(plan);
    if (!has_movable_calls(plan, clauses))
        return;
    *slot = only_projects(plan) ? lift_projection(rewriter, plan) : lift_scan_or_join(rewriter, plan, clauses);
    if (*slot != plan)
        move_init_plans(plan, *slot);
}

}  // namespace csp::server

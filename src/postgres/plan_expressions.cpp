// Finding and replacing calls in the expressions of a plan.
#include "plan_expressions.h"

extern "C" {
#include "nodes/makefuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
}

namespace csp::server {

namespace {

// What is known of the circumstances under which an expression is evaluated.
struct Circumstances {
    List *conditions = NIL;  // all hold
    bool unknown = false;    // or it depends on something that cannot be evaluated ahead
};

// What has been collected, and how often calls were met: also those that were known already.
struct Collection {
    Calls calls;
    int met = 0;
};

void collect(Node *node, const Circumstances &when, Collection &collection);

// Notes the calls at a place of which it is not known whether it is evaluated.
bool refuse(Node *node, void *collection) {
    if (node == nullptr)
        return false;
    List **refused = &static_cast<Collection *>(collection)->calls.refused;
    BatchFunction function;
    if (IsA(node, FuncExpr) && find_batch_function(reinterpret_cast<FuncExpr *>(node)->funcid, &function) &&
        position_of(*refused, node) < 0)
        *refused = lappend(*refused, node);
    return walk_expression(node, refuse, collection);
}

// A value under a guard would be used there too, where the guard need not hold.
void take_off_refused(Calls &calls) {
    for (int i = list_length(calls.calls) - 1; i >= 0 && calls.refused != NIL; --i)
        if (list_nth(calls.guards, i) != nullptr && position_of(calls.refused, list_nth(calls.calls, i)) >= 0) {
            calls.calls = list_delete_nth_cell(list_copy(calls.calls), i);
            calls.guards = list_delete_nth_cell(list_copy(calls.guards), i);
        }
}

bool mentions_call_walker(Node *node, void *) {
    if (node == nullptr)
        return false;
    BatchFunction function;
    if (IsA(node, FuncExpr) && find_batch_function(reinterpret_cast<FuncExpr *>(node)->funcid, &function))
        return true;
    return walk_expression(node, mentions_call_walker, nullptr);
}

// Worth evaluating twice: a small part of what a call costs, which it may save.
bool is_cheap(Node *condition) {
    constexpr double most_operators = 100;
    QualCost cost;
    cost_qual_eval_node(&cost, condition, nullptr);
    return cost.per_tuple <= most_operators * cpu_operator_cost;
}

// Whether a condition may be evaluated ahead, beside its evaluation in place. (An error in it marks the row.)
bool may_guard(Node *condition) {
    return !contain_volatile_functions(condition) && !contain_subplans(condition) && !contain_agg_clause(condition) &&
           !contain_window_function(condition) && !mentions_call(condition) && is_cheap(condition);
}

Circumstances also_when(const Circumstances &when, Node *condition) {
    constexpr int most_conditions = 20;  // of which each is evaluated twice
    if (when.unknown || condition == nullptr || list_length(when.conditions) == most_conditions || !may_guard(condition))
        return {NIL, true};
    return {lappend(list_copy(when.conditions), condition), false};
}

Node *boolean_test(Node *expression, BoolTestType type) {
    BooleanTest *test = makeNode(BooleanTest);
    test->arg = reinterpret_cast<Expr *>(expression);
    test->booltesttype = type;
    test->location = -1;
    return reinterpret_cast<Node *>(test);
}

bool has_inner_test(Node *node, void *context) {
    if (node == nullptr)
        return false;
    return IsA(node, CaseExpr) || IsA(node, ArrayCoerceExpr) || walk_expression(node, has_inner_test, context);
}

Node *replace_test(Node *node, void *tested) {
    if (node == nullptr)
        return nullptr;
    if (IsA(node, CaseTestExpr))
        return static_cast<Node *>(copyObjectImpl(tested));
    return mutate_expression(node, replace_test, tested);
}

// The condition of a branch: in CASE x WHEN y it compares with a place holder of x. Null where that may be another's.
Node *condition_of(const CaseExpr *expression, const CaseWhen *branch) {
    auto *condition = reinterpret_cast<Node *>(branch->expr);
    if (expression->arg == nullptr)
        return condition;
    return has_inner_test(condition, nullptr) ? nullptr : replace_test(condition, expression->arg);
}

Node *tested(Node *condition, BoolTestType type) {
    return condition == nullptr ? nullptr : boolean_test(condition, type);
}

// CASE: a result under its own condition and the failure of those before.
void collect_case(CaseExpr *expression, Circumstances when, Collection &calls) {
    collect(reinterpret_cast<Node *>(expression->arg), when, calls);
    const ListCell *cell;
    foreach (cell, expression->args) {
        auto *branch = lfirst_node(CaseWhen, cell);
        Node *condition = condition_of(expression, branch);
        collect(reinterpret_cast<Node *>(branch->expr), when, calls);
        collect(reinterpret_cast<Node *>(branch->result), also_when(when, tested(condition, IS_TRUE)), calls);
        when = also_when(when, tested(condition, IS_NOT_TRUE));
    }
    collect(reinterpret_cast<Node *>(expression->defresult), when, calls);
}

void collect_coalesce(CoalesceExpr *expression, Circumstances when, Collection &calls) {
    const ListCell *cell;
    foreach (cell, expression->args) {
        auto *argument = static_cast<Node *>(lfirst(cell));
        collect(argument, when, calls);
        if (lnext(expression->args, cell) != nullptr)
            when = also_when(when, make_null_test(argument, IS_NULL));
    }
}

void collect_boolean(BoolExpr *expression, Circumstances when, Collection &calls) {
    const ListCell *cell;
    foreach (cell, expression->args) {
        auto *argument = static_cast<Node *>(lfirst(cell));
        collect(argument, when, calls);
        if (lnext(expression->args, cell) == nullptr)
            return;
        when = also_when(when, boolean_test(argument, expression->boolop == AND_EXPR ? IS_NOT_FALSE : IS_NOT_TRUE));
    }
}

// Arguments of an aggregate are evaluated for the rows that its filter lets through. What an ordered-set aggregate
// takes besides is evaluated once a group.
void collect_aggregate(Aggref *aggregate, const Circumstances &when, Collection &calls) {
    auto *filter = reinterpret_cast<Node *>(aggregate->aggfilter);
    collect(filter, when, calls);
    collect(reinterpret_cast<Node *>(aggregate->args),
            filter ? also_when(when, boolean_test(filter, IS_TRUE)) : when, calls);
    refuse(reinterpret_cast<Node *>(aggregate->aggdirectargs), &calls);
}

// Of a window function only aggregates are certain to look at each row.
void collect_window_function(WindowFunc *function, const Circumstances &when, Collection &calls) {
    if (!function->winagg) {
        refuse(reinterpret_cast<Node *>(function), &calls);
        return;
    }
    auto *filter = reinterpret_cast<Node *>(function->aggfilter);
    collect(filter, when, calls);
    collect(reinterpret_cast<Node *>(function->args), filter ? also_when(when, boolean_test(filter, IS_TRUE)) : when,
            calls);
}

void add_call(FuncExpr *call, const Circumstances &when, Collection &collection) {
    Calls &calls = collection.calls;
    ++collection.met;
    Node *guard = when.conditions == NIL ? nullptr
                                         : reinterpret_cast<Node *>(make_ands_explicit(list_copy(when.conditions)));
    const int known = position_of(calls.calls, call);
    if (known < 0) {
        calls.calls = lappend(calls.calls, call);
        calls.guards = lappend(calls.guards, guard);
        return;
    }
    ListCell *cell = list_nth_cell(calls.guards, known);
    auto *other = static_cast<Node *>(lfirst(cell));
    lfirst(cell) = guard == nullptr || other == nullptr
                       ? nullptr
                       : makeBoolExpr(OR_EXPR, list_make2(other, guard), -1);
}

void collect_function(FuncExpr *call, const Circumstances &when, Collection &calls) {
    auto *arguments = reinterpret_cast<Node *>(call->args);
    const int met = calls.met;
    collect(arguments, when, calls);
    BatchFunction function;
    if (!find_batch_function(call->funcid, &function) || function.kind == CallKind::classify || calls.met > met)
        return;
    if (!contain_volatile_functions(arguments) && !contain_subplans(arguments) && !contain_agg_clause(arguments) &&
        !contain_window_function(arguments))
        add_call(call, when, calls);
}

struct WalkContext {
    const Circumstances *when;
    Collection *calls;
};

bool collect_walker(Node *node, void *context) {
    auto *walk = static_cast<WalkContext *>(context);
    collect(node, *walk->when, *walk->calls);
    return false;
}

void collect_children(Node *node, const Circumstances &when, Collection &calls) {
    WalkContext context{&when, &calls};
    walk_expression(node, collect_walker, &context);
}

// A part that is evaluated whenever its expression is, and one that may be evaluated less often, or more.
void collect_part(void *part, void *other, const Circumstances &when, Collection &calls) {
    collect(static_cast<Node *>(part), when, calls);
    refuse(static_cast<Node *>(other), &calls);
}

void collect_subscripting(SubscriptingRef *reference, const Circumstances &when, Collection &calls) {
    collect_part(reference->refexpr, reference->refupperindexpr, when, calls);
    collect_part(nullptr, reference->reflowerindexpr, when, calls);
    collect_part(nullptr, reference->refassgnexpr, when, calls);
}

void collect(Node *node, const Circumstances &when, Collection &calls) {
    if (node == nullptr)
        return;
    check_stack_depth();
    if (when.unknown) {
        refuse(node, &calls);
        return;
    }
    switch (nodeTag(node)) {
        case T_FuncExpr: return collect_function(reinterpret_cast<FuncExpr *>(node), when, calls);
        case T_CaseExpr: return collect_case(reinterpret_cast<CaseExpr *>(node), when, calls);
        case T_CoalesceExpr: return collect_coalesce(reinterpret_cast<CoalesceExpr *>(node), when, calls);
        case T_BoolExpr:
            if (reinterpret_cast<BoolExpr *>(node)->boolop == NOT_EXPR)
                return collect_children(node, when, calls);
            return collect_boolean(reinterpret_cast<BoolExpr *>(node), when, calls);
        case T_Aggref: return collect_aggregate(reinterpret_cast<Aggref *>(node), when, calls);
        case T_WindowFunc: return collect_window_function(reinterpret_cast<WindowFunc *>(node), when, calls);
        case T_SubPlan:  // its test expression is evaluated as often as the subquery has rows
            return collect_part(reinterpret_cast<SubPlan *>(node)->args, reinterpret_cast<SubPlan *>(node)->testexpr,
                                when, calls);
        case T_SubscriptingRef:  // subscripts are not evaluated for a null array
            return collect_subscripting(reinterpret_cast<SubscriptingRef *>(node), when, calls);
        case T_ArrayCoerceExpr:
            return collect_part(reinterpret_cast<ArrayCoerceExpr *>(node)->arg,
                                reinterpret_cast<ArrayCoerceExpr *>(node)->elemexpr, when, calls);
        // These evaluate all that they hold, in whatever order.
        case T_List:
        case T_TargetEntry:
        case T_OpExpr:
        case T_DistinctExpr:
        case T_NullIfExpr:
        case T_ScalarArrayOpExpr:
        case T_ArrayExpr:
        case T_RowExpr:
        case T_MinMaxExpr:
        case T_FieldSelect:
        case T_RelabelType:
        case T_CoerceViaIO:
        case T_ConvertRowtypeExpr:
        case T_CollateExpr:
        case T_NullTest:
        case T_BooleanTest:
        case T_CoerceToDomain: return collect_children(node, when, calls);
        default: refuse(node, &calls);
    }
}

struct Replacement {
    List *from;
    List *to;
};

Node *replace_mutator(Node *node, void *context) {
    if (node == nullptr)
        return nullptr;
    auto *replacement = static_cast<Replacement *>(context);
    if (!IsA(node, List)) {
        const int position = position_of(replacement->from, node);
        if (position >= 0)
            return static_cast<Node *>(copyObjectImpl(list_nth(replacement->to, position)));
    }
    return mutate_expression(node, replace_mutator, context);
}

// Calls about one place share its embedding.
bool same_place(const FuncExpr *a, const FuncExpr *b) {
    BatchFunction first, second;
    if (!find_batch_function(a->funcid, &first) || !find_batch_function(b->funcid, &second))
        return false;
    if (first.location < 0 || second.location < 0 || first.dated != second.dated)
        return false;
    const auto same = [&](int i, int j) {
        return i < 0 || j < 0 ? i == j : equal(list_nth(a->args, i), list_nth(b->args, j));
    };
    return same(first.location, second.location) && same(first.date, second.date) && same(first.model, second.model);
}

}  // namespace

void collect_calls(Node *expression, Calls &calls) {
    Collection collection{calls};
    collect(expression, Circumstances{}, collection);
    calls = collection.calls;
    take_off_refused(calls);
}

bool mentions_call(Node *expression) { return mentions_call_walker(expression, nullptr); }

bool has_calls(Node *expression) {
    Calls calls;
    collect_calls(expression, calls);
    return calls.calls != NIL;
}

bool has_call_without_model(Node *expression) {
    Calls calls;
    collect_calls(expression, calls);
    const ListCell *cell;
    foreach (cell, calls.calls) {
        BatchFunction function;
        if (find_batch_function(lfirst_node(FuncExpr, cell)->funcid, &function) && function.model < 0)
            return true;
    }
    return false;
}

int position_of(const List *list, const void *expression) {
    const ListCell *cell;
    foreach (cell, list)
        if (equal(lfirst(cell), expression))
            return foreach_current_index(cell);
    return -1;
}

bool comes_along(const FuncExpr *call, const Calls &calls) {
    if (position_of(calls.calls, call) >= 0)
        return true;
    BatchFunction function;
    if (!find_batch_function(call->funcid, &function) ||
        (function.kind != CallKind::embed && function.kind != CallKind::probability))
        return false;
    if (function.label >= 0 && !IsA(list_nth(call->args, function.label), Const))
        return false;
    const ListCell *cell;
    foreach (cell, calls.calls)
        if (same_place(call, lfirst_node(FuncExpr, cell)))
            return true;
    return false;
}

Node *replace_expressions(Node *expression, List *from, List *to) {
    Replacement replacement{from, to};
    return replace_mutator(expression, &replacement);
}

Expr *make_case(List *branches, Expr *otherwise) {
    CaseExpr *expression = makeNode(CaseExpr);
    expression->casetype = exprType(reinterpret_cast<Node *>(otherwise));
    expression->casecollid = exprCollation(reinterpret_cast<Node *>(otherwise));
    expression->args = branches;
    expression->defresult = otherwise;
    expression->location = -1;
    return reinterpret_cast<Expr *>(expression);
}

CaseWhen *make_branch(Node *condition, Expr *result) {
    CaseWhen *branch = makeNode(CaseWhen);
    branch->expr = reinterpret_cast<Expr *>(condition);
    branch->result = result;
    branch->location = -1;
    return branch;
}

Node *make_null_test(Node *expression, NullTestType type) {
    NullTest *test = makeNode(NullTest);
    test->arg = reinterpret_cast<Expr *>(expression);
    test->nulltesttype = type;
    test->argisrow = false;
    test->location = -1;
    return reinterpret_cast<Node *>(test);
}

Var *make_reference(int varno, int attribute, const Node *expression) {
    return makeVar(varno, static_cast<AttrNumber>(attribute), exprType(expression), exprTypmod(expression),
                   exprCollation(expression), 0);
}

List *make_references(const List *columns) {
    List *references = NIL;
    const ListCell *cell;
    foreach (cell, columns) {
        auto *column = lfirst_node(TargetEntry, cell);
        const int position = list_length(references) + 1;
        auto *reference = reinterpret_cast<Expr *>(
            make_reference(OUTER_VAR, position, reinterpret_cast<Node *>(column->expr)));
        references = lappend(references, makeTargetEntry(reference, static_cast<AttrNumber>(position), column->resname,
                                                         column->resjunk));
    }
    return references;
}

bool walk_expression(Node *node, bool (*walker)(Node *, void *), void *context) {
#if PG_VERSION_NUM >= 160000
    return expression_tree_walker(node, walker, context);
#else
    return expression_tree_walker(node, reinterpret_cast<bool (*)()>(reinterpret_cast<void (*)()>(walker)), context);
#endif
}

bool walk_query(Query *query, bool (*walker)(Node *, void *), void *context) {
#if PG_VERSION_NUM >= 160000
    return query_tree_walker(query, walker, context, 0);
#else
    return query_tree_walker(query, reinterpret_cast<bool (*)()>(reinterpret_cast<void (*)()>(walker)), context, 0);
#endif
}

Node *mutate_expression(Node *node, Node *(*mutator)(Node *, void *), void *context) {
#if PG_VERSION_NUM >= 160000
    return expression_tree_mutator(node, mutator, context);
#else
    return expression_tree_mutator(node, reinterpret_cast<Node *(*)()>(reinterpret_cast<void (*)()>(mutator)), context);
#endif
}

}  // namespace csp::server

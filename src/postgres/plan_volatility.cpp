// Looking for effects in a plan.
#include "plan_volatility.h"

#include "plan_expressions.h"

extern "C" {
#include "catalog/pg_proc.h"
#include "optimizer/optimizer.h"
#include "utils/fmgroids.h"
}

namespace csp::server {

namespace {

bool function_has_effect(Oid function, void *) {
    switch (function) {
#if PG_VERSION_NUM < 170000
        case F_RANDOM:
#else
        case F_RANDOM_:
        case F_RANDOM_INT4_INT4:
        case F_RANDOM_INT8_INT8:
        case F_RANDOM_NUMERIC_NUMERIC:
#endif
        case F_CLOCK_TIMESTAMP:
        case F_TIMEOFDAY:
        case F_GEN_RANDOM_UUID: return false;
        default: return func_volatile(function) == PROVOLATILE_VOLATILE;
    }
}

bool function_may_change_settings(Oid function, void *) {
    switch (function) {
        case F_NEXTVAL:
        case F_CURRVAL:
        case F_SETVAL_REGCLASS_INT8: return false;
        default: return function_has_effect(function, nullptr);
    }
}

bool may_change_settings_walker(Node *node, void *context) {
    if (node == nullptr)
        return false;
    return check_functions_in_node(node, function_may_change_settings, nullptr) ||
           walk_expression(node, may_change_settings_walker, context);
}

bool plan_has_effect(const PlannedStmt *statement, Plan *plan);

struct Context {
    const PlannedStmt *statement;
};

bool has_effect(Node *node, void *context) {
    if (node == nullptr)
        return false;
    if (check_functions_in_node(node, function_has_effect, nullptr) || IsA(node, NextValueExpr))
        return true;
    const auto *statement = static_cast<Context *>(context)->statement;
    if (IsA(node, SubPlan) &&
        plan_has_effect(statement, static_cast<Plan *>(list_nth(statement->subplans,
                                                                reinterpret_cast<SubPlan *>(node)->plan_id - 1))))
        return true;
    if (IsA(node, RangeTblFunction))
        return has_effect(reinterpret_cast<RangeTblFunction *>(node)->funcexpr, context);
    return walk_expression(node, has_effect, context);
}

bool any_plan_has_effect(const PlannedStmt *statement, const List *plans) {
    const ListCell *cell;
    foreach (cell, plans)
        if (plan_has_effect(statement, static_cast<Plan *>(lfirst(cell))))
            return true;
    return false;
}

bool expressions_have_effect(const PlannedStmt *statement, Plan *plan) {
    Context context{statement};
    const auto check = [&](void *expression) { return has_effect(static_cast<Node *>(expression), &context); };
    if (check(plan->targetlist) || check(plan->qual) || check(plan->initPlan))
        return true;
    switch (nodeTag(plan)) {
        case T_NestLoop:
        case T_MergeJoin:
        case T_HashJoin: return check(reinterpret_cast<Join *>(plan)->joinqual);
        case T_FunctionScan: return check(reinterpret_cast<FunctionScan *>(plan)->functions);
        case T_ValuesScan: return check(reinterpret_cast<ValuesScan *>(plan)->values_lists);
        case T_TableFuncScan: return true;  // whatever; rare
        case T_ModifyTable: return true;
        case T_CustomScan: return check(reinterpret_cast<CustomScan *>(plan)->custom_exprs);
        default: return false;
    }
}

bool children_have_effect(const PlannedStmt *statement, Plan *plan) {
    if (plan_has_effect(statement, plan->lefttree) || plan_has_effect(statement, plan->righttree))
        return true;
    switch (nodeTag(plan)) {
        case T_Append: return any_plan_has_effect(statement, reinterpret_cast<Append *>(plan)->appendplans);
        case T_MergeAppend: return any_plan_has_effect(statement, reinterpret_cast<MergeAppend *>(plan)->mergeplans);
        case T_SubqueryScan: return plan_has_effect(statement, reinterpret_cast<SubqueryScan *>(plan)->subplan);
        case T_CustomScan: return any_plan_has_effect(statement, reinterpret_cast<CustomScan *>(plan)->custom_plans);
        case T_CteScan:
            return plan_has_effect(statement, static_cast<Plan *>(list_nth(
                                                  statement->subplans,
                                                  reinterpret_cast<CteScan *>(plan)->ctePlanId - 1)));
        default: return false;
    }
}

bool plan_has_effect(const PlannedStmt *statement, Plan *plan) {
    if (plan == nullptr)
        return false;
    check_stack_depth();
    // Locks of rows that nobody asked for would be seen by other transactions.
    if (IsA(plan, LockRows))
        return true;
    return expressions_have_effect(statement, plan) || children_have_effect(statement, plan);
}

}  // namespace

bool may_read_ahead(const PlannedStmt *statement, Plan *plan) { return !plan_has_effect(statement, plan); }

bool may_change_settings(List *expressions) {
    return may_change_settings_walker(reinterpret_cast<Node *>(expressions), nullptr);
}

}  // namespace csp::server

// Expressions of a finished plan: the calls in them that a batch may evaluate, and replacing parts.
//
// Here and in batch_plan.cpp server functions may raise errors anywhere, so no C++ objects with destructors live.
#pragma once

#include "batch_functions.h"

extern "C" {
#include "nodes/nodeFuncs.h"
#include "nodes/plannodes.h"
}

namespace csp::server {

// Distinct calls of query functions. A guard is a condition without which a call's value is not asked for; evaluating
// it early has no effect and costs little, but may raise an error. Null: the value is always asked for.
struct Calls {
    List *calls = NIL;   // of FuncExpr
    List *guards = NIL;  // as many
    List *refused = NIL; // calls that were met where it is not known whether they are evaluated
};

// Adds the innermost calls in `expression` (a node or a list) that can be evaluated ahead: those whose arguments are
// not volatile and hold no subqueries, at places where whether they are evaluated is known ahead.
void collect_calls(Node *expression, Calls &calls);

bool has_calls(Node *expression);

// Whether it holds a query function anywhere, be it one that can be evaluated ahead or not.
bool mentions_call(Node *expression);

// Whether one of them names no model, so that the setting csp.model decides.
bool has_call_without_model(Node *expression);

// Position of an equal() expression in a list, from 0; -1: none.
int position_of(const List *list, const void *expression);

// Whether a call costs next to nothing once `calls` are evaluated: it is one of them, or about a place of theirs.
bool comes_along(const FuncExpr *call, const Calls &calls);

// A copy of `expression` in which whatever equals from[i] has become to[i].
Node *replace_expressions(Node *expression, List *from, List *to);

// The Var that stands for the value of an expression.
Var *make_reference(int varno, int attribute, const Node *expression);

// CASE over branches of make_branch; otherwise: its ELSE.
Expr *make_case(List *branches, Expr *otherwise);
CaseWhen *make_branch(Node *condition, Expr *result);

Node *make_null_test(Node *expression, NullTestType type);

// A target list of references to the columns of `columns` (TargetEntries), in their order.
List *make_references(const List *columns);

// expression_tree_walker and _mutator took functions without a prototype up to PostgreSQL 15.
bool walk_expression(Node *node, bool (*walker)(Node *, void *), void *context);
bool walk_query(Query *query, bool (*walker)(Node *, void *), void *context);
Node *mutate_expression(Node *node, Node *(*mutator)(Node *, void *), void *context);

template <typename NodeType>
NodeType *copy_node(const NodeType *node) {
    return static_cast<NodeType *>(copyObjectImpl(node));
}

}  // namespace csp::server

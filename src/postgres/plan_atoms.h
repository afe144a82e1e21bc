// What of an expression only its own plan node can evaluate: columns, aggregates, window and set-returning functions.
//
// A node that hands up its atoms lets a node above evaluate the rest.
#pragma once

#include "plan_builder.h"

namespace csp::server {

bool is_set_returning(const Node *node);

// Adds the atoms in `expression` that are not yet among them.
void collect_atoms(Node *expression, List **atoms);

// The expression as a node above evaluates it, whose input has the atoms as columns.
Node *above_atoms(Node *expression, List *atoms);

// Whether there is a call outside of atoms, which a node above can evaluate.
bool has_calls_above(Node *expression);

// Expressions as a target list.
List *as_target_list(const List *expressions);

}  // namespace csp::server

// Rights on models, and what becomes of them with a role.
//
// Users' rights are decided by row-level security (sql/10_catalog.sql) and by require_model_rights. Here is what makes the
// server know which roles the catalogue speaks of, and what it does when it is told to give or take away what a role owns.
#pragma once

#include "pg.h"

namespace csp::server {

// In csp.role: PUBLIC, as no role is numbered. (0, which PUBLIC is in the server's own catalogues, is a role that is unknown.)
constexpr Oid public_role = 1;

// A role owns, from this transaction on, something in the catalogue: sees to it that it owns a relation that stands for
// that, and that nobody gives or drops it until the transaction has ended.
void hold_owner(Oid role);

// Drops what hold_owner made, if the role owns nothing any more and nobody is about to change that.
void release_owner(Oid role);

// The same for a role that a model is granted to.
void hold_grantee(Oid role);
void release_grantee(Oid role);

// Whether a relation is one that hold_owner has made. One that is not populated is one that pg_restore makes: whoever
// restores it owns it for a moment.
bool stands_for_owner(Oid relation);

// While hold_owner makes one, and gives it to the role.
bool is_making_relation_of_owner();

// Registers the hook by which REASSIGN OWNED is followed. Once, from _PG_init.
void install_reassignment_hook();

}  // namespace csp::server

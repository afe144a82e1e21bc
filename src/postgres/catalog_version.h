// Is the catalogue of this library's version? It is not between make install and ALTER EXTENSION UPDATE.
//
// Queries are answered from an earlier catalogue too; whatever writes needs its own.
#pragma once

#include "pg.h"

namespace csp::server {

bool catalog_is_current();

// Throws SqlError(object_not_in_prerequisite_state) if it is not.
void require_current_catalog();

}  // namespace csp::server

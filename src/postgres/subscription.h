// Tables of schema csp that logical replication fills: what they say is under way is so on another server.
#pragma once

#include "pg.h"

namespace csp::server {

// Whether a subscription of this database has the table, named without its schema.
bool is_subscribed(const char *table);

// Throws SqlError(object_not_in_prerequisite_state) if the runs of this database are another server's.
void require_own_runs(const std::string &function);

}  // namespace csp::server

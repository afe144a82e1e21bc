// How planner and executor come to batch calls of query functions.
#pragma once

#include "pg.h"

extern "C" {
#include "nodes/execnodes.h"
}

namespace csp::server {

// Tells that the query being planned calls a query function.
void note_call_in_planning();

// Whether whoever runs the query will take all of its rows: not where SPI gave a limit, say.
bool all_rows_are_asked_for(const EState *executor);

void install_hooks();

}  // namespace csp::server

// How the planner comes to batch calls of query functions.
#pragma once

namespace csp::server {

// Tells that the query being planned calls a query function.
void note_call_in_planning();

void install_planner_hooks();

}  // namespace csp::server

// Planner support function of the query functions.
//
// Being asked anything loads the library, which is why a session's very first query is batched too.
#include "batch_settings.h"

#include "guard.h"

using namespace csp::server;

extern "C" {

PG_FUNCTION_INFO_V1(csp_planner_support);

Datum csp_planner_support(PG_FUNCTION_ARGS) {
    (void)fcinfo;
    PG_RETURN_POINTER(nullptr);
}

}  // extern "C"

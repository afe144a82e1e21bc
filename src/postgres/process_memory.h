// How much memory this process takes.
#pragma once

#include "pg.h"

namespace csp::server {

// Bytes that are resident, shared ones included: now, and at most since the process began. 0 where the system does not tell.
struct ProcessMemory {
    int64 resident = 0, peak = 0;
};
ProcessMemory process_memory();

}  // namespace csp::server

// How much memory this process takes.
#pragma once

#include "pg.h"

namespace csp::server {

// Bytes that are resident, shared ones included; 0 where the system does not tell.
int64 resident_memory();

}  // namespace csp::server

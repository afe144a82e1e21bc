// Locks by which processes tell each other that they live: advisory locks of classes that SQL functions cannot take.
#pragma once

#include "pg.h"

extern "C" {
#include "storage/lock.h"
}

namespace csp::server {

LOCKTAG advisory_lock(uint64 id, uint16 lock_class);

// Whether some other process holds it.
bool is_held_by_another(const LOCKTAG &tag);

}  // namespace csp::server

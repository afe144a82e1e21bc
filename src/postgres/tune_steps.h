// How a search goes on. Nobody watches over it: whoever has ended a training run looks after the searches of the database,
// writes down what has come of their trials, queues the next and publishes the best. After a crash or a restart the
// process does it that looks after the queue (wake_queue).
#pragma once

#include "pg.h"

namespace csp::server {

// One step of a search: as far as it goes without waiting for a trial. Does nothing if it has ended. In a transaction
// that is short, with an active SPI connection.
void go_on_with_search(int64 search);

// A step of every search of this database, each in a transaction of its own. One that cannot go on has failed, and
// says why. For a background worker, outside a transaction.
void go_on_with_searches();

}  // namespace csp::server

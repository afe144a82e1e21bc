// Checkpoints of training runs, as csp.run_checkpoint keeps them: the last one of each run. Functions here need an active
// transaction and snapshot.
#pragma once

#include "pg.h"

namespace csp::server {

// Takes the place of the one before.
void store_checkpoint(int64 run, const std::string &bytes);

// Empty if there is none.
std::string load_checkpoint(int64 run);

void delete_checkpoint(int64 run);

}  // namespace csp::server

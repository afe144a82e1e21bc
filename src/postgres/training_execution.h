// A training run within its worker: reads, trains outside any transaction, publishes.
#pragma once

#include "pg.h"

#include "training_run.h"

namespace csp::server {

// What a run that is cancelled leaves behind, to be written once its transaction has been aborted.
struct LastWords {
    std::vector<EpochMetrics> metrics;
    std::string checkpoint;
};

// From reading to publishing. Throws what went wrong, which the run does not say yet.
void execute_training(int64 run, StoredRun stored, LastWords &last_words);

}  // namespace csp::server

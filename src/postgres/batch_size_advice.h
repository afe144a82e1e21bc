// The hint of a run that is out of memory.
#pragma once

#include "pg.h"

#include "../training/options.h"

#include <functional>

namespace csp::server {

// Which batches would have fitted into so many bytes (-1: unknown), as a sentence. The stages that the run has: first, second.
// estimate: bytes that it needs with other options.
std::string advice_on_batch_size(const TrainingOptions &options, bool first, bool second, int64_t rows, int64_t memory,
                                 const std::function<int64_t(const TrainingOptions &)> &estimate);

}  // namespace csp::server

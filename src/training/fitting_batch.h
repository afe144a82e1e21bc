// The batch size that would have fitted where one ran out of memory.
#pragma once

#include <cstdint>
#include <functional>

namespace csp {

constexpr int smallest_batch_size = 2;

// The largest batch size below `failed` that fits into `memory` bytes (-1: unknown), by `estimate`, which gives the bytes
// of a run for a batch size and grows with it. If it says that the failed one would have fitted, then it is too low, and
// what there was is taken for what that batch needs at most. 0 if none fits.
int fitting_batch_size(int failed, int64_t memory, const std::function<int64_t(int)> &estimate);

}  // namespace csp

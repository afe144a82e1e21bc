// The loss of one row of scores and its derivative, in host memory.
//
// Each takes n scores of one row, gives their loss and, with `derive`, leaves its derivative by each score in their
// place: one or two passes over a row that lies in the cache, where torch's operations take ten. The logarithms and
// exponentials are good to 2e-7 relative. See scores.h for the formulas.
#pragma once

#include <cstdint>

#include "vectorized.h"

namespace csp {

// pick_columns: softmax cross-entropy with column `target`.
double pick_column(float *scores, int64_t n, int64_t target, double smoothing, bool derive);
double pick_column(Bfloat16 *scores, int64_t n, int64_t target, double smoothing, bool derive);

// tell_present; target -1: no column is present.
double tell_column(float *scores, int64_t n, int64_t target, double present, double absent, bool derive);
double tell_column(Bfloat16 *scores, int64_t n, int64_t target, double present, double absent, bool derive);

}  // namespace csp

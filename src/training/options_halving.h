// Successive halving: many trials with few epochs, the best of them with more, and so on.
#pragma once

#include <vector>

#include "options.h"

namespace csp {

// Trials of each rung, all with the whole number of epochs in the last: a rung has `reduction` times the epochs of the one
// before, and that part of its trials. epochs: of the longer stage, the least among the trials; the first rung has at
// least one of them, since rungs of as many epochs would repeat each other.
std::vector<int> plan_rungs(int trials, int reduction, int epochs);

// Divides what decides how long a trial trains by reduction ^ (rungs - 1 - rung): epochs of both stages, at least one of a
// stage that has any, and min_steps.
void scale_to_rung(TrainingOptions &options, int rung, int rungs, int reduction);

}  // namespace csp

// What a checkpoint goes with: the options and rows of its run.
#pragma once

#include "checkpoint.h"
#include "trainer.h"

namespace csp {

void save_run(const TrainingOptions &options, const TrainingData &data, CheckpointWriter &checkpoint);

// Throws Error(data_corrupted) if the checkpoint is of a run with other options, Error(invalid_data)
// if it is of other rows.
void require_same_run(const CheckpointReader &checkpoint, const TrainingOptions &options, const TrainingData &data);

}  // namespace csp

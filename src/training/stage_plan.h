// What each stage of a run goes through: fixed before it starts.
#pragma once

#include <vector>

#include "options.h"
#include "samples.h"
#include "trainer.h"

namespace csp {

struct StagePlan {
    Stage stage = Stage::pretraining;
    RowIds training, validation;
    std::size_t epoch_rows = 0;  // of training, that an epoch goes through
    int batch_size = 0;
    int epochs = 0;
    double learning_rate = 0;
    Schedule schedule = Schedule::constant;
    double warmup = 0;
    ShuffleWindows windows;
};

// The architecture of the options with what only the data tells: image_dim and class_count,
// 0 where nothing trains that side and no initial model brings it; image_side; and user_count,
// 0 where the loss has no users. Throws as csp::validate, and Error(invalid_parameter) for a
// loss with users and data without.
ModelConfig complete_config(const TrainingOptions &options, const TrainingData &data);

// The stages that options and data ask for, in order. Pre-training goes through every row
// that is not held out, supervised training through those with a label, of which label_ratio
// may leave a few, and so does the image classifier after them. Throws
// Error(invalid_parameter) if there is no stage and Error(invalid_data) for fewer than two
// training rows, or two classes of them.
std::vector<StagePlan> plan_stages(const TrainingOptions &options, const TrainingData &data);

}  // namespace csp

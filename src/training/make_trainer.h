// The maker behind csp_training_library(), for those who are linked with this room.
#pragma once

#include <memory>

#include "trainer.h"

namespace csp {

// See TrainingLibrary::make_trainer.
std::unique_ptr<Trainer> make_trainer(const TrainingOptions &options, const TrainingData &data);

}  // namespace csp

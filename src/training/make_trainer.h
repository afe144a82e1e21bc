// The maker behind csp_training_library(), for those who are linked with this room.
#pragma once

#include <c10/core/TensorOptions.h>

#include <memory>
#include <string>

#include "trainer.h"

namespace csp {

// See TrainingLibrary::make_trainer.
std::unique_ptr<Trainer> make_trainer(const TrainingOptions &options, const TrainingData &data,
                                      const std::string &checkpoint = {}, const GroupMember &member = {});

// The same on a device of the caller's choice, whatever the option says.
std::unique_ptr<Trainer> make_trainer_on(const at::TensorOptions &device, const TrainingOptions &options,
                                         const TrainingData &data, const std::string &checkpoint = {},
                                         const GroupMember &member = {});

}  // namespace csp

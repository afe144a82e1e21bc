// A model that a run goes on from (option from_model): what it settles of the options, and the tensors that the run
// begins with. Free of torch and of PostgreSQL, like the table of options.
#pragma once

#include <vector>

#include "../encoder/model.h"
#include "options.h"
#include "trainer.h"

namespace csp {

// The options of a run that goes on from a model of this configuration: the architecture as it is, then the wanted ones.
// Throws Error(undefined_object) and Error(invalid_parameter) as set_option, and Error(invalid_parameter) if a wanted one
// differs from the architecture, or has dates where the model takes none, or the other way round.
std::vector<OptionValue> options_from_model(const ModelConfig &initial, const std::vector<OptionValue> &wanted);

// The tensors of the model, made to fit the run. The class head has the labels of the run: rows of labels that the model
// knows are its own, others random; a run that trains no classes has no head. An image side for features of another length
// is left out.
TensorMap initial_tensors(ModelContents model, const TrainingOptions &options, const TrainingData &data);

}  // namespace csp

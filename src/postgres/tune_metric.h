// By which figure the trials of a search are compared, and whether it can compare them.
#pragma once

#include "pg.h"

#include "../training/options_search.h"
#include "training_source.h"

namespace csp::server {

// What all trials share.
struct TrialData {
    bool has_features, has_label;  // what the source gives
    bool supervised;               // whether the last stage, whose figures they are, is the supervised one
};
TrialData trial_data(const TrainingQuery &query, const TrainingOptions &fixed, const SearchSpace &space);

// The metric of that name, or the best that there is for an empty one. Throws SqlError(invalid_parameter_value) for another
// name, and if the values of two trials could not be compared.
std::string choose_metric(const std::string &name, const TrialData &data, const TrainingOptions &fixed, const SearchSpace &space);

// Throws Error(invalid_parameter) if a trial of these options would have no value.
void check_trial(const TrainingOptions &options, const TrialData &data);

// Epochs of its longer stage.
int trial_epochs(const TrainingOptions &options, const TrialData &data);

}  // namespace csp::server

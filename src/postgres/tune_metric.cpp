// The metric of a search.
#include "tune_metric.h"

#include "guard.h"

#include <algorithm>

namespace csp::server {

namespace {

bool searches(const SearchSpace &space, const std::string &name) {
    return std::any_of(space.begin(), space.end(), [&](const SearchedOption &option) { return option.name == name; });
}

// validation_loss is the loss of training: options that change what it measures make it no measure of them.
void require_comparable_losses(const TrialData &data, const SearchSpace &space) {
    const std::vector<std::string> supervised = {"loss"};
    const std::vector<std::string> pretraining = {"objective", "batch_size", "temperature_in_batch", "learn_temperature"};
    for (const std::string &name : data.supervised ? supervised : pretraining)
        if (searches(space, name))
            throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "trials of different " + name + " cannot be compared by validation_loss",
                           "The option changes what that loss measures.",
                           std::string(data.supervised ? "Use metric validation_top1"
                                                       : "Give label, so that trials are compared by validation_top1") +
                               ", or leave the option out of search.");
}

}  // namespace

TrialData trial_data(const TrainingQuery &query, const TrainingOptions &fixed, const SearchSpace &space) {
    return {query.has_features, query.has_label, query.has_label && (fixed.epochs > 0 || searches(space, "epochs"))};
}

std::string choose_metric(const std::string &name, const TrialData &data, const TrainingOptions &fixed, const SearchSpace &space) {
    if (fixed.validation_fraction == 0)
        throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "no rows are held out to validate",
                       "A search compares its trials on them, and validation_fraction is 0.", "Set validation_fraction above 0.");
    if (!name.empty() && name != "validation_top1" && name != "validation_loss")
        throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "unknown metric \"" + name + "\"", {},
                       "Use one of: validation_top1, validation_loss.");
    if (name == "validation_top1" && !data.supervised)
        throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "without supervised training there is no validation_top1", {},
                       "Give label and epochs, or use metric validation_loss.");
    if (name == "validation_top1" || (name.empty() && data.supervised))
        return "validation_top1";
    require_comparable_losses(data, space);
    return "validation_loss";
}

void check_trial(const TrainingOptions &options, const TrialData &data) {
    validate(options);
    if (data.supervised && options.epochs == 0)
        throw Error(ErrorKind::invalid_parameter, "a trial without supervised training cannot be compared to the others",
                    "epochs is 0.", "Search over epochs of 1 or more.");
    if (!data.supervised && (!data.has_features || options.pretrain_epochs == 0))
        throw Error(ErrorKind::invalid_parameter, "nothing to train",
                    "Pre-training needs features and pretrain_epochs above 0; supervised training needs label and epochs above 0.");
}

int trial_epochs(const TrainingOptions &options, const TrialData &data) {
    return std::max(data.has_features ? options.pretrain_epochs : 0, data.supervised ? options.epochs : 0);
}

}  // namespace csp::server

// A search space over training options, and the trials that are drawn from it. Free of torch and of PostgreSQL, like the
// table of options.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "options.h"

namespace csp {

// What one option is searched over: the values of a list, or a range of numbers.
struct SearchedOption {
    std::string name;  // not the published one
    std::vector<OptionValue> choices;  // empty: a range
    double low = 0, high = 0;
    bool logarithmic = false;
    bool integer = false;
};

using SearchSpace = std::vector<SearchedOption>;

// From {"option": [value, ...], "option": {"min": a, "max": b, "scale": "linear" or "log"}, ...}. Every value is checked by
// itself, as set_option does. Throws Error(undefined_object) for an unknown option, Error(invalid_parameter) for anything
// else, also for options that cannot be searched: those that name columns, and those that decide which rows are held out,
// on which trials are compared.
SearchSpace parse_search_space(const std::string &json);

// Throws Error(invalid_parameter) if an option is among both.
void require_apart(const SearchSpace &space, const std::vector<OptionValue> &fixed);

// One trial: a value for each option of the space.
using TrialOptions = std::vector<OptionValue>;

// Up to `count` trials, no two of which come to the same options together with the fixed ones; fewer if the space has no
// more. check throws for options that no trial may have; they are passed over. If nothing else is left, its last error is
// thrown. The same arguments give the same trials.
std::vector<TrialOptions> draw_trials(const SearchSpace &space, const std::vector<OptionValue> &fixed, int count, int64_t seed,
                                      const std::function<void(const TrainingOptions &)> &check);

// The default options, changed by the fixed ones and those of a trial.
TrainingOptions combine_options(const std::vector<OptionValue> &fixed, const TrialOptions &trial);

// As a JSON object.
std::string trial_json(const TrialOptions &trial);

}  // namespace csp

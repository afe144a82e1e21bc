// Reading a search space, and drawing from it.
#include "options_search.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <set>

#include "../encoder/error.h"

namespace csp {
namespace {

using Json = nlohmann::json;

constexpr const char *space_example =
    "For example '{\"learning_rate\": {\"min\": 1e-4, \"max\": 1e-2, \"scale\": \"log\"}, \"hidden_dim\": [128, 256]}'.";

Error bad_search(std::string message, std::string detail, std::string hint) {
    return Error(ErrorKind::invalid_parameter, std::move(message), std::move(detail), std::move(hint));
}

// Text of a JSON value as set_option takes it: of a list its JSON, as the published map_range is one.
OptionValue option_value(const std::string &name, const Json &value) {
    if (value.is_string()) return {name, OptionKind::text, value.get<std::string>()};
    if (value.is_array()) return {name, OptionKind::text, value.dump()};
    if (value.is_boolean()) return {name, OptionKind::boolean, value.dump()};
    return {name, value.is_number() ? OptionKind::number : OptionKind::other, value.dump()};
}

OptionValue checked_value(const std::string &name, const Json &value) {
    const OptionValue checked = option_value(name, value);
    TrainingOptions scratch;
    set_option(scratch, checked.name, checked.kind, checked.text);
    return checked;
}

void require_searchable(const std::string &name) {
    if (name == "observer" || name == "observed_at")
        throw bad_search("option \"" + name + "\" cannot be searched", "It names a column of the source.",
                         "Give it in options, for all trials.");
    if (name == "from_model")
        throw bad_search("option \"from_model\" cannot be searched", "It settles the architecture.",
                         "Give it in options, for all trials.");
    if (name == "deploy")
        throw bad_search("option \"" + name + "\" cannot be searched", "Only the best trial becomes a version.",
                         "Give it in options.");
    if (name == "seed" || name.rfind("validation_", 0) == 0)
        throw bad_search("option \"" + name + "\" cannot be searched",
                         "Which rows are held out depends on it, and trials are compared on the same rows.",
                         "Give it in options, for all trials.");
}

SearchedOption list_of(const std::string &name, const Json &list) {
    if (list.empty())
        throw bad_search("the list of option \"" + name + "\" is empty", "", "Give at least one value to try.");
    SearchedOption option;
    option.name = name;
    for (const Json &value : list) option.choices.push_back(checked_value(name, value));
    return option;
}

// A bound of a range, which is a valid value of the option.
double bound(const std::string &name, const Json &range, const char *member) {
    if (!range.contains(member))
        throw bad_search("the range of option \"" + name + "\" has no " + member, "", "A range has min and max.");
    const Json &value = range.at(member);
    checked_value(name, value);
    return value.get<double>();
}

bool is_logarithmic(const std::string &name, const Json &range) {
    if (!range.contains("scale")) return false;
    const Json &scale = range.at("scale");
    if (scale != "linear" && scale != "log")
        throw bad_search("invalid scale of the range of option \"" + name + "\": " + scale.dump(), "",
                         "Use one of: \"linear\", \"log\".");
    return scale == "log";
}

void require_range_members(const std::string &name, const Json &range) {
    for (const auto &[member, value] : range.items())
        if (member != "min" && member != "max" && member != "scale")
            throw bad_search("unknown member \"" + member + "\" of the range of option \"" + name + "\"", "",
                             "A range has min, max and, if wanted, scale: \"linear\" or \"log\".");
}

SearchedOption range_of(const OptionDescription &description, const Json &range) {
    const std::string &name = description.name;
    if (description.type != "integer" && description.type != "number")
        throw bad_search("option \"" + name + "\" cannot be searched over a range", "It is of type " + description.type + ".",
                         "Give a list of the values to try.");
    require_range_members(name, range);
    SearchedOption option;
    option.name = name;
    option.low = bound(name, range, "min");
    option.high = bound(name, range, "max");
    option.logarithmic = is_logarithmic(name, range);
    option.integer = description.type == "integer";
    if (option.low > option.high)
        throw bad_search("the range of option \"" + name + "\" has a min above its max", "", "");
    if (option.logarithmic && option.low <= 0)
        throw bad_search("the range of option \"" + name + "\" cannot have a logarithmic scale",
                         "Its min is not above 0.", "Raise min, or leave scale out.");
    return option;
}

SearchedOption searched_option(const std::string &name, const Json &values) {
    const OptionDescription description = describe_option(name);
    require_searchable(description.name);
    if (values.is_array()) return list_of(description.name, values);
    if (values.is_object()) return range_of(description, values);
    throw bad_search("option \"" + name + "\" has neither a list nor a range to search", "",
                     std::string("A value that is the same in all trials belongs into options. ") + space_example);
}

// Numbers drawn from the bits of an engine that is the same everywhere, unlike the distributions of <random>.
class Draw {
public:
    explicit Draw(int64_t seed) : engine_(static_cast<uint64_t>(seed)) {}

    double uniform() { return static_cast<double>(engine_() >> 11) * 0x1p-53; }
    std::size_t below(std::size_t bound) { return static_cast<std::size_t>(uniform() * static_cast<double>(bound)); }

private:
    std::mt19937_64 engine_;
};

// Six digits are fine enough, pleasant to read, and beyond the differences of mathematical libraries.
std::string number_text(double value, const SearchedOption &option) {
    if (option.integer) return std::to_string(static_cast<int64_t>(value));
    char text[32];
    std::snprintf(text, sizeof text, "%.6g", value);
    const double rounded = std::clamp(std::strtod(text, nullptr), option.low, option.high);
    return std::string(text, std::to_chars(text, text + sizeof text, rounded).ptr);
}

// Each whole number has as much of the scale as lies between it and the next.
double draw_in_range(const SearchedOption &option, double u) {
    const double end = option.integer ? option.high + 1 : option.high;
    const double value = option.logarithmic ? std::exp(std::log(option.low) + u * (std::log(end) - std::log(option.low)))
                                            : option.low + u * (end - option.low);
    return option.integer ? std::clamp(std::floor(value), option.low, option.high) : value;
}

OptionValue draw_value(const SearchedOption &option, Draw &draw) {
    if (!option.choices.empty()) return option.choices[draw.below(option.choices.size())];
    return {option.name, OptionKind::number, number_text(draw_in_range(option, draw.uniform()), option)};
}

double value_count(const SearchedOption &option) {
    if (!option.choices.empty()) return static_cast<double>(option.choices.size());
    if (option.integer) return option.high - option.low + 1;
    return option.low == option.high ? 1 : HUGE_VAL;
}

OptionValue nth_value(const SearchedOption &option, std::size_t n) {
    if (!option.choices.empty()) return option.choices[n];
    return {option.name, OptionKind::number, number_text(option.low + static_cast<double>(n), option)};
}

// All trials of a small space, the first option changing fastest.
std::vector<TrialOptions> all_trials(const SearchSpace &space, std::size_t combinations) {
    std::vector<TrialOptions> trials;
    for (std::size_t i = 0; i < combinations; ++i) {
        std::size_t rest = i;
        TrialOptions trial;
        for (const SearchedOption &option : space) {
            const auto values = static_cast<std::size_t>(value_count(option));
            trial.push_back(nth_value(option, rest % values));
            rest /= values;
        }
        trials.push_back(std::move(trial));
    }
    return trials;
}

void shuffle(std::vector<TrialOptions> &trials, Draw &draw) {
    for (std::size_t i = trials.size(); i > 1; --i) std::swap(trials[i - 1], trials[draw.below(i)]);
}

// The trials that may be and have not been, in the order in which they are offered.
class Collector {
public:
    Collector(const std::vector<OptionValue> &fixed, std::size_t count,
              const std::function<void(const TrainingOptions &)> &check)
        : fixed_(fixed), count_(count), check_(check) {}

    bool full() const { return trials_.size() == count_; }

    void offer(const TrialOptions &trial) {
        const TrainingOptions options = combine_options(fixed_, trial);
        try {
            check_(options);
        } catch (const Error &error) {
            refused_ = error;
            return;
        }
        std::string all;
        for (const auto &[name, value] : list_options(options)) all += value + '\n';
        if (seen_.insert(all).second) trials_.push_back(trial);
    }

    std::vector<TrialOptions> take() {
        if (trials_.empty() && refused_) throw *refused_;
        return std::move(trials_);
    }

private:
    const std::vector<OptionValue> &fixed_;
    const std::size_t count_;
    const std::function<void(const TrainingOptions &)> &check_;
    std::set<std::string> seen_;
    std::vector<TrialOptions> trials_;
    std::optional<Error> refused_;
};

}  // namespace

SearchSpace parse_search_space(const std::string &json) {
    Json parsed;
    try {
        parsed = Json::parse(json);
    } catch (const Json::exception &) {  // a number beyond a double, which jsonb allows
        throw bad_search("search has a value that no option can have", "", space_example);
    }
    if (!parsed.is_object()) throw bad_search("search must be a JSON object", "", space_example);
    if (parsed.empty()) throw bad_search("search names no option", "", space_example);
    SearchSpace space;
    for (const auto &[name, values] : parsed.items()) {
        SearchedOption option = searched_option(name, values);
        for (const SearchedOption &other : space)
            if (other.name == option.name)
                throw bad_search("search names option \"" + option.name + "\" twice",
                                 "\"" + name + "\" is a published name of it.", "");
        space.push_back(std::move(option));
    }
    return space;
}

void require_apart(const SearchSpace &space, const std::vector<OptionValue> &fixed) {
    const bool goes_on = std::any_of(fixed.begin(), fixed.end(), [](auto &value) { return value.name == "from_model"; });
    for (const OptionValue &value : fixed)
        for (const SearchedOption &option : space)
            if (describe_option(value.name).name == option.name)
                throw bad_search("option \"" + option.name + "\" is both in search and in options",
                                 goes_on ? "The model that from_model names settles the architecture." : "",
                                 "Leave it out of one of them.");
}

TrainingOptions combine_options(const std::vector<OptionValue> &fixed, const TrialOptions &trial) {
    std::vector<OptionValue> values = fixed;
    values.insert(values.end(), trial.begin(), trial.end());
    TrainingOptions options;
    set_options(options, values);
    return options;
}

std::vector<TrialOptions> draw_trials(const SearchSpace &space, const std::vector<OptionValue> &fixed, int count, int64_t seed,
                                      const std::function<void(const TrainingOptions &)> &check) {
    Draw draw(seed);
    Collector collector(fixed, static_cast<std::size_t>(count), check);
    double combinations = 1;
    for (const SearchedOption &option : space) combinations *= value_count(option);
    if (combinations <= 4.0 * count) {  // drawing would often hit what was drawn before
        std::vector<TrialOptions> trials = all_trials(space, static_cast<std::size_t>(combinations));
        shuffle(trials, draw);
        for (const TrialOptions &trial : trials)
            if (!collector.full()) collector.offer(trial);
        return collector.take();
    }
    for (int attempt = 0; attempt < 1000 + 100 * count && !collector.full(); ++attempt) {
        TrialOptions trial;
        for (const SearchedOption &option : space) trial.push_back(draw_value(option, draw));
        collector.offer(trial);
    }
    return collector.take();
}

std::string trial_json(const TrialOptions &trial) {
    std::string json = "{";
    for (const OptionValue &value : trial) {
        const std::string text = value.kind == OptionKind::text ? Json(value.text).dump() : value.text;
        json += (json.size() > 1 ? ", " : "") + Json(value.name).dump() + ": " + text;
    }
    return json + "}";
}

}  // namespace csp

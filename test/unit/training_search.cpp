// Search spaces, the trials drawn from them, and the rungs of successive halving.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <map>
#include <set>

#include "../../src/encoder/error.h"
#include "../../src/training/options_halving.h"
#include "../../src/training/options_search.h"

namespace csp {
namespace {

void any_options(const TrainingOptions &) {}

std::vector<TrialOptions> draw(const std::string &space, int count, int64_t seed = 0,
                               const std::function<void(const TrainingOptions &)> &check = any_options) {
    return draw_trials(parse_search_space(space), {}, count, seed, check);
}

std::vector<std::string> texts(const std::vector<TrialOptions> &trials) {
    std::vector<std::string> list;
    for (const TrialOptions &trial : trials) list.push_back(trial_json(trial));
    return list;
}

// The message of what parsing throws, and its hint.
std::string refusal(const std::string &space) {
    try {
        parse_search_space(space);
    } catch (const Error &error) {
        return error.message() + " | " + error.detail() + " | " + error.hint();
    }
    ADD_FAILURE() << "accepted: " << space;
    return {};
}

TEST(SearchSpace, IsReadAndDescribesTrials) {
    const SearchSpace space = parse_search_space(
        R"({"lr": {"min": 1e-4, "max": 0.1, "scale": "log"}, "hidden_dim": [64, 128], "activation": ["relu"], "layer_norm": [true]})");
    ASSERT_EQ(space.size(), 4u);
    std::map<std::string, SearchedOption> by_name;
    for (const SearchedOption &option : space) by_name[option.name] = option;
    EXPECT_TRUE(by_name.at("learning_rate").logarithmic);  // named as published
    EXPECT_DOUBLE_EQ(by_name.at("learning_rate").low, 1e-4);
    EXPECT_EQ(by_name.at("hidden_dim").choices.size(), 2u);
    EXPECT_EQ(by_name.at("layer_norm").choices[0].kind, OptionKind::boolean);
}

TEST(SearchSpace, RefusesWhatCannotWork) {
    const std::pair<const char *, const char *> cases[] = {
        {"[]", "search must be a JSON object"},
        {"{}", "search names no option"},
        {R"({"epoch": [1]})", "option \"epoch\" does not exist"},
        {R"({"epochs": []})", "the list of option \"epochs\" is empty"},
        {R"({"epochs": [1, -1]})", "value -1 is out of range"},
        {R"({"epochs": ["many"]})", "invalid value for option \"epochs\""},
        {R"({"epochs": [null]})", "invalid value for option \"epochs\""},
        {R"({"epochs": 5})", "has neither a list nor a range"},
        {R"({"epochs": {"min": 1}})", "the range of option \"epochs\" has no max"},
        {R"({"epochs": {"max": 1}})", "the range of option \"epochs\" has no min"},
        {R"({"epochs": {"min": 1.5, "max": 4}})", "invalid value for option \"epochs\""},
        {R"({"epochs": {"min": "1", "max": 4}})", "invalid value for option \"epochs\""},
        {R"({"epochs": {"min": 5, "max": 4}})", "has a min above its max"},
        {R"({"dropout": {"min": 0, "max": 2}})", "value 2 is out of range"},
        {R"({"dropout": {"min": 0, "max": 0.5, "scale": "log"}})", "cannot have a logarithmic scale"},
        {R"({"dropout": {"min": 0, "max": 0.5, "scale": "square"}})", "invalid scale"},
        {R"({"dropout": {"min": 0, "max": 0.5, "step": 0.1}})", "unknown member \"step\""},
        {R"({"activation": {"min": 0, "max": 1}})", "cannot be searched over a range | It is of type text."},
        {R"({"layer_norm": {"min": 0, "max": 1}})", "cannot be searched over a range | It is of type boolean."},
        {R"({"seed": [1, 2]})", "option \"seed\" cannot be searched"},
        {R"({"validation_fraction": [0.1]})", "option \"validation_fraction\" cannot be searched"},
        {R"({"observed_at": ["a"]})", "It names a column of the source."},
        {R"({"learning_rate": [0.1], "lr": [0.2]})", "names option \"learning_rate\" twice"},
        {R"({"dropout": [1e400]})", "search has a value that no option can have"},
    };
    for (const auto &[space, expected] : cases) EXPECT_NE(refusal(space).find(expected), std::string::npos) << space << ": " << refusal(space);
}

TEST(SearchSpace, IsApartFromFixedOptions) {
    const SearchSpace space = parse_search_space(R"({"learning_rate": [0.1]})");
    EXPECT_THROW(require_apart(space, {{"lr", OptionKind::number, "0.2"}}), Error);
    EXPECT_NO_THROW(require_apart(space, {{"epochs", OptionKind::number, "2"}}));
}

TEST(Trials, AreTheSameForTheSameSeed) {
    const char *space = R"({"learning_rate": {"min": 1e-4, "max": 1e-1, "scale": "log"}, "hidden_dim": {"min": 16, "max": 512}})";
    EXPECT_EQ(texts(draw(space, 20, 5)), texts(draw(space, 20, 5)));
    EXPECT_NE(texts(draw(space, 20, 5)), texts(draw(space, 20, 6)));
    // Written down, so that another compiler or library is held to it.
    EXPECT_EQ(texts(draw(space, 1, 5))[0], R"({"hidden_dim": 350, "learning_rate": 0.000130462})");
}

TEST(Trials, LieWithinTheirRange) {
    for (const TrialOptions &trial : draw(R"({"dropout": {"min": 0.25, "max": 0.5}})", 200)) {
        const double value = std::strtod(trial[0].text.c_str(), nullptr);
        EXPECT_GE(value, 0.25);
        EXPECT_LE(value, 0.5);
    }
}

TEST(Trials, SpreadEvenlyOverALogarithmicScale) {
    int below = 0;
    const auto trials = draw(R"({"learning_rate": {"min": 1e-4, "max": 1e-2, "scale": "log"}})", 1000);
    ASSERT_EQ(trials.size(), 1000u);
    for (const TrialOptions &trial : trials) below += std::strtod(trial[0].text.c_str(), nullptr) < 1e-3;
    EXPECT_NEAR(below, 500, 80);  // five standard deviations
}

TEST(Trials, SpreadEvenlyOverALinearScale) {
    int below = 0;
    for (const TrialOptions &trial : draw(R"({"dropout": {"min": 0, "max": 0.8}})", 1000))
        below += std::strtod(trial[0].text.c_str(), nullptr) < 0.2;
    EXPECT_NEAR(below, 250, 70);
}

TEST(Trials, AreNotRepeated) {
    const auto all = texts(draw(R"({"hidden_dim": [16, 32, 64], "frequencies": {"min": 4, "max": 5}, "layer_norm": [true, false]})", 50));
    EXPECT_EQ(all.size(), 12u);  // no more combinations
    EXPECT_EQ(std::set<std::string>(all.begin(), all.end()).size(), 12u);
    const auto some = texts(draw(R"({"hidden_dim": {"min": 1, "max": 100, "scale": "log"}})", 24));
    EXPECT_EQ(std::set<std::string>(some.begin(), some.end()).size(), 24u);
    EXPECT_EQ(draw(R"({"position_encoding": ["grid", "Space2Vec-grid"]})", 2).size(), 1u) << "two names of one encoding";
}

TEST(Trials, PassOverWhatMayNotBe) {
    const auto check = [](const TrainingOptions &options) { validate(options); };
    const auto trials = draw(R"({"min_radius": {"min": 0.1, "max": 10, "scale": "log"}, "max_radius": [1, 360]})", 40, 0, check);
    EXPECT_EQ(trials.size(), 40u);
    for (const TrialOptions &trial : trials) EXPECT_NO_THROW(validate(combine_options({}, trial)));
    EXPECT_THROW(draw(R"({"min_radius": [2, 3], "max_radius": [1]})", 4, 0, check), Error) << "where nothing is left";
}

TEST(Trials, ChangeTheFixedOptions) {
    const std::vector<OptionValue> fixed = {{"hidden_dim", OptionKind::number, "48"}};
    const TrialOptions trial = draw(R"({"position_encoding": ["sphereC"]})", 1)[0];
    const TrainingOptions options = combine_options(fixed, trial);
    EXPECT_EQ(options.model.hidden_dim, 48);
    EXPECT_EQ(options.model.position_encoding, "sphereC");
    EXPECT_NE(options.model.min_radius, TrainingOptions().model.min_radius) << "the encoding brings its own radii";
}

TEST(Halving, PlansRungs) {
    EXPECT_EQ(plan_rungs(27, 3, 40), (std::vector<int>{27, 9, 3, 1}));
    EXPECT_EQ(plan_rungs(20, 3, 40), (std::vector<int>{20, 6, 2}));
    EXPECT_EQ(plan_rungs(27, 3, 10), (std::vector<int>{27, 9, 3})) << "a first rung of a third of an epoch would be one of 1";
    EXPECT_EQ(plan_rungs(8, 2, 1000000), (std::vector<int>{8, 4, 2, 1}));
    EXPECT_EQ(plan_rungs(2, 3, 40), (std::vector<int>{2}));
    EXPECT_EQ(plan_rungs(9, 3, 2), (std::vector<int>{9}));
}

TEST(Halving, ScalesTheBudget) {
    TrainingOptions options;
    options.pretrain_epochs = 40;
    options.epochs = 4;
    options.min_steps = 600;
    TrainingOptions first = options, last = options;
    scale_to_rung(first, 0, 3, 3);
    EXPECT_EQ(first.pretrain_epochs, 5);
    EXPECT_EQ(first.epochs, 1);
    EXPECT_EQ(first.min_steps, 67);
    scale_to_rung(last, 2, 3, 3);
    EXPECT_EQ(list_options(last), list_options(options));
    options.pretrain_epochs = 0;
    scale_to_rung(options, 0, 3, 3);
    EXPECT_EQ(options.pretrain_epochs, 0) << "a stage that is left out stays out";
}

}  // namespace
}  // namespace csp

// The table of training options: every option can be set, wrong ones are told from right ones.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <string>

#include "../../src/encoder/error.h"
#include "../../src/training/options.h"
#include "training_support.h"

namespace csp {
namespace {

using csp_test::error_of;

std::map<std::string, std::string> as_map(const TrainingOptions &options) {
    const auto list = list_options(options);
    return {list.begin(), list.end()};
}

OptionKind kind_of(const OptionDescription &option) {
    if (option.type == "boolean") return OptionKind::boolean;
    return option.type == "text" ? OptionKind::text : OptionKind::number;
}

// A valid value that is not the default, taken from the described range.
std::string other_value(const OptionDescription &option) {
    if (option.type == "boolean") return option.default_value == "true" ? "false" : "true";
    if (option.name == "seed") return "9007199254740995";  // more than a double holds
    if (option.type != "text") {
        const std::string high = option.range.substr(option.range.rfind(' ') + 1);
        return high == option.default_value ? "0.5" : high;
    }
    if (option.name == "map_range") return "-10, 20, 30, 40";
    const std::string first = option.range.substr(0, option.range.find(','));
    const std::size_t second = option.range.find(", ") + 2;
    return first != option.default_value ? first : option.range.substr(second, option.range.find(',', second) - second);
}

// A new encoding brings its own parameters: radii are degrees in one and radians in another.
bool goes_with(const std::string &changed, const std::string &name) {
    return changed == "position_encoding" && (name == "min_radius" || name == "max_radius");
}

TEST(Options, EveryOptionCanBeSetAndAloneChanges) {
    for (const OptionDescription &option : describe_options()) {
        TrainingOptions options;
        const auto before = as_map(options);
        const std::string value = other_value(option);
        set_option(options, option.name, kind_of(option), value);
        for (const auto &[name, text] : as_map(options)) {
            if (goes_with(option.name, name)) continue;
            if (name != option.name) {
                EXPECT_EQ(text, before.at(name)) << option.name << " changed " << name;
            } else if (option.type == "text") {
                EXPECT_EQ(text, '"' + value + '"');
            } else if (option.type == "boolean" || option.name == "seed") {
                EXPECT_EQ(text, value) << name;
            } else {
                EXPECT_EQ(std::stod(text), std::stod(value)) << name;
            }
        }
    }
}

TEST(Options, EveryListedValueCanBeReadBack) {
    TrainingOptions options;
    set_option(options, "seed", OptionKind::number, "-9223372036854775808");
    set_option(options, "learning_rate", OptionKind::number, "0.00012345678901234567");
    TrainingOptions copy;
    for (const OptionDescription &option : describe_options()) {
        std::string text = as_map(options).at(option.name);
        if (option.type == "text") text = text.substr(1, text.size() - 2);
        set_option(copy, option.name, kind_of(option), text);
    }
    EXPECT_EQ(list_options(copy), list_options(options));
    EXPECT_EQ(copy.seed, INT64_MIN);
    EXPECT_EQ(copy.learning_rate, options.learning_rate);
}

TEST(Options, DefaultsAreValidAndWithinTheirRanges) {
    EXPECT_NO_THROW(validate(TrainingOptions()));
    for (const OptionDescription &option : describe_options()) {
        TrainingOptions options;
        EXPECT_NO_THROW(set_option(options, option.name, kind_of(option), option.default_value)) << option.name;
        EXPECT_EQ(list_options(options), list_options(TrainingOptions())) << option.name;
        EXPECT_FALSE(option.description.empty()) << option.name;
    }
}

TEST(Options, PublishedNamesAreAccepted) {
    TrainingOptions options;
    set_option(options, "spa_enc_type", OptionKind::text, "spheregrid");
    EXPECT_EQ(options.model.position_encoding, "sphereC+");
    set_option(options, "spa_enc", OptionKind::text, "Space2Vec-grid");
    const std::pair<const char *, const char *> numbers[] = {{"frequency_num", "16"},
                                                             {"min_radius", "0.5"},
                                                             {"max_radius", "360"},
                                                             {"num_hidden_layer", "3"},
                                                             {"hidden_dim", "64"},
                                                             {"num_filts", "32"},
                                                             {"dropout", "0.25"},
                                                             {"unsuper_temp_inbatch", "20"},
                                                             {"unsuper_temp_negloc", "2"},
                                                             {"unsuper_temp_simcse", "3"},
                                                             {"rand_sample_weight", "0.75"},
                                                             {"simcse_weight", "0.125"},
                                                             {"num_neg_rand_loc", "4"},
                                                             {"num_epochs_unsuper", "7"},
                                                             {"num_epochs", "8"},
                                                             {"unsuper_lr", "0.0625"},
                                                             {"lr", "0.03125"},
                                                             {"lr_decay", "0.5"},
                                                             {"batch_size", "1024"}};
    for (const auto &[name, value] : numbers) set_option(options, name, OptionKind::number, value);
    set_option(options, "spa_f_act", OptionKind::text, "tanh");
    set_option(options, "train_loss", OptionKind::text, "full_loss");
    set_option(options, "use_layn", OptionKind::boolean, "false");
    EXPECT_EQ(options.model.position_encoding, "grid");
    EXPECT_EQ(options.model.frequencies, 16);
    EXPECT_EQ(options.model.min_radius, 0.5);
    EXPECT_EQ(options.model.max_radius, 360);
    EXPECT_EQ(options.model.hidden_layers, 3);
    EXPECT_EQ(options.model.hidden_dim, 64);
    EXPECT_EQ(options.model.embedding_dim, 32);
    EXPECT_EQ(options.model.activation, Activation::tanh);
    EXPECT_FALSE(options.model.layer_norm);
    EXPECT_EQ(options.temperature_in_batch, 20);
    EXPECT_EQ(options.temperature_negative, 2);
    EXPECT_EQ(options.temperature_dropout, 3);
    EXPECT_EQ(options.weight_negative, 0.75);
    EXPECT_EQ(options.weight_dropout, 0.125);
    EXPECT_EQ(options.negatives, 4);
    EXPECT_EQ(options.pretrain_epochs, 7);
    EXPECT_EQ(options.epochs, 8);
    EXPECT_EQ(options.pretrain_learning_rate, 0.0625);
    EXPECT_EQ(options.learning_rate, 0.03125);
    EXPECT_EQ(options.learning_rate_decay, 0.5);
    EXPECT_EQ(options.batch_size, 1024);
    EXPECT_EQ(options.loss, SupervisedLoss::full_loss);
}

TEST(Options, SeveralAreSetInAnyOrder) {
    TrainingOptions forward, backward;
    std::vector<OptionValue> values = {{"position_encoding", OptionKind::text, "sphereC+"},
                                       {"min_radius", OptionKind::number, "0.25"},
                                       {"frequencies", OptionKind::number, "8"}};
    set_options(forward, values);
    std::reverse(values.begin(), values.end());
    set_options(backward, values);
    EXPECT_EQ(list_options(forward), list_options(backward));
    EXPECT_EQ(backward.model.min_radius, 0.25);
}

TEST(Options, PublishedObjectivesSetTheirWeights) {
    const auto with = [](const char *word, std::vector<OptionValue> others = {}) {
        TrainingOptions options;
        others.push_back({"unsuper_loss", OptionKind::text, word});
        set_options(options, others);
        return options;
    };
    const TrainingOptions defaults;
    EXPECT_EQ(with("contsoftmax").objective, Objective::mc);
    EXPECT_EQ(with("contsoftmaxsym").objective, Objective::mc_symmetric);
    EXPECT_EQ(with("l2regress").objective, Objective::l2_regression);
    for (const char *word : {"imgcontloss", "imgcontlossnolocneg", "imgcontlosssimcse", "nce"})
        EXPECT_EQ(with(word).objective, Objective::nce) << word;
    EXPECT_EQ(with("imgcontlosssimcse").weight_dropout, defaults.weight_dropout);
    EXPECT_EQ(with("nce").weight_dropout, defaults.weight_dropout);
    EXPECT_EQ(with("imgcontloss").weight_dropout, 0);
    EXPECT_EQ(with("imgcontloss").weight_negative, defaults.weight_negative);
    EXPECT_EQ(with("imgcontlossnolocneg").weight_dropout, 0);
    EXPECT_EQ(with("imgcontlossnolocneg").weight_negative, 0);
    const TrainingOptions given =
        with("imgcontlossnolocneg", {{"rand_sample_weight", OptionKind::number, "0.5"},
                                     {"weight_dropout", OptionKind::number, "0.25"}});
    EXPECT_EQ(given.weight_negative, 0.5);
    EXPECT_EQ(given.weight_dropout, 0.25);
    EXPECT_EQ(error_of([&] { with("imgcontlosss"); }).kind(), ErrorKind::invalid_parameter);
}

TEST(Options, PublishedSamplingNamesAreAccepted) {
    TrainingOptions options;
    set_option(options, "neg_rand_type", OptionKind::text, "sphericalold");
    set_option(options, "max_num_exs_per_class", OptionKind::number, "100");
    set_option(options, "train_sample_ratio", OptionKind::number, "0.05");
    EXPECT_EQ(options.negative_sampler, NegativeSampler::sphericalold);
    EXPECT_EQ(options.max_rows_per_class, 100);
    EXPECT_EQ(options.label_ratio, 0.05);
}

TEST(Options, ColumnNamesAreShortAndSurviveAsJson) {
    TrainingOptions options;
    set_option(options, "observer", OptionKind::text, std::string(63, 'x'));
    EXPECT_EQ(options.observer.size(), 63u);
    EXPECT_EQ(error_of([&] { set_option(options, "observer", OptionKind::text, std::string(64, 'x')); }).kind(),
              ErrorKind::invalid_parameter);
    set_option(options, "observed_at", OptionKind::text, "a \"b\\c\nd");
    EXPECT_EQ(as_map(options).at("observed_at"), "\"a \\\"b\\\\c\\u000ad\"");
}

TEST(Options, AnUnknownNameIsAnsweredWithTheRightOnes) {
    TrainingOptions options;
    const Error error = error_of([&] { set_option(options, "learning_rat", OptionKind::number, "1"); });
    EXPECT_EQ(error.kind(), ErrorKind::undefined_object);
    EXPECT_NE(error.message().find("\"learning_rat\""), std::string::npos);
    EXPECT_NE(error.hint().find("learning_rate"), std::string::npos);
    for (const OptionDescription &option : describe_options()) {
        EXPECT_NE(error.detail().find(option.name), std::string::npos) << option.name;
    }
    EXPECT_EQ(error_of([&] { set_option(options, "", OptionKind::number, "1"); }).kind(), ErrorKind::undefined_object);
    EXPECT_EQ(error_of([&] { set_option(options, "position_encoding", OptionKind::text, "gird"); }).kind(),
              ErrorKind::undefined_object);
}

TEST(Options, ValuesOutOfRangeOrOfAnotherKindAreErrors) {
    struct Wrong {
        const char *name;
        OptionKind kind;
        const char *value;
    };
    const Wrong wrong[] = {
        {"batch_size", OptionKind::number, "1"},
        {"batch_size", OptionKind::number, "2.5"},
        {"batch_size", OptionKind::number, "99999999999"},
        {"batch_size", OptionKind::text, "512"},
        {"batch_size", OptionKind::boolean, "true"},
        {"batch_size", OptionKind::number, "1e300"},
        {"dropout", OptionKind::number, "1"},
        {"dropout", OptionKind::number, "-0.1"},
        {"dropout", OptionKind::number, "nan"},
        {"dropout", OptionKind::number, "0.1x"},
        {"learning_rate", OptionKind::number, "0"},
        {"learning_rate", OptionKind::number, "inf"},
        {"layer_norm", OptionKind::number, "1"},
        {"layer_norm", OptionKind::boolean, "yes"},
        {"activation", OptionKind::text, "swish"},
        {"loss", OptionKind::text, "mse"},
        {"objective", OptionKind::text, "clip"},
        {"negative_sampler", OptionKind::text, "sphere"},
        {"precision", OptionKind::text, "float16"},
        {"label_ratio", OptionKind::number, "0"},
        {"label_ratio", OptionKind::number, "1.01"},
        {"schedule", OptionKind::text, "step"},
        {"device", OptionKind::text, "tpu"},
        {"device", OptionKind::text, "cuda:"},
        {"device", OptionKind::text, "cuda:1x"},
        {"seed", OptionKind::number, "1.5"},
        {"seed", OptionKind::number, "9223372036854775808"},
        {"epochs", OptionKind::other, "null"},
    };
    for (const Wrong &w : wrong) {
        TrainingOptions options;
        const Error error = error_of([&] { set_option(options, w.name, w.kind, w.value); });
        EXPECT_EQ(error.kind(), ErrorKind::invalid_parameter) << w.name << " " << w.value;
        EXPECT_FALSE(error.detail().empty() && error.hint().empty()) << w.name << " " << w.value;
        EXPECT_EQ(list_options(options), list_options(TrainingOptions())) << w.name << " " << w.value;
    }
}

TEST(Options, IntegersMayBeWrittenAsAnyJsonNumber) {
    TrainingOptions options;
    set_option(options, "batch_size", OptionKind::number, "1e3");
    EXPECT_EQ(options.batch_size, 1000);
    set_option(options, "batch_size", OptionKind::number, "64.0");
    EXPECT_EQ(options.batch_size, 64);
}

TEST(Options, ContradictionsAreErrors) {
    TrainingOptions nothing;
    nothing.epochs = nothing.pretrain_epochs = 0;
    EXPECT_EQ(error_of([&] { validate(nothing); }).kind(), ErrorKind::invalid_parameter);
    TrainingOptions blind;
    blind.weight_in_batch = blind.weight_negative = 0;
    EXPECT_EQ(error_of([&] { validate(blind); }).kind(), ErrorKind::invalid_parameter);
    TrainingOptions kept_up_blindly;
    kept_up_blindly.pretrain_epochs = 0;
    kept_up_blindly.weight_contrastive = 1;
    kept_up_blindly.weight_in_batch = kept_up_blindly.weight_negative = 0;
    EXPECT_EQ(error_of([&] { validate(kept_up_blindly); }).kind(), ErrorKind::invalid_parameter);
    TrainingOptions regression;
    regression.objective = Objective::l2_regression;
    EXPECT_NO_THROW(validate(regression));
    regression.weight_in_batch = 0;
    EXPECT_EQ(error_of([&] { validate(regression); }).kind(), ErrorKind::invalid_parameter);
    for (const auto &watch : {+[](TrainingOptions &o) { o.patience = 1; }, +[](TrainingOptions &o) { o.keep_best = true; }}) {
        TrainingOptions watched;
        watch(watched);
        EXPECT_NO_THROW(validate(watched));
        watched.validation_fraction = 0;
        EXPECT_EQ(error_of([&] { validate(watched); }).kind(), ErrorKind::invalid_parameter);
    }
    TrainingOptions one_scale;
    one_scale.model.frequencies = 1;
    EXPECT_EQ(error_of([&] { validate(one_scale); }).kind(), ErrorKind::invalid_parameter);
}

TEST(Options, MemoryEstimateGrowsWithWhatNeedsMemory) {
    const TrainingOptions options;
    const int64_t base = estimate_memory(options, 100000, 64, 10);
    EXPECT_GT(base, int64_t{100000} * 64 * 4);
    EXPECT_LT(base, int64_t{1} << 30);
    EXPECT_GE(estimate_memory(options, 100000, 2048, 10) - base, int64_t{100000} * (2048 - 64) * 4);
    EXPECT_GT(estimate_memory(options, 200000, 64, 10), base);
    EXPECT_GT(estimate_memory(options, 100000, 64, 100000), base);
    TrainingOptions large = options;
    large.batch_size = 8192;
    // Its activations, but no matrix of all pairs.
    EXPECT_GT(estimate_memory(large, 100000, 64, 10) - base, int64_t{3} * 8192 * 512 * 4 * 4);
    EXPECT_LT(estimate_memory(large, 100000, 64, 10) - base, int64_t{4} * 8192 * 8192 * 4);
    TrainingOptions symmetric = large, threads = large, regression = large, rounded = large;
    symmetric.objective = Objective::mc_symmetric;
    regression.objective = Objective::l2_regression;
    rounded.precision = Precision::bfloat16;
    threads.threads = 4;
    for (const TrainingOptions &more : {symmetric, threads, rounded})
        EXPECT_GT(estimate_memory(more, 100000, 64, 10), estimate_memory(large, 100000, 64, 10));
    EXPECT_LT(estimate_memory(regression, 100000, 64, 10), estimate_memory(large, 100000, 64, 10));
    EXPECT_GT(estimate_memory(options, 100000, 64, 10, 1000000), base + int64_t{1000000} * 256 * 4 * 4);
    TrainingOptions repeating = options;
    repeating.balance_classes = true;
    repeating.max_rows_per_class = 1000000;
    EXPECT_GT(estimate_memory(repeating, 100000, 64, 1000) - base, int64_t{1000} * 1000000 * 8 * 2);
    EXPECT_GT(estimate_memory(options, INT64_MAX / 2, 1 << 30, 10), INT64_MAX / 2);
}

}  // namespace
}  // namespace csp

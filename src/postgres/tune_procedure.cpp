// csp_tune.
#include "options_argument.h"
#include "procedure_result.h"
#include "spi.h"
#include "text_argument.h"
#include "training_initial.h"
#include "training_launch.h"
#include "training_request.h"
#include "training_settings.h"
#include "tune_metric.h"
#include "tune_search.h"
#include "tune_steps.h"
#include "tune_wait.h"

#include "../training/options_halving.h"

extern "C" {
#include "utils/jsonb.h"
}

#include <algorithm>

using namespace csp;
using namespace csp::server;

namespace {

enum TuneArgument {
    arg_search = arg_label + 1, arg_trials, arg_options, arg_parallel, arg_metric, arg_method, arg_reduction, arg_seed, arg_wait
};

constexpr int32 most_trials = 10000;
constexpr int32 most_parallel = 1000;
constexpr int32 most_reduction = 100;

int32 integer_argument(FunctionCallInfo fcinfo, int argument, const char *name, int32 low, int32 high) {
    if (PG_ARGISNULL(argument))
        throw SqlError(ERRCODE_NULL_VALUE_NOT_ALLOWED, std::string(name) + " must not be NULL");
    int32 value = PG_GETARG_INT32(argument);
    if (value < low || value > high)
        throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "value " + std::to_string(value) + " is out of range for " + name,
                       "The range is " + std::to_string(low) + " to " + std::to_string(high) + ".");
    return value;
}

std::string json_argument(FunctionCallInfo fcinfo, int argument) {
    return server_call([&] {
        Jsonb *jsonb = PG_GETARG_JSONB_P(argument);
        return JsonbToCString(nullptr, &jsonb->root, VARSIZE(jsonb));
    });
}

SearchSpace space_argument(FunctionCallInfo fcinfo) {
    if (PG_ARGISNULL(arg_search))
        throw SqlError(ERRCODE_NULL_VALUE_NOT_ALLOWED, "search must not be NULL", {},
                       "Name the options to search and what to try, for example "
                       "'{\"hidden_dim\": [128, 256], \"dropout\": {\"min\": 0, \"max\": 0.5}}'.");
    return parse_search_space(json_argument(fcinfo, arg_search));
}

void notice(const std::string &text, const std::string &detail) {
    server_call([&] { ereport(NOTICE, (errmsg("%s", text.c_str()), errdetail("%s", detail.c_str()))); });
}

// From the arguments; what needs no look into the database.
struct Tuning {
    SearchRequest request;
    SearchSpace space;
    std::vector<OptionValue> fixed;
    std::string metric;
    int32 trials;
    bool wait;
};

// The options of all trials, to which csp.device belongs where neither they nor the search say where to compute.
void set_fixed_options(FunctionCallInfo fcinfo, Tuning &tuning) {
    tuning.fixed = complete_options(options_argument(fcinfo, arg_options));
    const auto is_device = [](const auto &option) { return option.name == "device"; };
    const bool says_device = std::any_of(tuning.fixed.begin(), tuning.fixed.end(), is_device) ||
                             std::any_of(tuning.space.begin(), tuning.space.end(), is_device);
    if (!says_device)
        tuning.fixed.push_back({"device", OptionKind::text, csp_device});
    tuning.request.options = trial_json(tuning.fixed);
    set_options(tuning.request.run.options, tuning.fixed);
    require_usable_device(tuning.request.run.options);
}

Tuning tuning_from_arguments(FunctionCallInfo fcinfo) {
    Tuning tuning;
    tuning.request.run = request_from_arguments(fcinfo);
    tuning.space = space_argument(fcinfo);
    set_fixed_options(fcinfo, tuning);
    require_apart(tuning.space, tuning.fixed);
    tuning.request.search = json_argument(fcinfo, arg_search);
    tuning.trials = integer_argument(fcinfo, arg_trials, "trials", 1, most_trials);
    tuning.request.parallel = integer_argument(fcinfo, arg_parallel, "parallel", 1, most_parallel);
    tuning.request.reduction = integer_argument(fcinfo, arg_reduction, "reduction", 2, most_reduction);
    tuning.metric = text_or_empty(fcinfo, arg_metric);
    tuning.request.method = PG_ARGISNULL(arg_method) ? "random" : text_or_empty(fcinfo, arg_method);
    if (tuning.request.method != "random" && tuning.request.method != "halving")
        throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "unknown method \"" + tuning.request.method + "\"", {},
                       "Use one of: random, halving.");
    tuning.request.seed = PG_ARGISNULL(arg_seed) ? 0 : PG_GETARG_INT64(arg_seed);
    tuning.wait = PG_ARGISNULL(arg_wait) || PG_GETARG_BOOL(arg_wait);
    return tuning;
}

void plan_trials(Tuning &tuning) {
    SearchRequest &request = tuning.request;
    const TrialData data = trial_data(request.run.query, request.run.options, tuning.space);
    request.metric = choose_metric(tuning.metric, data, request.run.options, tuning.space);
    const auto check = [&](const TrainingOptions &options) {
        check_for_interrupts();  // a space of hardly any valid trials is long drawn from
        check_trial(options, data);
    };
    const std::vector<TrialOptions> trials = draw_trials(tuning.space, tuning.fixed, tuning.trials, request.seed, check);
    int epochs = INT_MAX;
    for (const TrialOptions &trial : trials) {
        request.trials.push_back(trial_json(trial));
        epochs = std::min(epochs, trial_epochs(combine_options(tuning.fixed, trial), data));
    }
    const int count = int(trials.size());
    request.rungs = request.method == "halving" ? plan_rungs(count, request.reduction, epochs) : std::vector<int>{count};
}

void note_limits(const Tuning &tuning) {
    const std::size_t drawn = tuning.request.trials.size();
    if (drawn < std::size_t(tuning.trials))
        notice("the search has only " + std::to_string(drawn) + (drawn == 1 ? " trial" : " trials"),
               "There are no more combinations of options to try.");
    if (tuning.request.parallel > csp_max_training_workers && drawn > std::size_t(csp_max_training_workers))
        notice("no more than " + std::to_string(csp_max_training_workers) + " of the trials are trained at a time",
               "That is what csp.max_training_workers allows.");
}

int64 tune(FunctionCallInfo fcinfo) {
    require_session_that_can_train(fcinfo, "csp_tune");
    require_login(GetUserId());
    Tuning tuning = tuning_from_arguments(fcinfo);

    server_call([] { SPI_connect_ext(SPI_OPT_NONATOMIC); });
    resolve_request(fcinfo, tuning.request.run);
    plan_trials(tuning);
    note_limits(tuning);
    int64 search = insert_search(tuning.request);
    go_on_with_search(search);
    commit_and_start(0, [&] { delete_search(search); });
    if (tuning.wait)
        wait_for_search(search);
    server_call([] { SPI_finish(); });
    return search;
}

}  // namespace

extern "C" {

PG_FUNCTION_INFO_V1(csp_tune);

// csp_tune(model, source, location, features, label, search, trials, options, parallel, metric, method, reduction, seed,
// wait, INOUT search_id)
Datum csp_tune(PG_FUNCTION_ARGS) {
    return guard([&] { return bigint_record(fcinfo, tune(fcinfo)); });
}

}  // extern "C"

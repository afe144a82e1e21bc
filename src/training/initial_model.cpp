// Options and tensors of a run that goes on from a model.
#include "initial_model.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <string>

#include "random.h"

namespace csp {
namespace {

constexpr const char *head_weight = "class_emb.weight", *head_bias = "class_emb.bias";

// The configuration by the names of options, without what the data or the training decides.
std::map<std::string, std::string> architecture(const ModelConfig &config) {
    std::map<std::string, std::string> values = config_to_metadata(config);
    for (const char *other :
         {"dates", "dropout", "image_dim", "image_side", "class_count", "class_head", "user_count", "image_classifier",
          "place_temperature", "image_temperature", "prior_strength", "fusion_temperature"})
        values.erase(other);
    return values;
}

OptionKind kind_of(const std::string &option) {
    const std::string type = describe_option(option).type;
    return type == "text" ? OptionKind::text : type == "boolean" ? OptionKind::boolean : OptionKind::number;
}

void require_same(const std::string &name, const std::string &value, const OptionValue &wanted, const ModelConfig &initial) {
    TrainingOptions options;
    options.model = initial;
    set_option(options, wanted.name, wanted.kind, wanted.text);
    if (architecture(options.model).at(name) == value) return;
    throw Error(ErrorKind::invalid_parameter, "option \"" + name + "\" cannot be changed with from_model",
                "It is " + value + " in the model that the run would go on from.",
                "Leave the option out, or train anew without from_model.");
}

void require_same_inputs(const ModelConfig &initial, const std::string &observed_at) {
    if (initial.dates == !observed_at.empty()) return;
    throw Error(ErrorKind::invalid_parameter,
                initial.dates ? "the model that the run would go on from takes dates, and the run has none"
                              : "the model that the run would go on from takes no dates, and the run has them",
                {},
                initial.dates ? "Name the column of dates with the option observed_at."
                              : "Leave the option observed_at out, or train anew without from_model.");
}

void drop(TensorMap &tensors, std::initializer_list<const char *> names) {
    for (const char *name : names) tensors.erase(name);
}

// Where the row of each label is among the model's; -1: the model does not know it.
std::vector<int64_t> rows_of_labels(const std::vector<std::string> &labels, const std::vector<std::string> &known) {
    std::map<std::string, int64_t> index;
    for (std::size_t i = 0; i < known.size(); ++i) index[known[i]] = static_cast<int64_t>(i);
    std::vector<int64_t> rows;
    for (const std::string &label : labels) {
        const auto found = index.find(label);
        rows.push_back(found == index.end() ? -1 : found->second);
    }
    return rows;
}

// Rows of a tensor in another order; what has no row there is uniform between -bound and bound.
Tensor pick_rows(const Tensor &tensor, const std::vector<int64_t> &rows, double bound, RandomStream &random) {
    Tensor picked;
    picked.shape = tensor.shape;
    picked.shape[0] = static_cast<int64_t>(rows.size());
    const int64_t width = tensor.shape.size() > 1 ? tensor.shape[1] : 1;
    for (int64_t row : rows)
        for (int64_t i = 0; i < width; ++i)
            picked.values.push_back(row >= 0 ? tensor.values[static_cast<std::size_t>(row * width + i)]
                                             : static_cast<float>(bound * (2 * random.uniform() - 1)));
    return picked;
}

// As Network begins with a head of its own.
void fit_head(TensorMap &tensors, const ModelContents &model, const std::vector<std::string> &labels, int64_t seed) {
    if (labels == model.labels) return;
    const std::vector<int64_t> rows = rows_of_labels(labels, model.labels);
    const double bound = 1 / std::sqrt(static_cast<double>(model.config.embedding_dim));
    RandomStream random(seed, RandomPurpose::head);
    for (const char *name : {head_weight, head_bias})
        if (const auto found = tensors.find(name); found != tensors.end())
            found->second = pick_rows(found->second, rows, bound, random);
}

}  // namespace

std::vector<OptionValue> options_from_model(const ModelConfig &initial, const std::vector<OptionValue> &wanted) {
    const std::map<std::string, std::string> settled = architecture(initial);
    std::vector<OptionValue> options;
    for (const auto &[name, value] : settled) options.push_back({name, kind_of(name), value});
    std::string observed_at;
    for (const OptionValue &option : wanted) {
        const std::string name = describe_option(option.name).name;
        if (name == "observed_at") observed_at = option.text;
        if (const auto found = settled.find(name); found != settled.end())
            require_same(name, found->second, option, initial);
        else
            options.push_back(option);
    }
    require_same_inputs(initial, observed_at);
    return options;
}

TensorMap initial_tensors(ModelContents model, const TrainingOptions &options, const TrainingData &data) {
    TensorMap tensors = std::move(model.tensors);
    if (data.features && data.image_dim != model.config.image_dim)
        drop(tensors, {"img_dec.weight", "img_dec.bias", "loc_dec.weight", "loc_dec.bias"});
    if (!data.classes || options.epochs == 0)
        drop(tensors, {head_weight, head_bias});
    else if (data.labels)
        fit_head(tensors, model, *data.labels, options.seed);
    return tensors;
}

}  // namespace csp

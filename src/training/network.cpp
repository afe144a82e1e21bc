// The network of a CSP model in torch.
#include "network.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <cmath>
#include <numeric>

#include "../encoder/error.h"
#include "../encoder/plain_networks.h"
#include "../encoder/residual_net.h"
#include "../encoder/siren.h"
#include "../encoder/tile.h"
#include "linear_layer.h"

namespace csp {
namespace {

constexpr const char *user_head = "user_emb";
constexpr double leak = 0.2;  // of leakyrelu, as published
const double largest_log_scale = std::log(100.0);

}  // namespace

NetworkSettings network_settings(const TrainingOptions &options) {
    const bool softmax = options.objective == Objective::mc || options.objective == Objective::mc_symmetric;
    return {options.precision, options.learn_temperature && softmax ? options.temperature_in_batch : 0};
}

// Collects the parameters of a network, then gives them their place, value and gradient.
class Network::Builder {
public:
    void linear(Linear &layer, const std::string &name, int inputs, int outputs, bool bias, bool xavier) {
        const double by_inputs = 1 / std::sqrt(static_cast<double>(inputs));
        const double weight = xavier ? std::sqrt(6.0 / (inputs + outputs)) : by_inputs;
        add(layer.weight, name + ".weight", {outputs, inputs}, -weight, weight);
        if (bias) add(layer.bias, name + ".bias", {outputs}, -by_inputs, by_inputs);
    }

    // Weights and biases within the same bound.
    void bounded(Linear &layer, const std::string &name, int inputs, int outputs, double bound) {
        add(layer.weight, name + ".weight", {outputs, inputs}, -bound, bound);
        add(layer.bias, name + ".bias", {outputs}, -bound, bound);
    }

    void matrix(at::Tensor &parameter, const std::string &name, std::vector<int64_t> shape, double bound) {
        add(parameter, name, std::move(shape), -bound, bound);
    }

    void layer_norm(HiddenLayer &layer, const std::string &name, int width) {
        add(layer.norm_weight, name + ".weight", {width}, 1, 1);
        add(layer.norm_bias, name + ".bias", {width}, 0, 0);
    }

    // Rows w of scores w . e, as a linear layer without bias has them.
    void rows(at::Tensor &parameter, const std::string &name, int count, int width) {
        const double by_inputs = 1 / std::sqrt(static_cast<double>(width));
        add(parameter, name + ".weight", {count, width}, -by_inputs, by_inputs);
    }

    void constant(at::Tensor &parameter, const std::string &name, double value) {
        add(parameter, name, {1}, value, value);
    }

    // Moves what was added since the last call into a group of its own.
    ParameterGroup finish_group(RandomStream random, const at::TensorOptions &options,
                                std::vector<NamedParameter> &parameters) {
        ParameterGroup group;
        group.values = initial_values(random).to(options);
        group.gradients = at::zeros_like(group.values);
        place(group, parameters);
        return group;
    }

    // Or gives it the values of another group that was built alike.
    ParameterGroup share_group(const ParameterGroup &other, std::vector<NamedParameter> &parameters) {
        const ParameterGroup group{other.values, at::zeros_like(other.gradients)};
        place(group, parameters);
        return group;
    }

private:
    struct Entry {
        at::Tensor *parameter;
        std::string name;
        std::vector<int64_t> shape;
        double low, high;  // initial values are uniform between them

        int64_t size() const { return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>()); }
    };

    at::Tensor initial_values(RandomStream &random) const {
        std::vector<float> initial;
        for (const Entry &entry : entries_) {
            for (int64_t i = 0; i < entry.size(); ++i) {
                initial.push_back(static_cast<float>(entry.low + (entry.high - entry.low) * random.uniform()));
            }
        }
        at::Tensor values = at::empty({static_cast<int64_t>(initial.size())}, at::kFloat);
        std::copy(initial.begin(), initial.end(), values.data_ptr<float>());
        return values;
    }

    void add(at::Tensor &parameter, std::string name, std::vector<int64_t> shape, double low, double high) {
        entries_.push_back({&parameter, std::move(name), std::move(shape), low, high});
    }

    void place(const ParameterGroup &group, std::vector<NamedParameter> &parameters) {
        int64_t offset = 0;
        for (const Entry &entry : entries_) {
            const auto view = [&](const at::Tensor &flat) {
                return flat.narrow(0, offset, entry.size()).view(entry.shape).detach();
            };
            *entry.parameter = view(group.values).requires_grad_(true);
            entry.parameter->mutable_grad() = view(group.gradients);
            parameters.emplace_back(entry.name, *entry.parameter);
            offset += entry.size();
        }
        entries_.clear();
    }

    std::vector<Entry> entries_;
};

Network::Network(const ModelConfig &config, int feature_dim, const at::TensorOptions &options, int64_t seed,
                 const NetworkSettings &settings)
    : config_(config), feature_dim_(feature_dim), settings_(settings) {
    Builder builder;
    build_encoder(builder);
    encoder_ = builder.finish_group(RandomStream(seed, RandomPurpose::weights), options, parameters_);
    build_head(builder);
    head_ = builder.finish_group(RandomStream(seed, RandomPurpose::head), options, parameters_);
}

Network::Network(const Network &other, Twin)
    : config_(other.config_), feature_dim_(other.feature_dim_), settings_(other.settings_) {
    Builder builder;
    build_encoder(builder);
    encoder_ = builder.share_group(other.encoder_, parameters_);
    build_head(builder);
    head_ = builder.share_group(other.head_, parameters_);
}

void Network::build_encoder(Builder &builder) {
    build_location_layers(builder, feature_dim_);
    const bool decoder = config_.image_side == ImageSide::location_decoder;
    if (compares_images(config_) && decoder)
        builder.linear(location_decoder_, "loc_dec", config_.embedding_dim, config_.image_dim, true, false);
    if (compares_images(config_) && !decoder)
        builder.linear(image_projection_, "img_dec", config_.image_dim, config_.embedding_dim, true, false);
    if (compares_images(config_) && !decoder && settings_.learned_temperature > 0) {
        const double start = -std::log(settings_.learned_temperature);
        builder.constant(log_scale_, "logit_scale", std::min(start, largest_log_scale));
    }
}

void Network::build_head(Builder &builder) {
    if (config_.class_count > 0)
        builder.linear(class_head_, "class_emb", config_.embedding_dim, config_.class_count, config_.class_bias, false);
    if (config_.user_count > 0) builder.rows(users_, user_head, config_.user_count, config_.embedding_dim);
}

void Network::build_location_layers(Builder &builder, int feature_dim) {
    int inputs = feature_dim;
    if (is_tile(config_)) {
        // Of the variance of the published N(0, 1 / D).
        const double bound = std::sqrt(3.0 / config_.embedding_dim);
        builder.matrix(tiles_, tile_tensor, {tile_count(config_), config_.embedding_dim}, bound);
        inputs += config_.embedding_dim - 1;
    }
    switch (config_.network) {
        case NetworkKind::ffn: return build_feed_forward(builder, inputs);
        case NetworkKind::fcnet: return build_residual(builder, inputs);
        case NetworkKind::siren: return build_siren(builder, inputs);
        case NetworkKind::diagonal: return build_diagonal(builder);
        case NetworkKind::linear: break;
    }
    builder.linear(output_, post_linear_name, inputs, config_.embedding_dim, true, true);
}

void Network::build_feed_forward(Builder &builder, int inputs) {
    const auto name = [](int i) { return "spa_enc.ffn.layers." + std::to_string(i); };
    hidden_.resize(static_cast<std::size_t>(config_.hidden_layers));
    for (int i = 0; i < config_.hidden_layers; ++i) {
        HiddenLayer &layer = hidden_[static_cast<std::size_t>(i)];
        builder.linear(layer.linear, name(i) + ".linear", inputs, config_.hidden_dim, true, true);
        if (config_.layer_norm) builder.layer_norm(layer, name(i) + ".layernorm", config_.hidden_dim);
        inputs = config_.hidden_dim;
    }
    builder.linear(output_, name(config_.hidden_layers) + ".linear", inputs, config_.embedding_dim, true, true);
}

void Network::build_residual(Builder &builder, int inputs) {
    const int width = config_.embedding_dim;
    builder.linear(output_, "feats.0", inputs, width, true, false);
    hidden_.resize(2 * static_cast<std::size_t>(config_.hidden_layers));
    for (int block = 0; block < config_.hidden_layers; ++block) {
        const std::size_t first = 2 * static_cast<std::size_t>(block);
        builder.linear(hidden_[first].linear, residual_block_name(block) + ".w1", width, width, true, false);
        builder.linear(hidden_[first + 1].linear, residual_block_name(block) + ".w2", width, width, true, false);
    }
}

void Network::build_siren(Builder &builder, int inputs) {
    hidden_.resize(static_cast<std::size_t>(config_.hidden_layers));
    for (int i = 0; i < config_.hidden_layers; ++i) {
        const double bound = i == 0 ? 1.0 / inputs : std::sqrt(6.0 / inputs) / config_.siren_omega;
        builder.bounded(hidden_[static_cast<std::size_t>(i)].linear, siren_layer_name(i), inputs, config_.hidden_dim,
                        bound);
        inputs = config_.hidden_dim;
    }
    builder.bounded(output_, siren_last_layer_name, inputs, config_.embedding_dim, std::sqrt(6.0 / inputs));
}

void Network::build_diagonal(Builder &builder) {
    const int scales = config_.frequencies, width = config_.embedding_dim / config_.frequencies;
    // Xavier-uniform as torch counts it for a tensor of three dimensions.
    builder.matrix(scale_matrices_, post_mat_name, {scales, 6, width}, std::sqrt(6.0 / (width * (6.0 + scales))));
    if (config_.diagonal_projection)
        builder.linear(output_, post_linear_name, config_.embedding_dim, config_.embedding_dim, true, true);
}

at::Tensor Network::apply(const Linear &layer, const at::Tensor &x) const {
    return linear(x, layer.weight, layer.bias, settings_.precision);
}

at::Tensor Network::activate(const at::Tensor &x, Dropout *dropout) const {
    if (!dropout) return activate(x);
    if (config_.activation == Activation::relu) return dropout->leaky_relu(x, 0);
    if (config_.activation == Activation::leakyrelu) return dropout->leaky_relu(x, leak);
    return (*dropout)(activate(x));
}

at::Tensor Network::activate(const at::Tensor &x) const {
    switch (config_.activation) {
        case Activation::relu: return at::relu(x);
        case Activation::leakyrelu: return at::leaky_relu(x, leak);
        case Activation::gelu: return at::gelu(x);
        case Activation::sigmoid: return at::sigmoid(x);
        case Activation::tanh:
        case Activation::sine: break;  // a SIREN does it by itself
    }
    return at::tanh(x);
}

at::Tensor Network::project_images(const at::Tensor &images) const {
    return apply(image_projection_, images);
}

at::Tensor Network::decode_locations(const at::Tensor &embeddings) const {
    return apply(location_decoder_, embeddings);
}

at::Tensor Network::user_embeddings(const at::Tensor &users) const {
    // Not index_select, which LibTorch 1.13 lacks on `meta`.
    return users_.gather(0, users.unsqueeze(1).expand({users.size(0), users_.size(1)}));
}

at::Tensor Network::user_class_scores(const at::Tensor &user_embeddings) const {
    return apply({class_head_.weight, {}}, user_embeddings);
}

at::Tensor Network::logit_scale() const { return log_scale_.defined() ? log_scale_.exp() : at::Tensor(); }

void Network::limit_logit_scale() {
    const c10::NoGradGuard no_grad;
    if (log_scale_.defined()) log_scale_.clamp_max_(largest_log_scale);
}

TensorMap Network::tensors() const {
    TensorMap map;
    for (const auto &[name, parameter] : parameters_) {
        const at::Tensor values = parameter.detach().to(at::kCPU, at::kFloat).contiguous();
        const float *begin = values.data_ptr<float>();
        map[name] = {values.sizes().vec(), std::vector<float>(begin, begin + values.numel())};
    }
    return map;
}

void Network::load(const TensorMap &tensors) {
    for (auto &[name, parameter] : parameters_) {
        const auto found = tensors.find(name);
        if (found == tensors.end() || name == std::string(user_head) + ".weight") continue;
        const Tensor &given = found->second;
        if (parameter.sizes().vec() != given.shape ||
            static_cast<std::size_t>(parameter.numel()) != given.values.size()) {
            throw Error(ErrorKind::invalid_data, "tensor \"" + name + "\" of the initial model has another shape",
                        "The options describe another architecture than the initial model has.",
                        "Leave the options of the architecture as they were when that model was trained.");
        }
        at::Tensor values = at::empty(given.shape, at::kFloat);
        std::copy(given.values.begin(), given.values.end(), values.data_ptr<float>());
        parameter.detach().copy_(values);
    }
    limit_logit_scale();
}

}  // namespace csp

// Models that csp_ext did not write.
#include "published_model.h"

#include <algorithm>

#include "frequencies.h"
#include "kernel_features.h"
#include "plain_networks.h"
#include "position_family.h"
#include "pytorch_checkpoint.h"
#include "residual_net.h"
#include "room_face.h"
#include "siren.h"
#include "tile.h"

namespace csp {

namespace {

using Params = std::map<std::string, ParameterValue>;

// ---- names -------------------------------------------------------------------------------

bool strip(std::string &name, const std::string &prefix) {
    if (name.compare(0, prefix.size(), prefix) != 0)
        return false;
    name.erase(0, prefix.size());
    return true;
}

// LocationImageEncoder holds every location weight twice, as loc_enc.x and as x; DataParallel puts module. before all;
// theorydiag registers its matrices under a second name.
std::string canonical_name(std::string name) {
    strip(name, "module.");
    strip(name, "loc_enc.");
    return name == "spa_enc.spa_postmat" ? post_mat_name : name;
}

TensorMap canonical_tensors(TensorMap &&given) {
    TensorMap tensors;
    for (auto &[name, tensor] : given) {
        const auto [entry, added] = tensors.emplace(canonical_name(name), tensor);
        if (!added && (entry->second.shape != tensor.shape || entry->second.values != tensor.values))
            throw Error(ErrorKind::data_corrupted, "file has two different tensors \"" + entry->first + "\"",
                        "One of them is named \"" + name + "\".");
    }
    return tensors;
}

// ---- what shapes tell --------------------------------------------------------------------

// An extent of a tensor; 0 if there is no such tensor or dimension.
int extent(const TensorMap &tensors, const std::string &name, std::size_t dimension) {
    const auto found = tensors.find(name);
    if (found == tensors.end() || dimension >= found->second.shape.size())
        return 0;
    return static_cast<int>(std::min<int64_t>(found->second.shape[dimension], 1 << 30));
}

template <typename NameOf>
int count_layers(const TensorMap &tensors, NameOf name_of) {
    int count = 0;
    while (tensors.count(name_of(count)) > 0)
        ++count;
    return count;
}

void read_feed_forward(const TensorMap &tensors, ModelConfig &config) {
    const auto name = [](int i) { return "spa_enc.ffn.layers." + std::to_string(i); };
    const int layers = count_layers(tensors, [&](int i) { return name(i) + ".linear.weight"; });
    config.network = NetworkKind::ffn;
    config.hidden_layers = layers - 1;
    if (layers > 1)
        config.hidden_dim = extent(tensors, name(0) + ".linear.weight", 0);
    config.embedding_dim = extent(tensors, name(layers - 1) + ".linear.weight", 0);
    if (layers > 1)
        config.layer_norm = tensors.count(name(0) + ".layernorm.weight") > 0;
}

void read_residual(const TensorMap &tensors, ModelConfig &config) {
    config.network = NetworkKind::fcnet;
    config.hidden_layers = count_layers(tensors, [](int i) { return residual_block_name(i) + ".w1.weight"; });
    config.embedding_dim = extent(tensors, "feats.0.weight", 0);
    config.activation = Activation::relu;
}

void read_siren(const TensorMap &tensors, ModelConfig &config) {
    config.network = NetworkKind::siren;
    config.hidden_layers = count_layers(tensors, [](int i) { return siren_layer_name(i) + ".weight"; });
    if (config.hidden_layers > 0)
        config.hidden_dim = extent(tensors, siren_layer_name(0) + ".weight", 0);
    config.embedding_dim = extent(tensors, std::string(siren_last_layer_name) + ".weight", 0);
}

void read_diagonal(const TensorMap &tensors, ModelConfig &config) {
    config.network = NetworkKind::diagonal;
    config.frequencies = extent(tensors, post_mat_name, 0);
    const int width = extent(tensors, post_mat_name, 2);
    config.embedding_dim = width <= 65536 && config.frequencies <= 1024 ? config.frequencies * width : 0;
    config.diagonal_projection = tensors.count(post_linear_name + std::string(".weight")) > 0;
}

void read_network(const TensorMap &tensors, ModelConfig &config) {
    const std::string linear = post_linear_name + std::string(".weight");
    if (tensors.count("spa_enc.ffn.layers.0.linear.weight"))
        return read_feed_forward(tensors, config);
    if (tensors.count("feats.0.weight"))
        return read_residual(tensors, config);
    if (tensors.count(std::string(siren_last_layer_name) + ".weight"))
        return read_siren(tensors, config);
    if (tensors.count(post_mat_name))
        return read_diagonal(tensors, config);
    if (tensors.count(linear) == 0)
        throw Error(ErrorKind::data_corrupted, "file holds no location encoder",
                    "It has none of the tensors spa_enc.ffn.layers.0.linear.weight, feats.0.weight, " + linear + ".",
                    "Import a model of the CSP or TorchSpatial code, or one that csp_export wrote.");
    config.network = NetworkKind::linear;
    config.embedding_dim = extent(tensors, linear, 0);
}

void read_shapes(const TensorMap &tensors, ModelConfig &config) {
    read_network(tensors, config);
    config.class_count = extent(tensors, "class_emb.weight", 0);
    config.class_bias = tensors.count("class_emb.bias") > 0;
    config.image_dim = extent(tensors, "img_dec.weight", 1);
    if (const int drawn = extent(tensors, rff_shifts_tensor, 0))
        config.frequencies = drawn;
    if (const int anchors = extent(tensors, rbf_anchors_tensor, 0))
        config.anchors = anchors;
    // Of a table with more than one row the cells cannot be those of the published code.
    if (extent(tensors, tile_tensor, 0) > 1)
        config.published_defects = false;
}

// ---- what parameters tell ----------------------------------------------------------------

double number(const Params &params, const char *name, double fallback) {
    const auto found = params.find(name);
    if (found == params.end())
        return fallback;
    if (const auto *integer = std::get_if<int64_t>(&found->second))
        return static_cast<double>(*integer);
    const auto *real = std::get_if<double>(&found->second);
    return real ? *real : fallback;
}

int integer(const Params &params, const char *name, int fallback) {
    const double value = number(params, name, fallback);
    return value >= 0 && value <= 1e9 ? static_cast<int>(value) : fallback;
}

std::string text(const Params &params, const char *name) {
    const auto found = params.find(name);
    const auto *value = found == params.end() ? nullptr : std::get_if<std::string>(&found->second);
    return value ? *value : std::string();
}

// The two code bases store flags as Python's bools or as "T" and "F".
bool flag(const Params &params, const char *name, bool fallback) {
    const auto found = params.find(name);
    if (found == params.end())
        return fallback;
    if (const auto *value = std::get_if<bool>(&found->second))
        return *value;
    const std::string word = text(params, name);
    return word.empty() ? fallback : word == "T" || word == "True";
}

// The extent of rff is the globe whatever the file says: an evaluation run overwrites what training stored.
void read_extent(const Params &params, ModelConfig &config) {
    const auto found = params.find("map_range");
    const auto *range = found == params.end() ? nullptr : std::get_if<std::vector<double>>(&found->second);
    if (range && range->size() == 4 && config.position_encoding != "rff")
        config.extent = {(*range)[0], (*range)[1], (*range)[2], (*range)[3]};
}

void read_params(const Params &params, ModelConfig &config) {
    if (const std::string encoding = text(params, "spa_enc_type"); !encoding.empty())
        config.position_encoding = canonical_position_encoding(encoding);
    config.frequencies = integer(params, "frequency_num", config.frequencies);
    config.min_radius = number(params, "min_radius", config.min_radius);
    config.max_radius = number(params, "max_radius", config.max_radius);
    if (const std::string list = text(params, "freq_init"); !list.empty())
        config.frequency_list = frequency_list_from_string(list);
    if (config.position_encoding == "NeRF")
        config.frequency_list = FrequencyList::nerf;
    config.anchors = integer(params, "num_rbf_anchor_pts", config.anchors);
    config.kernel_size = number(params, "rbf_kernel_size", config.kernel_size);
    read_extent(params, config);
    if (const std::string features = text(params, "loc_encode"); !features.empty())
        config.wrap_features = wrap_features_from_string(features);
    config.dates = flag(params, "use_date_feats", false);
    if (const std::string activation = text(params, "spa_f_act"); !activation.empty())
        config.activation = activation_from_string(activation);
    config.dropout = number(params, "dropout", config.dropout);
    config.skip_connection = flag(params, "skip_connection", true);
}

}  // namespace

bool is_pickled(const char *bytes, std::size_t size) {
    return is_pytorch_checkpoint(bytes, size) || (size > 0 && bytes[0] == '\x80');
}

ModelContents read_published_model(const char *bytes, std::size_t size) {
    return at_room_face([&] {
        ModelContents contents;
        Params params;
        if (is_pickled(bytes, size)) {
            PyTorchCheckpoint checkpoint = read_pytorch_checkpoint(bytes, size);
            contents.tensors = canonical_tensors(std::move(checkpoint.tensors));
            params = std::move(checkpoint.params);
        } else {
            contents.tensors = canonical_tensors(std::move(read_safetensors(bytes, size).tensors));
        }
        contents.config.position_encoding.clear();
        contents.config.activation = Activation::relu;
        contents.config.published_defects = true;
        read_params(params, contents.config);
        read_shapes(contents.tensors, contents.config);
        return contents;
    });
}

}  // namespace csp

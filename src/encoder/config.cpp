// The architecture of a model: names, ranges, and its form as text.
#include "config.h"

#include <charconv>
#include <cmath>
#include <cstring>

#include "error.h"
#include "position_family.h"

namespace csp {

namespace {

template <typename Value>
struct Name {
    Value value;
    const char *name;
};

constexpr Name<FrequencyList> frequency_list_names[] = {
    {FrequencyList::geometric, "geometric"}, {FrequencyList::random, "random"}, {FrequencyList::nerf, "nerf"}};

constexpr Name<NetworkKind> network_names[] = {{NetworkKind::ffn, "ffn"},
                                               {NetworkKind::fcnet, "fcnet"},
                                               {NetworkKind::siren, "siren"},
                                               {NetworkKind::linear, "linear"},
                                               {NetworkKind::diagonal, "diagonal"}};

constexpr Name<WrapFeatures> wrap_features_names[] = {{WrapFeatures::encode_cos_sin, "encode_cos_sin"},
                                                      {WrapFeatures::encode_3D, "encode_3D"},
                                                      {WrapFeatures::encode_none, "encode_none"}};

constexpr Name<Harmonics> harmonics_names[] = {{Harmonics::closed_form, "closed_form"},
                                               {Harmonics::analytic, "analytic"}};

constexpr Name<Activation> activation_names[] = {{Activation::relu, "relu"},
                                                 {Activation::leakyrelu, "leakyrelu"},
                                                 {Activation::gelu, "gelu"},
                                                 {Activation::sigmoid, "sigmoid"},
                                                 {Activation::tanh, "tanh"}};

constexpr Name<ClassHead> class_head_names[] = {{ClassHead::sigmoid, "sigmoid"}, {ClassHead::softmax, "softmax"}};

constexpr Name<ImageSide> image_side_names[] = {{ImageSide::image_projection, "image_projection"},
                                                {ImageSide::location_decoder, "location_decoder"},
                                                {ImageSide::none, "none"}};

template <typename Entry, std::size_t n>
auto value_of(const Entry (&entries)[n], const char *what, const std::string &name) {
    std::string known;
    for (const Entry &entry : entries) {
        if (name == entry.name)
            return entry.value;
        known += (known.empty() ? "" : ", ") + std::string(entry.name);
    }
    throw Error(ErrorKind::invalid_parameter, std::string("unknown ") + what + " \"" + name + "\"", {},
                std::string("Known values are: ") + known + ".");
}

template <typename Entry, std::size_t n, typename Value>
const char *name_of(const Entry (&entries)[n], Value value) {
    for (const Entry &entry : entries)
        if (entry.value == value)
            return entry.name;
    return "unknown";
}

void require(bool condition, const std::string &message, const std::string &hint) {
    if (!condition)
        throw Error(ErrorKind::invalid_parameter, message, {}, hint);
}

void require_range(const char *name, int value, int least, int most) {
    require(value >= least && value <= most, std::string(name) + " is out of range: " + std::to_string(value),
            std::string("Choose a value from ") + std::to_string(least) + " to " + std::to_string(most) + ".");
}

void validate_encoding(const ModelConfig &config) {
    const PositionFamily &family = position_family(config.position_encoding);
    require_range("frequencies", config.frequencies, 1, 1024);
    require_range("anchors", config.anchors, 1, 65536);
    require_range("degrees", config.degrees, 1, 100);
    require(std::isfinite(config.kernel_size) && config.kernel_size >= 1e-6 && config.kernel_size <= 1e6,
            "kernel_size must be a positive number",
            "It is the width of the Gaussians of rbf in degrees, and the variance of the directions of rff.");
    for (const double radius : {config.min_radius, config.max_radius})
        require(radius > 0 && radius <= 1e9, "min_radius and max_radius must be positive numbers",
                "They are the finest and the coarsest scale, for example 0.1 and 360.");
    if (family.check)
        family.check(config);
    require(family.dim(config) <= 65536, "position encoding has too many features: " + std::to_string(family.dim(config)),
            "Lower frequencies, anchors or degrees; 65536 features are the most.");
}

void validate_network(const ModelConfig &config) {
    require_range("hidden_layers", config.hidden_layers, 0, 16);
    require_range("hidden_dim", config.hidden_dim, 1, 8192);
    require_range("embedding_dim", config.embedding_dim, 1, 8192);
    require(config.dropout >= 0 && config.dropout < 1, "dropout is out of range",
            "Choose a value from 0 to less than 1.");
    for (const double omega : {config.siren_first_omega, config.siren_omega})
        require(omega > 0 && omega <= 1000, "frequency factor of a SIREN is out of range",
                "Choose siren_first_omega and siren_omega above 0 and up to 1000; usual are 30 and 1.");
    if (config.network != NetworkKind::diagonal)
        return;
    const std::string &encoding = config.position_encoding;
    require(encoding.rfind("theory", 0) == 0, "network diagonal needs the position encoding theorydiag",
            "It has one matrix for the six features of each scale; choose another network for other encodings.");
    require(config.embedding_dim % config.frequencies == 0, "embedding_dim is not a multiple of frequencies",
            "Network diagonal gives each scale an equal part of the embedding.");
    require(!config.dates, "network diagonal has no place for dates", "Choose another network, for example ffn.");
}

void validate_fusion(const ModelConfig &config) {
    require(!config.image_classifier || (config.image_dim > 0 && config.class_count > 0),
            "an image classifier needs image features and classes", "Train it with features and a label.");
    require(config.place_temperature >= 0.01 && config.place_temperature <= 100, "place_temperature is out of range",
            "Choose a value from 0.01 to 100; 1 leaves the probabilities of a place as they are.");
    require(config.image_temperature >= 0.01 && config.image_temperature <= 100, "image_temperature is out of range",
            "Choose a value from 0.01 to 100; 1 leaves the probabilities of an image as they are.");
    require(config.prior_strength >= 0 && config.prior_strength <= 1000, "prior_strength is out of range",
            "Choose a value from 0, which leaves the place out, to 1000; 1 is the product rule.");
    require(config.fusion_temperature >= 0.01 && config.fusion_temperature <= 100, "fusion_temperature is out of range",
            "Choose a value from 0.01 to 100; 1 leaves the product of image and place as it is.");
}

// ---- text --------------------------------------------------------------------------------

// Not printf: its decimal point depends on the locale.
std::string to_text(double value) {
    char buffer[40];
    const auto end = std::to_chars(buffer, buffer + sizeof buffer, value);  // the shortest that reads back as the same
    return std::string(buffer, end.ptr);
}

std::string to_text(bool value) {
    return value ? "true" : "false";
}

const std::string &text_of(const std::map<std::string, std::string> &metadata, const char *key) {
    const auto found = metadata.find(key);
    if (found == metadata.end())
        throw Error(ErrorKind::data_corrupted, std::string("model configuration lacks \"") + key + "\"");
    return found->second;
}

[[noreturn]] void throw_malformed(const char *key, const std::string &text) {
    throw Error(ErrorKind::data_corrupted,
                std::string("model configuration has a malformed value for \"") + key + "\": \"" + text + "\"");
}

template <typename Number>
void read(const std::map<std::string, std::string> &metadata, const char *key, Number &value) {
    const std::string &text = text_of(metadata, key);
    const char *end = text.data() + text.size();
    const auto result = std::from_chars(text.data(), end, value);
    if (result.ec != std::errc() || result.ptr != end)
        throw_malformed(key, text);
}

void read(const std::map<std::string, std::string> &metadata, const char *key, bool &value) {
    const std::string &text = text_of(metadata, key);
    if (text != "true" && text != "false")
        throw_malformed(key, text);
    value = text == "true";
}

struct ConfigNumber {
    const char *key;
    double ModelConfig::*field;
};

constexpr ConfigNumber fusion_numbers[] = {{"place_temperature", &ModelConfig::place_temperature},
                                           {"image_temperature", &ModelConfig::image_temperature},
                                           {"prior_strength", &ModelConfig::prior_strength},
                                           {"fusion_temperature", &ModelConfig::fusion_temperature}};

ModelConfig parse(const std::map<std::string, std::string> &metadata) {
    ModelConfig config;
    config.position_encoding = text_of(metadata, "position_encoding");
    read(metadata, "frequencies", config.frequencies);
    read(metadata, "min_radius", config.min_radius);
    read(metadata, "max_radius", config.max_radius);
    config.frequency_list = frequency_list_from_string(text_of(metadata, "frequency_list"));
    config.extent = extent_from_string(text_of(metadata, "map_range"));
    read(metadata, "anchors", config.anchors);
    read(metadata, "kernel_size", config.kernel_size);
    read(metadata, "degrees", config.degrees);
    config.harmonics = harmonics_from_string(text_of(metadata, "harmonics"));
    config.wrap_features = wrap_features_from_string(text_of(metadata, "wrap_features"));
    read(metadata, "published_defects", config.published_defects);
    read(metadata, "dates", config.dates);
    config.network = network_from_string(text_of(metadata, "network"));
    read(metadata, "siren_first_omega", config.siren_first_omega);
    read(metadata, "siren_omega", config.siren_omega);
    read(metadata, "diagonal_projection", config.diagonal_projection);
    read(metadata, "hidden_layers", config.hidden_layers);
    read(metadata, "hidden_dim", config.hidden_dim);
    read(metadata, "embedding_dim", config.embedding_dim);
    config.activation = activation_from_string(text_of(metadata, "activation"));
    read(metadata, "skip_connection", config.skip_connection);
    read(metadata, "layer_norm", config.layer_norm);
    read(metadata, "activate_embedding", config.activate_embedding);
    read(metadata, "dropout", config.dropout);
    read(metadata, "image_dim", config.image_dim);
    read(metadata, "class_count", config.class_count);
    config.class_head = class_head_from_string(text_of(metadata, "class_head"));
    read(metadata, "class_bias", config.class_bias);
    if (metadata.count("image_side") > 0)
        config.image_side = image_side_from_string(text_of(metadata, "image_side"));
    if (metadata.count("user_count") > 0)
        read(metadata, "user_count", config.user_count);
    if (metadata.count("image_classifier") > 0)
        read(metadata, "image_classifier", config.image_classifier);
    for (const auto &[key, field] : fusion_numbers)
        if (metadata.count(key) > 0)
            read(metadata, key, config.*field);
    return config;
}

}  // namespace

const char *to_string(Activation value) {
    return name_of(activation_names, value);
}

const char *to_string(ClassHead value) {
    return name_of(class_head_names, value);
}

const char *to_string(ImageSide value) {
    return name_of(image_side_names, value);
}

Activation activation_from_string(const std::string &name) {
    return value_of(activation_names, "activation", name);
}

ClassHead class_head_from_string(const std::string &name) {
    return value_of(class_head_names, "class head", name);
}

const char *to_string(FrequencyList value) {
    return name_of(frequency_list_names, value);
}

const char *to_string(NetworkKind value) {
    return name_of(network_names, value);
}

const char *to_string(WrapFeatures value) {
    return name_of(wrap_features_names, value);
}

const char *to_string(Harmonics value) {
    return name_of(harmonics_names, value);
}

FrequencyList frequency_list_from_string(const std::string &name) {
    return value_of(frequency_list_names, "frequency list", name);
}

NetworkKind network_from_string(const std::string &name) {
    return value_of(network_names, "network", name);
}

WrapFeatures wrap_features_from_string(const std::string &name) {
    return value_of(wrap_features_names, "features of wrap", name);
}

Harmonics harmonics_from_string(const std::string &name) {
    return value_of(harmonics_names, "convention of spherical harmonics", name);
}

std::string to_string(const Extent &extent) {
    return to_text(extent.west) + ", " + to_text(extent.east) + ", " + to_text(extent.south) + ", " +
           to_text(extent.north);
}

Extent extent_from_string(const std::string &text) {
    Extent extent;
    const char *next = text.data();
    const char *end = next + text.size();
    const auto skip = [&](const char *characters) {
        while (next != end && std::strchr(characters, *next))
            ++next;
    };
    skip("[ ");
    for (double *value : {&extent.west, &extent.east, &extent.south, &extent.north}) {
        const auto result = std::from_chars(next, end, *value);
        require(result.ec == std::errc(), "malformed extent: \"" + text + "\"",
                "Give west, east, south and north in degrees, for example -180, 180, -90, 90.");
        next = result.ptr;
        skip(value == &extent.north ? "] " : ", ");
    }
    require(next == end, "malformed extent: \"" + text + "\"", "It has four numbers: west, east, south, north.");
    return extent;
}

ImageSide image_side_from_string(const std::string &name) {
    return value_of(image_side_names, "image side", name);
}

void validate(const ModelConfig &config) {
    validate_encoding(config);
    validate_network(config);
    require_range("image_dim", config.image_dim, 0, 65536);
    require_range("class_count", config.class_count, 0, 1000000);
    require_range("user_count", config.user_count, 0, 10000000);
    validate_fusion(config);
}

std::map<std::string, std::string> config_to_metadata(const ModelConfig &config) {
    std::map<std::string, std::string> metadata = {
        {"position_encoding", config.position_encoding},
        {"frequencies", std::to_string(config.frequencies)},
        {"min_radius", to_text(config.min_radius)},
        {"max_radius", to_text(config.max_radius)},
        {"frequency_list", to_string(config.frequency_list)},
        {"map_range", to_string(config.extent)},
        {"anchors", std::to_string(config.anchors)},
        {"kernel_size", to_text(config.kernel_size)},
        {"degrees", std::to_string(config.degrees)},
        {"harmonics", to_string(config.harmonics)},
        {"wrap_features", to_string(config.wrap_features)},
        {"published_defects", to_text(config.published_defects)},
        {"dates", to_text(config.dates)},
        {"network", to_string(config.network)},
        {"siren_first_omega", to_text(config.siren_first_omega)},
        {"siren_omega", to_text(config.siren_omega)},
        {"diagonal_projection", to_text(config.diagonal_projection)},
        {"hidden_layers", std::to_string(config.hidden_layers)},
        {"hidden_dim", std::to_string(config.hidden_dim)},
        {"embedding_dim", std::to_string(config.embedding_dim)},
        {"activation", to_string(config.activation)},
        {"skip_connection", to_text(config.skip_connection)},
        {"layer_norm", to_text(config.layer_norm)},
        {"activate_embedding", to_text(config.activate_embedding)},
        {"dropout", to_text(config.dropout)},
        {"image_dim", std::to_string(config.image_dim)},
        {"class_count", std::to_string(config.class_count)},
        {"class_head", to_string(config.class_head)},
        {"class_bias", to_text(config.class_bias)}};
    if (config.image_side != ModelConfig().image_side)
        metadata["image_side"] = to_string(config.image_side);
    if (config.user_count != 0)
        metadata["user_count"] = std::to_string(config.user_count);
    if (config.image_classifier)
        metadata["image_classifier"] = to_text(true);
    for (const auto &[key, field] : fusion_numbers)
        if (config.*field != ModelConfig().*field)
            metadata[key] = to_text(config.*field);
    return metadata;
}

ModelConfig config_from_metadata(const std::map<std::string, std::string> &metadata) {
    try {
        const ModelConfig config = parse(metadata);
        validate(config);
        return config;
    } catch (const Error &error) {
        // A value that would be a wrong parameter from a user is damage in a file.
        throw Error(ErrorKind::data_corrupted, error.message(), error.detail(), error.hint());
    }
}

}  // namespace csp

// The architecture of a model: names, ranges, and its form as text.
#include "config.h"

#include <charconv>
#include <cmath>
#include <limits>

#include "error.h"
#include "position_family.h"

namespace csp {

namespace {

struct ActivationName {
    Activation value;
    const char *name;
};

constexpr ActivationName activation_names[] = {{Activation::relu, "relu"},
                                               {Activation::leakyrelu, "leakyrelu"},
                                               {Activation::gelu, "gelu"},
                                               {Activation::sigmoid, "sigmoid"},
                                               {Activation::tanh, "tanh"}};

struct ClassHeadName {
    ClassHead value;
    const char *name;
};

constexpr ClassHeadName class_head_names[] = {{ClassHead::sigmoid, "sigmoid"}, {ClassHead::softmax, "softmax"}};

struct ImageSideName {
    ImageSide value;
    const char *name;
};

constexpr ImageSideName image_side_names[] = {{ImageSide::image_projection, "image_projection"},
                                              {ImageSide::location_decoder, "location_decoder"}};

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
    require(!family.geometric || config.frequencies >= 2,
            std::string("position encoding \"") + family.name + "\" needs at least two frequencies",
            "Its scales are spread from min_radius to max_radius; set frequencies to 2 or more.");
    require(std::isfinite(config.min_radius) && config.min_radius > 0, "min_radius must be a positive number",
            "It is the finest scale, for example 0.1.");
    require(std::isfinite(config.max_radius) && config.max_radius > config.min_radius,
            "max_radius must be a number greater than min_radius", "It is the coarsest scale, for example 360.");
}

// ---- text --------------------------------------------------------------------------------

// Not printf: its decimal point depends on the locale.
std::string to_text(double value) {
    char buffer[40];
    const auto end = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::general, 17);
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

ModelConfig parse(const std::map<std::string, std::string> &metadata) {
    ModelConfig config;
    config.position_encoding = text_of(metadata, "position_encoding");
    read(metadata, "frequencies", config.frequencies);
    read(metadata, "min_radius", config.min_radius);
    read(metadata, "max_radius", config.max_radius);
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

ImageSide image_side_from_string(const std::string &name) {
    return value_of(image_side_names, "image side", name);
}

void validate(const ModelConfig &config) {
    validate_encoding(config);
    require_range("hidden_layers", config.hidden_layers, 0, 16);
    require_range("hidden_dim", config.hidden_dim, 1, 8192);
    require_range("embedding_dim", config.embedding_dim, 1, 8192);
    require(config.dropout >= 0 && config.dropout < 1, "dropout is out of range",
            "Choose a value from 0 to less than 1.");
    require_range("image_dim", config.image_dim, 0, 65536);
    require_range("class_count", config.class_count, 0, 1000000);
    require_range("user_count", config.user_count, 0, 10000000);
}

std::map<std::string, std::string> config_to_metadata(const ModelConfig &config) {
    std::map<std::string, std::string> metadata = {
            {"position_encoding", config.position_encoding},
            {"frequencies", std::to_string(config.frequencies)},
            {"min_radius", to_text(config.min_radius)},
            {"max_radius", to_text(config.max_radius)},
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

// A trained CSP model as queries use it.
#include "model.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <unordered_map>

#include "fusion.h"
#include "linear.h"
#include "location_encoder.h"
#include "room_face.h"
#include "tensor_access.h"

namespace csp {

namespace {

const char *const format_key = "csp_ext.format";
const char *const format_version = "1";
// Of models that an earlier library would answer wrongly from: it does not know the temperatures.
const char *const fusion_format_version = "2";
const char *const labels_key = "labels";

constexpr Epilogue linear_only = {false, Activation::relu};

bool is_about_fusion(const ModelConfig &config) {
    return config.image_classifier || config.place_temperature != 1 || config.image_temperature != 1 ||
           config.prior_strength != 1 || config.fusion_temperature != 1;
}

std::string write_labels(const std::vector<std::string> &labels) {
    return nlohmann::json(labels).dump();
}

std::vector<std::string> read_labels(const std::map<std::string, std::string> &metadata) {
    const auto found = metadata.find(labels_key);
    if (found == metadata.end())
        throw Error(ErrorKind::data_corrupted, "model file has no list of labels");
    // Read by events into a flat list: a tree of nested arrays could not be rejected early.
    struct LabelReader : nlohmann::json_sax<nlohmann::json> {
        std::vector<std::string> labels;
        bool open = false;
        bool null() override { return false; }
        bool boolean(bool) override { return false; }
        bool number_integer(number_integer_t) override { return false; }
        bool number_unsigned(number_unsigned_t) override { return false; }
        bool number_float(number_float_t, const string_t &) override { return false; }
        bool binary(binary_t &) override { return false; }
        bool string(string_t &value) override { return open && (labels.push_back(value), true); }
        bool start_object(std::size_t) override { return false; }
        bool key(string_t &) override { return false; }
        bool end_object() override { return false; }
        bool start_array(std::size_t) override { return !open && (open = true); }
        bool end_array() override { return true; }
        bool parse_error(std::size_t, const std::string &, const nlohmann::detail::exception &) override {
            return false;
        }
    };
    LabelReader reader;
    if (!nlohmann::json::sax_parse(found->second, &reader))
        throw Error(ErrorKind::data_corrupted, "the labels of the model file are not a JSON array of texts");
    return std::move(reader.labels);
}

Tensor divided(Tensor tensor, double divisor, const std::string &name) {
    for (float &value : tensor.values) {
        value = static_cast<float>(value / divisor);
        if (!std::isfinite(value))
            throw Error(ErrorKind::data_corrupted, "tensor \"" + name + "\" is too large for its temperature");
    }
    return tensor;
}

// Class scores or image projection: weight (out, in) and an optional bias, or nothing. All of it is divided by
// `temperature`, which then has neither to be thought of again nor costs a query anything.
std::optional<Linear> make_linear(const Kernels &kernels, const TensorMap &tensors, const std::string &name, int out,
                                  int in, bool bias, double temperature = 1) {
    if (in == 0 || out == 0)
        return std::nullopt;
    const Tensor &weight = require_tensor(tensors, name + ".weight", {out, in});
    const Tensor *offsets = bias ? &require_tensor(tensors, name + ".bias", {out}) : nullptr;
    if (temperature == 1)
        return Linear(kernels, weight, offsets);
    const Tensor scaled_offsets = offsets ? divided(*offsets, temperature, name) : Tensor();
    return Linear(kernels, divided(weight, temperature, name), offsets ? &scaled_offsets : nullptr);
}

// In float64 no square of a float is lost to overflow or underflow.
double precise_dot(const float *a, const float *b, std::size_t n) {
    double sum = 0;
    for (std::size_t i = 0; i < n; ++i)
        sum += static_cast<double>(a[i]) * b[i];
    return sum;
}

// A sum of squares in float32 that tells enough: not for NaN either.
bool is_ordinary(float squares) { return squares > 1e-25f && squares <= std::numeric_limits<float>::max(); }

float cosine_of(const Kernels &kernels, const float *a, const float *b, std::size_t n) {
    const float a_squares = kernels.dot(a, a, n), b_squares = kernels.dot(b, b, n);
    if (is_ordinary(a_squares) && is_ordinary(b_squares))
        return static_cast<float>(kernels.dot(a, b, n) / std::sqrt(static_cast<double>(a_squares) * b_squares));
    const double lengths = std::sqrt(precise_dot(a, a, n)) * std::sqrt(precise_dot(b, b, n));
    return lengths == 0 ? 0.0f : static_cast<float>(precise_dot(a, b, n) / lengths);
}

ModelConfig validated(ModelConfig config) {
    config.position_encoding = canonical_position_encoding(config.position_encoding);
    validate(config);
    return config;
}

}  // namespace

struct Model::Parts {
    Parts(ModelConfig model_config, std::vector<std::string> class_labels, const TensorMap &tensors,
          const Kernels &chosen_kernels)
        : kernels(chosen_kernels),
          config(validated(std::move(model_config))),
          labels(std::move(class_labels)),
          encoder(config, tensors, kernels),
          class_head(make_linear(kernels, tensors, "class_emb", config.class_count, config.embedding_dim,
                                 config.class_bias, config.place_temperature)),
          image_side(make_image_side(tensors)) {
        if (config.image_classifier)
            image_classifier = make_linear(kernels, tensors, "image_class", config.class_count, config.image_dim, true,
                                           config.image_temperature);
        index_labels();
    }

    std::optional<Linear> make_image_side(const TensorMap &tensors) const {
        if (!compares_images(config))
            return std::nullopt;
        return decodes_locations()
                   ? make_linear(kernels, tensors, "loc_dec", config.image_dim, config.embedding_dim, true)
                   : make_linear(kernels, tensors, "img_dec", config.embedding_dim, config.image_dim, true);
    }

    void index_labels() {
        if (labels.size() != static_cast<std::size_t>(config.class_count))
            throw Error(ErrorKind::data_corrupted, "model does not have one label for each class",
                        "It has " + std::to_string(labels.size()) + " labels and " +
                            std::to_string(config.class_count) + " classes.");
        for (std::size_t i = 0; i < labels.size(); ++i)
            if (!indexes.emplace(labels[i], static_cast<int>(i)).second)
                throw Error(ErrorKind::data_corrupted, "model has two classes with the label \"" + labels[i] + "\"");
    }

    const Linear &require_class_head() const {
        if (!class_head)
            throw Error(ErrorKind::not_supported, "model has no classes", {},
                        "Train it with a label column to classify with it.");
        return *class_head;
    }

    bool decodes_locations() const { return config.image_side == ImageSide::location_decoder; }

    const Linear &require_image_side() const {
        if (!image_side)
            throw Error(ErrorKind::not_supported, "model has no image side", {},
                        "Train it with image features to compare places with images.");
        return *image_side;
    }

    const Linear &require_image_classifier() const {
        if (!image_classifier)
            throw Error(ErrorKind::not_supported, "model has no image classifier", {},
                        "Train it with the option image_classifier, with features and a label.");
        return *image_classifier;
    }

    const Linear &require_image_projection() const {
        const Linear &layer = require_image_side();
        if (decodes_locations())
            throw Error(ErrorKind::not_supported, "model has no embedding of images",
                        "It was trained by l2_regression, which predicts image features from places.",
                        "Compare places with images by their similarity, or train with another objective.");
        return layer;
    }

    // A sigmoid belongs to the pass of the product; a softmax needs the whole row first.
    Epilogue class_epilogue() const { return {!softmax_head(), Activation::sigmoid}; }

    bool softmax_head() const { return config.class_head == ClassHead::softmax; }

    void require_classes(const int *classes, std::size_t n) const {
        for (std::size_t i = 0; i < n; ++i)
            if (classes[i] < 0 || classes[i] >= config.class_count)
                throw Error(ErrorKind::undefined_object, "model has no class number " + std::to_string(classes[i]));
    }

    // How many of n rows a pass takes whose results are looked at once more: these should still be in the cache then,
    // and not grow with n.
    std::size_t rows_of_a_pass(const Linear &layer, std::size_t n) const {
        constexpr std::size_t most_floats = 1 << 20;
        const std::size_t most_rows = rows_in_cache(kernels, padded_row(layer.in()));
        return std::min(n, std::clamp(most_floats / layer.out(), kernels.row_block, most_rows));
    }

    // Calls body(first, rows) for all passes over n rows.
    template <typename Body>
    void for_each_pass(const Linear &layer, std::size_t n, Body body) const {
        const std::size_t height = rows_of_a_pass(layer, n);
        for (std::size_t first = 0; first < n; first += height)
            body(first, std::min(height, n - first));
    }

    // Scores of all classes become probabilities.
    void softmax_rows(float *scores, std::size_t stride, std::size_t rows) const {
        for (std::size_t row = 0; row < rows; ++row)
            kernels.softmax(scores + row * stride, static_cast<std::size_t>(config.class_count));
    }

    // One column for each run of equal classes: a query usually asks for one.
    void sigmoid_of_classes(const float *embeddings, std::size_t stride, const int *classes, std::size_t n,
                            float *out) const {
        for (std::size_t first = 0, end = 0; first < n; first = end) {
            while (end < n && classes[end] == classes[first])
                ++end;
            class_head->apply_column(embeddings + first * stride, stride, end - first,
                                     static_cast<std::size_t>(classes[first]), class_epilogue(), out + first);
        }
    }

    void softmax_of_classes(const float *embeddings, std::size_t stride, const int *classes, std::size_t n,
                            float *out) const {
        const std::size_t width = class_head->out();
        Scratch scores(rows_of_a_pass(*class_head, n) * width);
        for_each_pass(*class_head, n, [&](std::size_t first, std::size_t rows) {
            class_head->apply_tall(embeddings + first * stride, stride, rows, linear_only, scores.data(), width);
            softmax_rows(scores.data(), width, rows);
            for (std::size_t row = 0; row < rows; ++row)
                out[first + row] = scores.data()[row * width + static_cast<std::size_t>(classes[first + row])];
        });
    }

    const Kernels &kernels;
    ModelConfig config;
    std::vector<std::string> labels;
    std::unordered_map<std::string, int> indexes;
    LocationEncoder encoder;
    std::optional<Linear> class_head;
    std::optional<Linear> image_side;  // image projection or location decoder
    std::optional<Linear> image_classifier;
};

Model::Model(ModelConfig config, std::vector<std::string> labels, const TensorMap &tensors)
    : Model(std::move(config), std::move(labels), tensors, best_kernels()) {}

Model::Model(ModelConfig config, std::vector<std::string> labels, const TensorMap &tensors, const Kernels &kernels)
    : parts_(at_room_face(
          [&] { return std::make_unique<Parts>(std::move(config), std::move(labels), tensors, kernels); })) {}

Model::~Model() = default;
Model::Model(Model &&) noexcept = default;
Model &Model::operator=(Model &&) noexcept = default;

Model Model::from_file(const char *bytes, std::size_t size) {
    ModelContents contents = read_model(at_room_face([&] { return read_safetensors(bytes, size); }));
    return Model(std::move(contents.config), std::move(contents.labels), contents.tensors);
}

const ModelConfig &Model::config() const {
    return parts_->config;
}

const std::vector<std::string> &Model::labels() const {
    return parts_->labels;
}

int Model::class_index(const std::string &label) const {
    const auto found = parts_->indexes.find(label);
    return found == parts_->indexes.end() ? -1 : found->second;
}

std::size_t Model::memory() const {
    std::size_t bytes = sizeof(Parts) + parts_->encoder.memory();
    for (const auto *linear : {&parts_->class_head, &parts_->image_side, &parts_->image_classifier})
        bytes += *linear ? (*linear)->memory() : 0;
    // A label is held twice, in the list and in the index, whose nodes have a few words more.
    for (const std::string &label : parts_->labels)
        bytes += 2 * (sizeof(std::string) + label.size()) + 6 * sizeof(void *);
    return bytes;
}

void Model::embed(const double *lonlat, const float *dates, std::size_t n, float *out, std::size_t out_stride) const {
    at_room_face([&] {
        if (parts_->config.dates && !dates)
            throw Error(ErrorKind::not_supported, "model needs the date of an observation", {},
                        "It was trained with dates: give one beside the location.");
        parts_->encoder.embed(lonlat, dates, n, out, out_stride);
    });
}

void Model::embed(const double *lonlat, const float *dates, std::size_t n, float *out) const {
    embed(lonlat, dates, n, out, parts_->encoder.embedding_dim());
}

void Model::embed_image(const float *features, std::size_t n, float *out, std::size_t out_stride) const {
    at_room_face([&] {
        const Linear &layer = parts_->require_image_projection();
        layer.apply_tall(features, layer.in(), n, linear_only, out, out_stride);
    });
}

void Model::embed_image(const float *features, std::size_t n, float *out) const {
    embed_image(features, n, out, parts_->encoder.embedding_dim());
}

void Model::predict_features(const float *embeddings, std::size_t n, float *out) const {
    at_room_face([&] {
        const Linear &layer = parts_->require_image_side();
        if (!parts_->decodes_locations())
            throw Error(ErrorKind::not_supported, "model has no location decoder", {},
                        "Train it with objective l2_regression, or embed images with csp_embed_image.");
        layer.apply_tall(embeddings, layer.in(), n, linear_only, out, layer.out());
    });
}

void Model::similarities(const float *embeddings, std::size_t stride, const float *features, std::size_t n,
                         float *out) const {
    at_room_face([&] {
        const Linear &layer = parts_->require_image_side();
        const auto image_dim = static_cast<std::size_t>(parts_->config.image_dim);
        const bool decode = parts_->decodes_locations();
        const std::size_t width = layer.out();
        Scratch scratch(parts_->rows_of_a_pass(layer, n) * width);
        float *mapped = scratch.data();
        parts_->for_each_pass(layer, n, [&](std::size_t first, std::size_t rows) {
            const float *places = embeddings + first * stride;
            const float *images = features + first * image_dim;
            layer.apply_tall(decode ? places : images, decode ? stride : image_dim, rows, linear_only, mapped, width);
            for (std::size_t row = 0; row < rows; ++row)
                out[first + row] = decode ? cosine_of(parts_->kernels, mapped + row * width, images + row * image_dim, width)
                                          : cosine_of(parts_->kernels, places + row * stride, mapped + row * width, width);
        });
    });
}

float Model::similarity(const float *embedding, const float *features) const {
    float result = 0;
    similarities(embedding, 0, features, 1, &result);
    return result;
}

void Model::probabilities(const float *embeddings, std::size_t stride, std::size_t n, float *out,
                          std::size_t out_stride) const {
    at_room_face([&] {
        const Linear &head = parts_->require_class_head();
        parts_->for_each_pass(head, n, [&](std::size_t first, std::size_t rows) {
            float *scores = out + first * out_stride;
            head.apply_tall(embeddings + first * stride, stride, rows, parts_->class_epilogue(), scores, out_stride);
            if (parts_->softmax_head())
                parts_->softmax_rows(scores, out_stride, rows);
        });
    });
}

void Model::probabilities(const float *embeddings, std::size_t n, float *out) const {
    probabilities(embeddings, parts_->encoder.embedding_dim(), n, out,
                  static_cast<std::size_t>(parts_->config.class_count));
}

void Model::probability(const float *embeddings, std::size_t stride, const int *classes, std::size_t n,
                        float *out) const {
    at_room_face([&] {
        parts_->require_class_head();
        parts_->require_classes(classes, n);
        if (parts_->softmax_head())
            parts_->softmax_of_classes(embeddings, stride, classes, n, out);
        else
            parts_->sigmoid_of_classes(embeddings, stride, classes, n, out);
    });
}

float Model::probability(const float *embedding, int class_index) const {
    float result = 0;
    probability(embedding, 0, &class_index, 1, &result);
    return result;
}

void Model::image_probabilities(const float *features, std::size_t n, float *out, std::size_t out_stride) const {
    at_room_face([&] {
        const Linear &layer = parts_->require_image_classifier();
        parts_->for_each_pass(layer, n, [&](std::size_t first, std::size_t rows) {
            float *scores = out + first * out_stride;
            layer.apply_tall(features + first * layer.in(), layer.in(), rows, linear_only, scores, out_stride);
            parts_->softmax_rows(scores, out_stride, rows);
        });
    });
}

void Model::fuse(const float *image_probabilities, const float *place_probabilities, std::size_t n, float *out) const {
    at_room_face([&] {
        const auto classes = parts_->require_class_head().out();
        for (std::size_t row = 0; row < n; ++row)
            csp::fuse(image_probabilities + row * classes, place_probabilities + row * classes,
                      pooling_of(parts_->config), classes, out + row * classes);
    });
}

bool is_finite_answer(const float *answer, std::size_t n) {
    return std::all_of(answer, answer + n, [](float value) { return std::isfinite(value); });
}

void require_finite_answer(const float *answer, std::size_t n) {
    if (!is_finite_answer(answer, n))
        throw Error(ErrorKind::invalid_data, "features are too large",
                    "What the model makes of them is beyond the range of real.",
                    "Features must come from the image encoder that the model was trained with.");
}

bool is_model_file(const ModelFile &file) {
    return file.metadata.count(format_key) > 0;
}

ModelContents read_model(ModelFile file) {
    return at_room_face([&] {
        const auto format = file.metadata.find(format_key);
        if (format == file.metadata.end())
            throw Error(ErrorKind::data_corrupted, "file is not a csp_ext model",
                        "Its metadata has no \"csp_ext.format\".");
        if (format->second != format_version && format->second != fusion_format_version)
            throw Error(ErrorKind::not_supported, "model file has an unknown format version",
                        "It is \"" + format->second + "\", this library reads \"" + format_version + "\" and \"" +
                            fusion_format_version + "\".",
                        "Update csp_ext to a version that knows it.");
        return ModelContents{config_from_metadata(file.metadata), read_labels(file.metadata), std::move(file.tensors)};
    });
}

std::string write_model(const ModelConfig &config, const std::vector<std::string> &labels, const TensorMap &tensors) {
    return at_room_face([&] {
        ModelFile file;
        file.tensors = tensors;
        file.metadata = config_to_metadata(config);
        file.metadata[format_key] = is_about_fusion(config) ? fusion_format_version : format_version;
        file.metadata[labels_key] = write_labels(labels);
        return write_safetensors(file);
    });
}

float cosine(const float *a, const float *b, std::size_t n) {
    return cosine_of(best_kernels(), a, b, n);
}

const char *kernel_instruction_set() {
    return best_kernels().name;
}

}  // namespace csp

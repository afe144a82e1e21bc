// Batches: every function of Model that takes many rows gives each the bits that it has alone, on every instruction set,
// for every batch size and stride, and writes nowhere else.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "../../src/encoder/dates.h"
#include "../../src/encoder/frequencies.h"
#include "../../src/encoder/kernel_features.h"
#include "../../src/encoder/model.h"
#include "../../src/encoder/plain_networks.h"
#include "../../src/encoder/position_encoding.h"
#include "../../src/encoder/residual_net.h"
#include "../../src/encoder/siren.h"
#include "../../src/encoder/tile.h"
#include "encoder_support.h"

namespace {

using csp::Model;
using csp::ModelConfig;
using csp::NetworkKind;
using csp::TensorMap;
using csp_test::random_tensor;
using csp_test::random_values;

// Around the blocks of 6 and 14 rows, and more than one pass through the cache.
constexpr std::size_t batch_sizes[] = {1, 2, 13, 14, 15, 100, 1025};
constexpr std::size_t most = 1025;

// ---- models with random weights

void add_linear(TensorMap &tensors, const std::string &name, int64_t out, int64_t in) {
    tensors[name + ".weight"] = random_tensor({out, in}, 1.7f / std::sqrt(static_cast<float>(in)), unsigned(out + in));
    tensors[name + ".bias"] = random_tensor({out}, 0.5f, unsigned(out));
}

void add_drawn(TensorMap &tensors, const ModelConfig &config) {
    tensors[csp::rbf_anchors_tensor] = random_tensor({config.anchors, 2}, 80, 1);
    tensors[csp::rff_directions_tensor] = random_tensor({2, config.frequencies}, 5, 2);
    tensors[csp::rff_shifts_tensor] = random_tensor({config.frequencies}, 3, 3);
    tensors[csp::frequencies_tensor] = random_tensor({config.frequencies}, 100, 4);
    if (csp::is_tile(config))
        tensors[csp::tile_tensor] = random_tensor({csp::tile_count(config), config.embedding_dim}, 1, 5);
}

void add_network(TensorMap &tensors, const ModelConfig &config, int features) {
    const int64_t width = config.embedding_dim, hidden = config.hidden_dim, count = config.frequencies;
    switch (config.network) {
        case NetworkKind::ffn:
            return tensors.merge(csp_test::encoder_tensors(config, features, 20));
        case NetworkKind::fcnet:
            add_linear(tensors, "feats.0", width, features);
            for (int block = 0; block < config.hidden_layers; ++block)
                for (const char *layer : {".w1", ".w2"})
                    add_linear(tensors, csp::residual_block_name(block) + layer, width, width);
            return;
        case NetworkKind::siren:
            for (int layer = 0; layer < config.hidden_layers; ++layer)
                add_linear(tensors, csp::siren_layer_name(layer), hidden, layer == 0 ? features : hidden);
            return add_linear(tensors, csp::siren_last_layer_name, width, config.hidden_layers == 0 ? features : hidden);
        case NetworkKind::linear:
            return add_linear(tensors, csp::post_linear_name, width, features);
        case NetworkKind::diagonal:
            tensors[csp::post_mat_name] = random_tensor({count, 6, width / count}, 1, 6);
            return add_linear(tensors, csp::post_linear_name, width, width);
    }
}

void add_heads(TensorMap &tensors, const ModelConfig &config) {
    if (config.class_count > 0)
        add_linear(tensors, "class_emb", config.class_count, config.embedding_dim);
    if (config.image_side == csp::ImageSide::location_decoder)
        add_linear(tensors, "loc_dec", config.image_dim, config.embedding_dim);
    else if (config.image_dim > 0)
        add_linear(tensors, "img_dec", config.embedding_dim, config.image_dim);
}

Model make_model(const ModelConfig &config, const csp::Kernels &kernels) {
    TensorMap tensors;
    add_drawn(tensors, config);
    add_network(tensors, config, csp::position_dim(config) + csp::date_dim(config));
    add_heads(tensors, config);
    std::vector<std::string> labels;
    for (int i = 0; i < config.class_count; ++i)
        labels.push_back(std::to_string(i));
    return Model(config, labels, tensors, kernels);
}

ModelConfig config_of(const std::string &encoding) {
    ModelConfig config;
    csp::set_position_encoding(config, encoding);
    config.frequencies = 9;
    config.anchors = 21;
    config.degrees = 5;
    config.hidden_dim = 40;
    config.embedding_dim = 27;
    if (encoding == "tile")
        config.min_radius = 30;
    return config;
}

// ---- rows

// `count` rows of `width` floats within larger ones, everything else marked, as an array value has its header before
// each row and nothing aligns them.
class Rows {
public:
    static constexpr float mark = -12345.75f;

    Rows(std::size_t count, std::size_t width, std::size_t gap)
        : width_(width), stride_(width + gap), values_(header + count * stride_, mark) {}

    float *data() { return values_.data() + header; }
    const float *row(std::size_t i) const { return values_.data() + header + i * stride_; }
    std::size_t stride() const { return stride_; }

    // The rows of these, one after the other, and nothing beside them.
    void expect(const std::vector<float> &rows, const std::string &context) const {
        const std::size_t count = (values_.size() - header) / stride_;
        for (std::size_t i = 0; i < count; ++i) {
            ASSERT_EQ(0, std::memcmp(row(i), &rows[i * width_], width_ * sizeof(float)))
                << context << ": row " << i << " of " << count << " has other bits than alone";
            for (std::size_t k = width_; k < stride_; ++k)
                ASSERT_EQ(row(i)[k], mark) << context << ": written behind row " << i;
        }
        for (std::size_t k = 0; k < header; ++k)
            ASSERT_EQ(values_[k], mark) << context << ": written before the rows";
    }

private:
    static constexpr std::size_t header = 7;
    std::size_t width_;
    std::size_t stride_;
    std::vector<float> values_;
};

constexpr std::size_t gaps[] = {0, 6, 37};

std::vector<double> places(std::size_t n) {
    std::vector<double> lonlat;
    for (std::size_t i = 0; i < n; ++i)
        lonlat.insert(lonlat.end(), {180 * std::sin(1.0 + double(i)), 90 * std::cos(2.0 * double(i))});
    return lonlat;
}

std::vector<float> dates(std::size_t n) {
    std::vector<float> values = random_values(n, 0.5f, 30);
    for (float &value : values)
        value += 0.5f;
    return values;
}

// ---- e(x)

void check_embeddings(const ModelConfig &config, const std::string &context) {
    const auto width = static_cast<std::size_t>(config.embedding_dim);
    const std::vector<double> lonlat = places(most);
    const std::vector<float> when = dates(most);
    for (const csp::Kernels *kernels : csp_test::all_kernels()) {
        const Model model = make_model(config, *kernels);
        std::vector<float> alone(most * width);
        for (std::size_t i = 0; i < most; ++i)
            model.embed(&lonlat[2 * i], config.dates ? &when[i] : nullptr, 1, &alone[i * width]);
        ASSERT_NE(0, std::memcmp(&alone[0], &alone[width], (most - 1) * width * sizeof(float)))
            << context << " gives all places the same";
        for (std::size_t n : batch_sizes)
            for (std::size_t gap : gaps) {
                Rows out(n, width, gap);
                model.embed(lonlat.data(), config.dates ? when.data() : nullptr, n, out.data(), out.stride());
                out.expect(alone, std::string(kernels->name) + " " + context + " n " + std::to_string(n));
            }
    }
}

TEST(Batch, EmbeddingsOfEveryEncodingWithAndWithoutDates) {
    for (const std::string &encoding : csp::position_encoding_names())
        for (const bool with_dates : {false, true}) {
            ModelConfig config = config_of(encoding);
            config.dates = with_dates && config.network != NetworkKind::diagonal;
            check_embeddings(config, encoding + (config.dates ? " with dates" : ""));
        }
}

TEST(Batch, EmbeddingsOfEveryNetwork) {
    for (const NetworkKind network : {NetworkKind::ffn, NetworkKind::fcnet, NetworkKind::siren, NetworkKind::linear})
        for (const int layers : {0, 1, 3}) {
            ModelConfig config = config_of("sphereC+");
            config.network = network;
            config.hidden_layers = layers;
            config.activation = csp::Activation::gelu;
            check_embeddings(config, std::string(csp::to_string(network)) + " of " + std::to_string(layers));
        }
    ModelConfig diagonal = config_of("theorydiag");
    for (const bool projection : {false, true}) {
        diagonal.diagonal_projection = projection;
        check_embeddings(diagonal, projection ? "diagonal with projection" : "diagonal");
    }
}

// The published sizes, where passes through the cache are shorter than a batch.
TEST(Batch, EmbeddingsOfThePublishedSizes) {
    ModelConfig config = config_of("grid");
    config.frequencies = 64;
    config.hidden_dim = 512;
    config.embedding_dim = 256;
    check_embeddings(config, "published sizes");
}

// ---- heads

struct Head {
    csp::ClassHead kind;
    int classes;
    int width;
    std::size_t most;
};

std::string name_of(const Head &head) {
    return std::string(csp::to_string(head.kind)) + " of " + std::to_string(head.classes) + " classes";
}

ModelConfig config_of(const Head &head) {
    ModelConfig config = config_of("grid");
    config.class_head = head.kind;
    config.class_count = head.classes;
    config.class_bias = true;
    config.embedding_dim = head.width;
    return config;
}

// 5000 classes need several passes for 1025 rows, 40000 take two blocks of rows in each.
std::vector<Head> heads() {
    std::vector<Head> list;
    for (const csp::ClassHead kind : {csp::ClassHead::sigmoid, csp::ClassHead::softmax})
        for (const Head &head : {Head{kind, 1, 27, most}, Head{kind, 3, 27, most}, Head{kind, 32, 256, most},
                                 Head{kind, 45, 27, most}, Head{kind, 5000, 9, most}, Head{kind, 40000, 5, 100}})
            list.push_back(head);
    return list;
}

// Embeddings with a stride, of which the first n are used.
Rows some_embeddings(std::size_t width) {
    Rows embeddings(most, width, 6);
    const std::vector<float> values = random_values(most * width, 1, 40);
    for (std::size_t i = 0; i < most; ++i)
        std::copy_n(&values[i * width], width, embeddings.data() + i * embeddings.stride());
    return embeddings;
}

std::vector<float> probabilities_alone(const Model &model, const Rows &embeddings, std::size_t n) {
    const auto classes = static_cast<std::size_t>(model.config().class_count);
    std::vector<float> alone(n * classes);
    for (std::size_t i = 0; i < n; ++i)
        model.probabilities(embeddings.row(i), 1, &alone[i * classes]);
    return alone;
}

TEST(Batch, ProbabilitiesOfEveryHead) {
    for (const csp::Kernels *kernels : csp_test::all_kernels())
        for (const Head &head : heads()) {
            const Model model = make_model(config_of(head), *kernels);
            Rows embeddings = some_embeddings(static_cast<std::size_t>(head.width));
            const std::vector<float> alone = probabilities_alone(model, embeddings, head.most);
            for (std::size_t n : batch_sizes) {
                if (n > head.most)
                    continue;
                Rows out(n, static_cast<std::size_t>(head.classes), 6);
                model.probabilities(embeddings.data(), embeddings.stride(), n, out.data(), out.stride());
                out.expect(alone, std::string(kernels->name) + " " + name_of(head));
            }
        }
}

// Class i of row i in runs of various lengths, from one row to all.
std::vector<int> classes_in_runs(std::size_t n, std::size_t run, int class_count) {
    std::vector<int> classes(n);
    for (std::size_t i = 0; i < n; ++i)
        classes[i] = static_cast<int>(7919 * (i / run) % static_cast<std::size_t>(class_count));
    return classes;
}

TEST(Batch, ProbabilityOfAClassOfEveryHead) {
    for (const csp::Kernels *kernels : csp_test::all_kernels())
        for (const Head &head : heads()) {
            const Model model = make_model(config_of(head), *kernels);
            Rows embeddings = some_embeddings(static_cast<std::size_t>(head.width));
            const std::vector<float> alone = probabilities_alone(model, embeddings, head.most);
            for (std::size_t n : batch_sizes)
                for (std::size_t run : {1, 3, 33, 2000}) {
                    if (n > head.most)
                        continue;
                    const std::vector<int> classes = classes_in_runs(n, run, head.classes);
                    std::vector<float> out(n + 1, Rows::mark);
                    model.probability(embeddings.data(), embeddings.stride(), classes.data(), n, out.data());
                    for (std::size_t i = 0; i < n; ++i) {
                        ASSERT_EQ(out[i], alone[i * std::size_t(head.classes) + std::size_t(classes[i])])
                            << kernels->name << " " << name_of(head) << " row " << i << " of " << n;
                        ASSERT_EQ(out[i], model.probability(embeddings.row(i), classes[i]));
                    }
                    ASSERT_EQ(out[n], Rows::mark);
                }
        }
}

TEST(Batch, AClassThatIsNotThereIsFoundAnywhere) {
    for (const csp::ClassHead kind : {csp::ClassHead::sigmoid, csp::ClassHead::softmax}) {
        const Model model = make_model(config_of(Head{kind, 3, 27, most}), csp::best_kernels());
        Rows embeddings = some_embeddings(27);
        for (const int wrong : {-1, 3}) {
            std::vector<int> classes(100, 1);
            classes.back() = wrong;
            float out[100];
            csp_test::expect_error(csp::ErrorKind::undefined_object, [&] {
                model.probability(embeddings.data(), embeddings.stride(), classes.data(), 100, out);
            });
        }
    }
}

// ---- images

ModelConfig image_config(csp::ImageSide side, int image_dim) {
    ModelConfig config = config_of("grid");
    config.image_side = side;
    config.image_dim = image_dim;
    return config;
}

TEST(Batch, EmbeddingsOfImages) {
    for (const csp::Kernels *kernels : csp_test::all_kernels())
        for (const int image_dim : {1, 19, 2048}) {
            const Model model = make_model(image_config(csp::ImageSide::image_projection, image_dim), *kernels);
            const auto length = static_cast<std::size_t>(image_dim);
            const std::vector<float> features = random_values(most * length, 1, 41);
            std::vector<float> alone(most * 27);
            for (std::size_t i = 0; i < most; ++i)
                model.embed_image(&features[i * length], 1, &alone[i * 27]);
            for (std::size_t n : batch_sizes)
                for (std::size_t gap : gaps) {
                    Rows out(n, 27, gap);
                    model.embed_image(features.data(), n, out.data(), out.stride());
                    out.expect(alone, std::string(kernels->name) + " image of " + std::to_string(image_dim));
                }
        }
}

TEST(Batch, SimilaritiesOnBothImageSides) {
    for (const csp::Kernels *kernels : csp_test::all_kernels())
        for (const csp::ImageSide side : {csp::ImageSide::image_projection, csp::ImageSide::location_decoder})
            for (const int image_dim : {1, 19, 2048}) {
                const Model model = make_model(image_config(side, image_dim), *kernels);
                const auto length = static_cast<std::size_t>(image_dim);
                const std::vector<float> features = random_values(most * length, 1, 42);
                Rows embeddings = some_embeddings(27);
                std::vector<float> alone(most);
                for (std::size_t i = 0; i < most; ++i)
                    alone[i] = model.similarity(embeddings.row(i), &features[i * length]);
                for (std::size_t n : batch_sizes) {
                    Rows out(1, n, 3);
                    model.similarities(embeddings.data(), embeddings.stride(), features.data(), n, out.data());
                    out.expect(alone, std::string(kernels->name) + " " + csp::to_string(side));
                }
            }
}

TEST(Batch, OfNoRows) {
    ModelConfig config = image_config(csp::ImageSide::image_projection, 19);
    config.class_count = 3;
    config.class_bias = true;
    for (const csp::ClassHead head : {csp::ClassHead::sigmoid, csp::ClassHead::softmax}) {
        config.class_head = head;
        const Model model = make_model(config, csp::best_kernels());
        EXPECT_NO_THROW(model.embed(nullptr, nullptr, 0, nullptr, 27));
        EXPECT_NO_THROW(model.embed_image(nullptr, 0, nullptr, 27));
        EXPECT_NO_THROW(model.probabilities(nullptr, 27, 0, nullptr, 3));
        EXPECT_NO_THROW(model.probability(nullptr, 27, nullptr, 0, nullptr));
        EXPECT_NO_THROW(model.similarities(nullptr, 27, nullptr, 0, nullptr));
    }
}

}  // namespace

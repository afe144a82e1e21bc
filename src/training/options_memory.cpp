// How much memory a run takes.
#include <algorithm>
#include <limits>

#include "../encoder/dates.h"
#include "../encoder/position_encoding.h"
#include "../encoder/tile.h"
#include "options.h"

namespace csp {
namespace {

// Numbers of floats, one for each place that holds them.
struct Sizes {
    double features;     // of the position encoding
    double activations;  // of the network, kept for one row until the backward pass
    double parameters;
};

bool model_is_rounded(const TrainingOptions &options) { return options.precision == Precision::bfloat16; }

Sizes network_sizes(const TrainingOptions &options, int image_dim, int class_count, int user_count) {
    const ModelConfig &model = options.model;
    const bool residual = model.network == NetworkKind::fcnet;
    const bool deep = residual || model.network == NetworkKind::ffn || model.network == NetworkKind::siren;
    const double features = position_dim(model) + date_dim(model), embedding = model.embedding_dim;
    const double width = residual ? embedding : model.hidden_dim;
    const double depth = !deep ? 0 : residual ? 2 * model.hidden_layers + 1 : model.hidden_layers;
    const double last = depth > 0 ? width : features;
    double parameters = last * embedding + embedding + (double(image_dim) + 1) * embedding +
                        (embedding + 1) * class_count + embedding * user_count;
    if (is_tile(model)) parameters += static_cast<double>(tile_count(model)) * embedding;
    if (depth > 0) parameters += features * width + (depth - 1) * width * width + 3 * depth * width;
    // Leaky and plain ReLU keep no mask and no second result; in bfloat16 each input of a product is kept once more, at
    // half the size.
    const bool leaky = model.activation == Activation::relu || model.activation == Activation::leakyrelu;
    const double kept = (leaky ? 4 : 6) + (model_is_rounded(options) ? 1 : 0);
    return {features, kept * depth * width + 6 * embedding, parameters};
}

// Floats of scores that are there at the same time, of `rows` rows against `columns` candidates (scores.cpp): a block for
// each thread, which is small against all of them where these are many.
double scores_at_once(const TrainingOptions &options, double rows, double columns) {
    const double block = std::max(double{1 << 21}, 64 * columns);
    const double rounded = model_is_rounded(options) ? 0.5 : 1;
    return rounded * std::min(rows * columns, options.threads * block);
}

// Floats for each row of a batch and thread that losses of pairs take: embeddings of images, twins and places, gathered
// from all threads, and the gradients by them.
double gathered_floats(const TrainingOptions &options) {
    const double gradients = options.objective == Objective::mc_symmetric ? 3 : 2;
    return options.model.embedding_dim * (gradients + options.threads * 2 * gradients);
}

// What drawing the rows of an epoch takes: the rows by class, and twice those drawn, which
// balanced classes may repeat.
double draw_bytes(const TrainingOptions &options, double rows, int class_count) {
    if (class_count == 0 || (options.max_rows_per_class == 0 && !options.balance_classes)) return 0;
    const double repeated = options.balance_classes ? double(class_count) * options.max_rows_per_class : 0;
    return 8 * (rows + 2 * std::max(rows, repeated));
}

}  // namespace

int64_t estimate_memory(const TrainingOptions &options, int64_t rows, int image_dim, int class_count,
                        int user_count) {
    const Sizes sizes = network_sizes(options, image_dim, class_count, user_count);
    const double n = static_cast<double>(rows), batch = std::min<double>(options.batch_size, n);
    const double batch2 = std::min<double>(options.fine_tune_batch_size, n);
    const double data = n * (4.0 * image_dim + 2 * 8 + 4 + 1 + 8 + (user_count > 0 ? 4 : 0)) +
                        draw_bytes(options, n, class_count);
    const double cache = std::min<double>(n * sizes.features * 4, static_cast<double>(position_cache_limit));
    const double per_row = 2 * sizes.features + sizes.activations;
    // Stage 1: rows, dropout twins and negatives, images (of which L2 regression also makes its own), and pairs.
    const double images = (options.objective == Objective::l2_regression ? 5.0 : 2.0) * image_dim;
    const bool pairs = options.objective != Objective::l2_regression;
    const double contrastive = batch * ((2 + options.negatives) * per_row + images) +
                               (pairs ? batch * gathered_floats(options) + scores_at_once(options, batch, batch) : 0);
    // Users are scored without blocks; so are the rows held out, 1,024 at a time.
    const double scores = (user_count > 0 ? 14.0 * batch2 : 0) * class_count +
                          scores_at_once(options, batch2, class_count) + 2.0 * std::min(1024.0, n) * class_count;
    const double supervised = batch2 * 2 * per_row + scores + (options.weight_contrastive > 0 ? contrastive : 0);
    const double step = 4 * std::max(image_dim > 0 ? contrastive : 0, class_count > 0 ? supervised : 0);
    constexpr double kept_by_malloc = 32 << 20;
    // Values, two moments, and for each thread gradients and what goes into them; the best epoch's values; a checkpoint
    // of values and moments, once as tensors and once as bytes.
    const double best = options.keep_best ? 1 : 0;
    const double copies = 3 + 2 * options.threads + best + (options.checkpoint_seconds > 0 ? 2 * (3 + best) : 0);
    // Several workers share the step, and nothing else.
    const double bytes =
        1.2 * (options.workers * (data + cache + 4 * copies * sizes.parameters) + step) + options.workers * kept_by_malloc;
    return bytes < 9e18 ? static_cast<int64_t>(bytes) : std::numeric_limits<int64_t>::max();
}

}  // namespace csp

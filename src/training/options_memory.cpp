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
    // In bfloat16 each input of a product is kept a second time, at half the size.
    const double rounded = model_is_rounded(options) ? 1.5 : 1;
    return {features, rounded * (6 * depth * width + 6 * embedding), parameters};
}

// Floats for each pair of rows in a batch: matrices of scores with what their loss keeps of
// them, of the in-batch term and of the dropout term.
double floats_a_pair(const TrainingOptions &options) {
    const double rounded = model_is_rounded(options) ? 2 : 0;
    switch (options.objective) {
        case Objective::mc: return 8 + rounded;
        case Objective::mc_symmetric: return 12 + rounded;
        case Objective::nce: return 14 + rounded;
        case Objective::l2_regression: break;
    }
    return 0;
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
    const double contrastive =
        batch * ((2 + options.negatives) * per_row + images) + floats_a_pair(options) * batch * batch;
    const double scores = (user_count > 0 ? 14.0 : 8.0) * class_count;
    const double supervised =
        batch2 * (2 * per_row + scores) + (options.weight_contrastive > 0 ? contrastive : 0);
    const double step = 4 * std::max(image_dim > 0 ? contrastive : 0, class_count > 0 ? supervised : 0);
    constexpr double kept_by_malloc = 32 << 20;
    // Values, gradients, two moments and what a step of the optimizer makes; the best epoch's values; a checkpoint of
    // values and moments, once as tensors and once as bytes.
    const double best = options.keep_best ? 1 : 0;
    const double copies = 6 + best + (options.checkpoint_seconds > 0 ? 2 * (3 + best) : 0);
    // Several workers share the step, and nothing else.
    const double bytes =
        1.2 * (options.workers * (data + cache + 4 * copies * sizes.parameters) + step) + options.workers * kept_by_malloc;
    return bytes < 9e18 ? static_cast<int64_t>(bytes) : std::numeric_limits<int64_t>::max();
}

}  // namespace csp

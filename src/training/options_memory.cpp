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

std::size_t feature_size(FeatureStorage storage) { return storage == FeatureStorage::float32 ? 4 : 2; }

bool shuffles_in_windows(const TrainingOptions &options, int64_t rows, int image_dim) {
    if (options.shuffle != Shuffle::automatic) return options.shuffle == Shuffle::windows;
    const double bytes = double(rows) * image_dim * static_cast<double>(feature_size(options.feature_storage));
    return bytes >= static_cast<double>(windows_from);
}

int64_t estimate_memory(const TrainingOptions &options, int64_t rows, int image_dim, int class_count,
                        int user_count, const KeptInMemory &kept) {
    const Sizes sizes = network_sizes(options, image_dim, class_count, user_count);
    const double n = static_cast<double>(rows), batch = std::min<double>(options.batch_size, n);
    const double batch2 = std::min<double>(options.fine_tune_batch_size, n);
    const double feature_bytes = double(image_dim) * static_cast<double>(feature_size(options.feature_storage));
    // Place, class, held out or not, date, observer; the numbers of the rows of each stage and of an epoch.
    const double place_bytes = 2 * 8 + 4 + 1 + (options.observed_at.empty() ? 0 : 4) + (user_count > 0 ? 4 : 0);
    const double number_bytes =
        8 * ((image_dim > 0 ? 1 : 0) + (class_count > 0 ? 1 : 0) + 1 + (shuffles_in_windows(options, rows, image_dim) ? 1 : 0));
    const double data = n * (place_bytes + number_bytes + (kept.image_features ? feature_bytes : 0)) +
                        draw_bytes(options, n, class_count);
    const double positions = n * sizes.features * 4;
    const double cache =
        kept.position_features && positions <= static_cast<double>(position_cache_limit) ? positions : 0;
    const double per_row = 2 * sizes.features + sizes.activations;
    // Stage 1: rows, dropout twins and negatives, images (of which L2 regression also makes its own), and pairs. From
    // a file the images of the next batch are read meanwhile.
    const double images =
        ((options.objective == Objective::l2_regression ? 5.0 : 2.0) + (kept.image_features ? 0 : 1)) * image_dim;
    const bool pairs = options.objective != Objective::l2_regression;
    const double contrastive = batch * ((2 + options.negatives) * per_row + images) +
                               (pairs ? batch * gathered_floats(options) + scores_at_once(options, batch, batch) : 0);
    // Users are scored without blocks; so are the rows held out, 1,024 at a time.
    const double scores = (user_count > 0 ? 14.0 * batch2 : 0) * class_count +
                          scores_at_once(options, batch2, class_count) + 2.0 * std::min(1024.0, n) * class_count;
    const double supervised = batch2 * 2 * per_row + scores + (options.weight_contrastive > 0 ? contrastive : 0);
    const double classified =
        options.image_classifier ? batch2 * (3.0 + (kept.image_features ? 0 : 1)) * image_dim + scores : 0;
    // Scores of the rows held out, of places and images, and what is made of them (calibration.cpp).
    const double held_out = std::min(n, std::max(20.0, double{1 << 23} / std::max(class_count, 1)));
    const double calibrated = options.image_classifier || options.calibration ? 8 * held_out * class_count : 0;
    constexpr double kept_by_malloc = 32 << 20;
    const double step =
        4 * std::max({image_dim > 0 ? contrastive : 0, class_count > 0 ? supervised : 0, classified, calibrated});
    // Values, two moments, and for each thread gradients and what goes into them; the best epoch's values; a checkpoint
    // of values and moments, once as tensors and once as bytes; and the values of the model that the run goes on from.
    const double best = options.keep_best ? 1 : 0;
    const double initial = options.from_model.empty() ? 0 : 1;
    const double copies = 3 + 2 * options.threads + best + initial + (options.checkpoint_seconds > 0 ? 2 * (3 + best) : 0);
    // The image classifier comes on top in the end, with one more copy for each thread while gradients are made.
    const double image_parameters = options.image_classifier ? (double(image_dim) + 1) * class_count : 0;
    const double parameters = copies * sizes.parameters + (copies + options.threads) * image_parameters;
    // Several workers share the step, and nothing else.
    const double kept_by_each = data + cache + 1.2 * 4 * parameters + kept_by_malloc;
    const double bytes = options.workers * kept_by_each + 1.2 * step;
    return bytes < 9e18 ? static_cast<int64_t>(bytes) : std::numeric_limits<int64_t>::max();
}

}  // namespace csp

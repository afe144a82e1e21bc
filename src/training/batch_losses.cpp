// From the rows of a batch to its losses.
#include "batch_losses.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <vector>

#include "objectives.h"

namespace csp {

BatchLosses::BatchLosses(const TrainingOptions &options, const Samples &samples, const Network &network)
    : options_(options), samples_(samples), network_(network), negatives_(options.seed, RandomPurpose::negatives),
      dropout_(options.model.dropout, RandomStream(options.seed, RandomPurpose::dropout)) {}

// Predicting images from places has one term, which stands where the in-batch term does.
ContrastiveLosses BatchLosses::regression(const RowIds &rows) {
    const at::Tensor embeddings = network_.embed(samples_.position_features(rows), &dropout_);
    const at::Tensor loss = l2_regression_loss(network_.decode_locations(embeddings), samples_.images(rows));
    ContrastiveLosses losses;
    losses.in_batch = loss;
    losses.total = options_.weight_in_batch * loss;
    return losses;
}

at::Tensor BatchLosses::random_places(std::size_t count) {
    return samples_.random_position_features(count, options_.negative_sampler, negatives_);
}

at::Tensor BatchLosses::in_batch(const at::Tensor &u, const at::Tensor &v) const {
    const Precision precision = options_.precision;
    if (options_.objective == Objective::nce) return nce_in_batch_loss(u, v, precision);
    const at::Tensor learned = network_.logit_scale();
    const at::Tensor anchors = learned.defined() ? u * learned : u;
    const double temperature = learned.defined() ? 1 : options_.temperature_in_batch;
    return options_.objective == Objective::mc_symmetric ? symmetric_in_batch_loss(anchors, v, temperature, precision)
                                                         : in_batch_loss(anchors, v, temperature, precision);
}

at::Tensor BatchLosses::negative(const at::Tensor &u, const at::Tensor &v, const at::Tensor &random) const {
    if (options_.objective == Objective::nce) return nce_negative_location_loss(v, random);
    return negative_location_loss(u, v, random, options_.temperature_negative);
}

at::Tensor BatchLosses::twins(const at::Tensor &u, const at::Tensor &twins) const {
    if (options_.objective == Objective::nce) return nce_in_batch_loss(u, twins, options_.precision);
    return dropout_loss(u, twins, options_.temperature_dropout, options_.precision);
}

ContrastiveLosses BatchLosses::contrastive(const RowIds &rows) {
    if (options_.objective == Objective::l2_regression) return regression(rows);
    const auto batch = static_cast<int64_t>(rows.size());
    std::vector<at::Tensor> inputs = {samples_.position_features(rows)};
    if (options_.weight_dropout > 0)
        inputs.push_back(samples_.twins_differ() ? samples_.twin_features(rows) : inputs.front());
    if (options_.weight_negative > 0) {
        inputs.push_back(
            random_places(rows.size() * static_cast<std::size_t>(options_.negatives)));
    }
    const at::Tensor embeddings = normalize_rows(network_.embed(at::cat(inputs), &dropout_));
    const at::Tensor u = embeddings.narrow(0, 0, batch);
    const at::Tensor v = normalize_rows(network_.project_images(samples_.images(rows)));

    ContrastiveLosses losses;
    const auto add = [&](at::Tensor &term, at::Tensor loss, double weight) {
        term = std::move(loss);
        losses.total = losses.total.defined() ? losses.total + weight * term : weight * term;
    };
    if (options_.weight_in_batch > 0) {
        add(losses.in_batch, in_batch(u, v), options_.weight_in_batch);
    }
    if (options_.weight_dropout > 0) {
        add(losses.dropout, twins(u, embeddings.narrow(0, batch, batch)), options_.weight_dropout);
    }
    if (options_.weight_negative > 0) {
        const int64_t count = batch * options_.negatives;
        const at::Tensor random = embeddings.narrow(0, embeddings.size(0) - count, count);
        add(losses.negative, negative(u, v, random), options_.weight_negative);
    }
    return losses;
}

at::Tensor BatchLosses::supervised(const RowIds &rows) {
    if (options_.loss != SupervisedLoss::cross_entropy) return full_loss_of(rows);
    const at::Tensor scores = network_.class_scores(network_.embed(samples_.position_features(rows), &dropout_));
    return cross_entropy_loss(scores, samples_.classes(rows), options_.label_smoothing);
}

at::Tensor BatchLosses::full_loss_of(const RowIds &rows) {
    const auto batch = static_cast<int64_t>(rows.size());
    std::vector<at::Tensor> inputs = {samples_.position_features(rows)};
    const bool users = options_.loss == SupervisedLoss::full_loss_user;
    // As published: the background counts in full once there are users.
    const double weight_background = users ? 1 : options_.weight_background;
    const bool background = weight_background > 0;
    if (background) inputs.push_back(random_places(rows.size()));
    const at::Tensor embeddings = network_.embed(at::cat(inputs), &dropout_);
    const at::Tensor scores = network_.class_scores(embeddings);
    const double positive =
        options_.positive_weight > 0 ? options_.positive_weight : static_cast<double>(scores.size(1));
    const at::Tensor loss =
        full_loss(scores.narrow(0, 0, batch), samples_.classes(rows),
                  background ? scores.narrow(0, batch, batch) : at::Tensor(), positive, weight_background);
    return users ? loss + observer_loss_of(rows, embeddings, positive) : loss;
}

at::Tensor BatchLosses::observer_loss_of(const RowIds &rows, const at::Tensor &embeddings,
                                         double positive_weight) const {
    const auto batch = static_cast<int64_t>(rows.size());
    const at::Tensor users = samples_.users(rows);
    const at::Tensor w = network_.user_embeddings(users.clamp_min(0));  // any one for rows without a user
    ObserverScores scores;
    scores.places = (w * embeddings.narrow(0, 0, batch)).sum(1);
    scores.background = (w * embeddings.narrow(0, batch, batch)).sum(1);
    scores.classes = network_.user_class_scores(w);
    scores.present = users.ge(0).to(embeddings.scalar_type());
    return observer_loss(scores, samples_.classes(rows), positive_weight);
}

double BatchLosses::validate_contrastive(const RowIds &rows) const {
    const c10::NoGradGuard no_grad;
    const at::Tensor embeddings = network_.embed(samples_.position_features(rows), nullptr);
    if (options_.objective == Objective::l2_regression)
        return l2_regression_loss(network_.decode_locations(embeddings), samples_.images(rows)).item<double>();
    const at::Tensor u = normalize_rows(embeddings);
    const at::Tensor v = normalize_rows(network_.project_images(samples_.images(rows)));
    const bool nce = options_.objective == Objective::nce;
    return (nce ? nce_positive_loss(u, v) : in_batch(u, v)).item<double>();
}

SupervisedValidation BatchLosses::validate_supervised(const RowIds &rows) const {
    const c10::NoGradGuard no_grad;
    const at::Tensor scores = network_.class_scores(network_.embed(samples_.position_features(rows), nullptr));
    const at::Tensor classes = samples_.classes(rows);
    const at::Tensor loss = options_.loss == SupervisedLoss::cross_entropy
                                ? cross_entropy_loss(scores, classes, 0)
                                : -(at::sigmoid(scores.gather(1, classes.unsqueeze(1))) + 1e-5).log().mean();
    return {loss.item<double>() * static_cast<double>(rows.size()), scores.argmax(1).eq(classes).sum().item<int64_t>()};
}

}  // namespace csp

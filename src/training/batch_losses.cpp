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

ContrastiveLosses BatchLosses::contrastive(const RowIds &rows) {
    const auto batch = static_cast<int64_t>(rows.size());
    std::vector<at::Tensor> inputs = {samples_.position_features(rows)};
    if (options_.weight_dropout > 0) inputs.push_back(inputs.front());
    if (options_.weight_negative > 0) {
        inputs.push_back(
            samples_.random_position_features(rows.size() * static_cast<std::size_t>(options_.negatives), negatives_));
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
        add(losses.in_batch, in_batch_loss(u, v, options_.temperature_in_batch), options_.weight_in_batch);
    }
    if (options_.weight_dropout > 0) {
        add(losses.dropout, dropout_loss(u, embeddings.narrow(0, batch, batch), options_.temperature_dropout),
            options_.weight_dropout);
    }
    if (options_.weight_negative > 0) {
        const int64_t count = batch * options_.negatives;
        const at::Tensor random = embeddings.narrow(0, embeddings.size(0) - count, count);
        add(losses.negative, negative_location_loss(u, v, random, options_.temperature_negative),
            options_.weight_negative);
    }
    return losses;
}

at::Tensor BatchLosses::supervised(const RowIds &rows) {
    if (options_.loss == SupervisedLoss::full_loss) return full_loss_of(rows);
    const at::Tensor scores = network_.class_scores(network_.embed(samples_.position_features(rows), &dropout_));
    return cross_entropy_loss(scores, samples_.classes(rows), options_.label_smoothing);
}

at::Tensor BatchLosses::full_loss_of(const RowIds &rows) {
    const auto batch = static_cast<int64_t>(rows.size());
    std::vector<at::Tensor> inputs = {samples_.position_features(rows)};
    const bool background = options_.weight_background > 0;
    if (background) inputs.push_back(samples_.random_position_features(rows.size(), negatives_));
    const at::Tensor scores = network_.class_scores(network_.embed(at::cat(inputs), &dropout_));
    const double positive =
        options_.positive_weight > 0 ? options_.positive_weight : static_cast<double>(scores.size(1));
    return full_loss(scores.narrow(0, 0, batch), samples_.classes(rows),
                     background ? scores.narrow(0, batch, batch) : at::Tensor(), positive, options_.weight_background);
}

double BatchLosses::validate_contrastive(const RowIds &rows) const {
    const c10::NoGradGuard no_grad;
    const at::Tensor u = normalize_rows(network_.embed(samples_.position_features(rows), nullptr));
    const at::Tensor v = normalize_rows(network_.project_images(samples_.images(rows)));
    return in_batch_loss(u, v, options_.temperature_in_batch).item<double>();
}

SupervisedValidation BatchLosses::validate_supervised(const RowIds &rows) const {
    const c10::NoGradGuard no_grad;
    const at::Tensor scores = network_.class_scores(network_.embed(samples_.position_features(rows), nullptr));
    const at::Tensor classes = samples_.classes(rows);
    const at::Tensor loss = options_.loss == SupervisedLoss::full_loss
                                ? -(at::sigmoid(scores.gather(1, classes.unsqueeze(1))) + 1e-5).log().mean()
                                : cross_entropy_loss(scores, classes, 0);
    return {loss.item<double>() * static_cast<double>(rows.size()), scores.argmax(1).eq(classes).sum().item<int64_t>()};
}

}  // namespace csp

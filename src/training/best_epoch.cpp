// The best epoch of a stage.
#include "best_epoch.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <cmath>
#include <limits>
#include <string>
#include <utility>

namespace csp {

namespace {

constexpr int64_t most_epochs = std::numeric_limits<int>::max();

// The figures of EpochMetrics that are numbers.
constexpr std::pair<const char *, double EpochMetrics::*> figures[] = {
    {"learning_rate", &EpochMetrics::learning_rate},
    {"loss", &EpochMetrics::loss},
    {"loss_in_batch", &EpochMetrics::loss_in_batch},
    {"loss_negative", &EpochMetrics::loss_negative},
    {"loss_dropout", &EpochMetrics::loss_dropout},
    {"validation_loss", &EpochMetrics::validation_loss},
    {"validation_top1", &EpochMetrics::validation_top1},
    {"seconds", &EpochMetrics::seconds}};

}  // namespace

void save_metrics(const std::string &name, const EpochMetrics &metrics, CheckpointWriter &checkpoint) {
    checkpoint.add_integer(name + ".stage", static_cast<int64_t>(metrics.stage));
    checkpoint.add_integer(name + ".epoch", metrics.epoch);
    for (const auto &[figure, member] : figures) checkpoint.add_number(name + '.' + figure, metrics.*member);
}

EpochMetrics load_metrics(const std::string &name, const CheckpointReader &checkpoint) {
    EpochMetrics metrics;
    metrics.stage = static_cast<Stage>(checkpoint.integer(name + ".stage", 0, static_cast<int64_t>(Stage::image_classifier)));
    metrics.epoch = static_cast<int>(checkpoint.integer(name + ".epoch", 0, most_epochs));
    for (const auto &[figure, member] : figures) metrics.*member = checkpoint.number(name + '.' + figure);
    return metrics;
}

void BestEpoch::note(const EpochMetrics &metrics, const std::vector<at::Tensor> &weights) {
    last_ = metrics;
    if (std::isnan(metrics.validation_loss)) return;
    if (has_best_ && !(metrics.validation_loss < best_.validation_loss)) {
        ++epochs_since_;
        return;
    }
    best_ = metrics;
    has_best_ = true;
    epochs_since_ = 0;
    if (!keep_) return;
    weights_.clear();
    for (const at::Tensor &values : weights) weights_.push_back(values.detach().clone());
}

void BestEpoch::restore(const std::vector<at::Tensor> &weights) const {
    if (!keeps_best()) return;
    const c10::NoGradGuard no_grad;
    for (std::size_t i = 0; i < weights.size(); ++i) at::Tensor(weights[i]).copy_(weights_[i]);
}

void BestEpoch::save(CheckpointWriter &checkpoint) const {
    save_metrics("last", last_, checkpoint);
    checkpoint.add_integer("epochs_since_best", epochs_since_);
    checkpoint.add_integer("has_best", has_best_);
    if (!has_best_) return;
    save_metrics("best", best_, checkpoint);
    if (!keep_) return;
    for (std::size_t i = 0; i < weights_.size(); ++i) checkpoint.add_tensor("best." + std::to_string(i), weights_[i]);
}

void BestEpoch::load(const CheckpointReader &checkpoint, const std::vector<at::Tensor> &weights) {
    last_ = load_metrics("last", checkpoint);
    epochs_since_ = static_cast<int>(checkpoint.integer("epochs_since_best", 0, most_epochs));
    has_best_ = checkpoint.integer("has_best", 0, 1) == 1;
    if (!has_best_) return;
    best_ = load_metrics("best", checkpoint);
    if (!keep_) return;
    weights_.clear();
    for (const at::Tensor &values : weights) {
        weights_.push_back(at::empty_like(values));
        checkpoint.read_tensor("best." + std::to_string(weights_.size() - 1), weights_.back());
    }
}

}  // namespace csp

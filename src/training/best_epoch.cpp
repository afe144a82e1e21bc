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

void save_metrics(const std::string &name, const EpochMetrics &metrics, CheckpointWriter &checkpoint) {
    checkpoint.add_integer(name + ".supervised", metrics.stage == Stage::supervised);
    checkpoint.add_integer(name + ".epoch", metrics.epoch);
    for (const auto &[figure, member] : figures) checkpoint.add_number(name + '.' + figure, metrics.*member);
}

EpochMetrics load_metrics(const std::string &name, const CheckpointReader &checkpoint) {
    EpochMetrics metrics;
    metrics.stage = checkpoint.integer(name + ".supervised", 0, 1) == 1 ? Stage::supervised : Stage::pretraining;
    metrics.epoch = static_cast<int>(checkpoint.integer(name + ".epoch", 0, most_epochs));
    for (const auto &[figure, member] : figures) metrics.*member = checkpoint.number(name + '.' + figure);
    return metrics;
}

}  // namespace

void BestEpoch::note(const EpochMetrics &metrics, const Network &network) {
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
    encoder_ = network.encoder().values.detach().clone();
    head_ = network.head().values.detach().clone();
}

void BestEpoch::restore(Network &network) const {
    if (!keeps_best()) return;
    const c10::NoGradGuard no_grad;
    network.encoder().values.copy_(encoder_);
    network.head().values.copy_(head_);
}

void BestEpoch::save(CheckpointWriter &checkpoint) const {
    save_metrics("last", last_, checkpoint);
    checkpoint.add_integer("epochs_since_best", epochs_since_);
    checkpoint.add_integer("has_best", has_best_);
    if (!has_best_) return;
    save_metrics("best", best_, checkpoint);
    if (!keep_) return;
    checkpoint.add_tensor("best.encoder", encoder_);
    checkpoint.add_tensor("best.head", head_);
}

void BestEpoch::load(const CheckpointReader &checkpoint, const Network &network) {
    last_ = load_metrics("last", checkpoint);
    epochs_since_ = static_cast<int>(checkpoint.integer("epochs_since_best", 0, most_epochs));
    has_best_ = checkpoint.integer("has_best", 0, 1) == 1;
    if (!has_best_) return;
    best_ = load_metrics("best", checkpoint);
    if (!keep_) return;
    encoder_ = at::empty_like(network.encoder().values);
    head_ = at::empty_like(network.head().values);
    checkpoint.read_tensor("best.encoder", encoder_);
    checkpoint.read_tensor("best.head", head_);
}

}  // namespace csp

// The best epoch of a stage.
#include "best_epoch.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <cmath>

namespace csp {

void BestEpoch::note(const EpochMetrics &metrics, Network &network) {
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

}  // namespace csp

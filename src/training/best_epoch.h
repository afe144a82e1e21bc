// Which epoch of a stage did best on the rows held out: when to stop, and which weights to keep.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "checkpoint.h"
#include "trainer.h"

namespace csp {

class BestEpoch {
public:
    // patience: epochs that may pass without a lower validation loss; 0: any number. keep: the
    // stage ends with the weights of its best epoch in place of its last.
    BestEpoch(int patience, bool keep) : patience_(patience), keep_(keep) {}

    // An epoch has ended and left the weights of the stage as they are now. One without a validation loss
    // is no better than another.
    void note(const EpochMetrics &metrics, const std::vector<at::Tensor> &weights);

    bool out_of_patience() const { return patience_ > 0 && epochs_since_ >= patience_; }

    // The end of a stage: writes the weights to keep.
    void restore(const std::vector<at::Tensor> &weights) const;

    // Of the epoch whose weights are kept.
    const EpochMetrics &metrics() const { return keeps_best() ? best_ : last_; }

    void save(CheckpointWriter &checkpoint) const;
    void load(const CheckpointReader &checkpoint, const std::vector<at::Tensor> &weights);

private:
    bool keeps_best() const { return keep_ && !weights_.empty(); }

    int patience_;
    bool keep_;
    EpochMetrics best_, last_;
    std::vector<at::Tensor> weights_;  // of the best epoch; empty without one or if not kept
    bool has_best_ = false;
    int epochs_since_ = 0;  // since the best
};

// Figures of an epoch under a name in a checkpoint.
void save_metrics(const std::string &name, const EpochMetrics &metrics, CheckpointWriter &checkpoint);
EpochMetrics load_metrics(const std::string &name, const CheckpointReader &checkpoint);

}  // namespace csp

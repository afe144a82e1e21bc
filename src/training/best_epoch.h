// Which epoch of a stage did best on the rows held out: when to stop, and which weights to keep.
#pragma once

#include <ATen/core/Tensor.h>

#include "checkpoint.h"
#include "network.h"
#include "trainer.h"

namespace csp {

class BestEpoch {
public:
    // patience: epochs that may pass without a lower validation loss; 0: any number. keep: the
    // stage ends with the weights of its best epoch in place of its last.
    BestEpoch(int patience, bool keep) : patience_(patience), keep_(keep) {}

    // An epoch has ended and left the network as it is now. One without a validation loss is
    // no better than another.
    void note(const EpochMetrics &metrics, const Network &network);

    bool out_of_patience() const { return patience_ > 0 && epochs_since_ >= patience_; }

    // The end of a stage: gives the network the weights to keep.
    void restore(Network &network) const;

    // Of the epoch whose weights are kept.
    const EpochMetrics &metrics() const { return keeps_best() ? best_ : last_; }

    void save(CheckpointWriter &checkpoint) const;
    void load(const CheckpointReader &checkpoint, const Network &network);

private:
    bool keeps_best() const { return keep_ && encoder_.defined(); }

    int patience_;
    bool keep_;
    EpochMetrics best_, last_;
    at::Tensor encoder_, head_;  // weights of the best epoch; undefined without one or if not kept
    bool has_best_ = false;
    int epochs_since_ = 0;  // since the best
};

}  // namespace csp

// From the rows of a batch to its losses: which rows go through the network, and which
// objective sees what.
#pragma once

#include <ATen/core/Tensor.h>

#include "checkpoint.h"
#include "network.h"
#include "options.h"
#include "samples.h"

namespace csp {

// Scalars; a term of weight 0 is not computed and undefined here.
struct ContrastiveLosses {
    at::Tensor in_batch, negative, dropout;  // unweighted
    at::Tensor total;                        // their weighted sum
};

// Sums over the rows of a batch, so that batches of unequal size add up to a mean.
struct SupervisedValidation {
    double loss = 0;
    int64_t hits = 0;  // rows whose class has the highest score
};

class BatchLosses {
public:
    // All references must outlive this object.
    BatchLosses(const TrainingOptions &options, const Samples &samples, const Network &network);

    // The objective of stage 1. Rows, their dropout twins and the random locations go through
    // the location encoder in one pass of up to (2 + negatives) * B rows.
    ContrastiveLosses contrastive(const RowIds &rows);

    // The supervised loss of labelled rows.
    at::Tensor supervised(const RowIds &rows);

    // Without dropout and gradients; the in-batch term (of NCE, what its rows say of their own
    // images), and loss of the true class and hits.
    double validate_contrastive(const RowIds &rows) const;
    SupervisedValidation validate_supervised(const RowIds &rows) const;

    // Where its random streams stand.
    void save(CheckpointWriter &checkpoint) const {
        checkpoint.add_stream("negatives", negatives_);
        checkpoint.add_stream("dropout", dropout_.random());
    }
    void load(const CheckpointReader &checkpoint) {
        checkpoint.read_stream("negatives", negatives_);
        checkpoint.read_stream("dropout", dropout_.random());
    }

private:
    ContrastiveLosses regression(const RowIds &rows);
    at::Tensor random_places(std::size_t count);  // their features
    at::Tensor in_batch(const at::Tensor &u, const at::Tensor &v) const;
    at::Tensor negative(const at::Tensor &u, const at::Tensor &v, const at::Tensor &random) const;
    at::Tensor twins(const at::Tensor &u, const at::Tensor &twins) const;
    at::Tensor full_loss_of(const RowIds &rows);
    at::Tensor observer_loss_of(const RowIds &rows, const at::Tensor &embeddings, double positive_weight) const;

    const TrainingOptions &options_;
    const Samples &samples_;
    const Network &network_;
    RandomStream negatives_;
    Dropout dropout_;
};

}  // namespace csp

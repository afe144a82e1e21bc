// From the rows of a batch to its losses: which rows go through the network, and which
// objective sees what.
#pragma once

#include <ATen/core/Tensor.h>

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

    // The MC objective. Rows, their dropout twins and the random locations go through the
    // location encoder in one pass of up to (2 + negatives) * B rows.
    ContrastiveLosses contrastive(const RowIds &rows);

    // full_loss or cross-entropy of labelled rows.
    at::Tensor supervised(const RowIds &rows);

    // Without dropout and gradients; the in-batch term, and loss of the true class and hits.
    double validate_contrastive(const RowIds &rows) const;
    SupervisedValidation validate_supervised(const RowIds &rows) const;

private:
    at::Tensor full_loss_of(const RowIds &rows);

    const TrainingOptions &options_;
    const Samples &samples_;
    const Network &network_;
    RandomStream negatives_;
    Dropout dropout_;
};

}  // namespace csp

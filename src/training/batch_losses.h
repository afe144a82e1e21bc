// From the rows of a batch to its losses and their gradients: which rows go through the network, and which
// objective sees what.
//
// A batch is divided among the lanes by rows. Each takes its share through the network; contrastive objectives then need
// the embeddings of all others, which are gathered, and gradients by them, which are added up, before each lane goes
// back through its own part. Losses and gradients do not depend on the number of lanes but for the order of sums.
//
// The processes of a group divide the batch before their lanes do, and each gathers and adds up over its lanes before it
// does so over the group. Losses are those of the whole batch for each; gradients of parameters are left to be added up.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <vector>

#include "checkpoint.h"
#include "lanes.h"
#include "network.h"
#include "options.h"
#include "process_group.h"
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

// Of the parts of a batch, over the group.
SupervisedValidation sum_validation(const std::vector<SupervisedValidation> &parts, ProcessGroup &group);

class BatchLosses {
public:
    // All references must outlive this object.
    BatchLosses(const TrainingOptions &options, const Samples &samples, Network &network, Lanes &lanes,
                ProcessGroup &group);

    // The objective of stage 1, whose gradients, times `weight`, are added to those of the network. Rows, their dropout
    // twins and the random locations go through the location encoder in one pass of (2 + negatives) * B rows.
    ContrastiveLosses contrastive(const RowIds &rows, double weight = 1);

    // The supervised loss of labelled rows; its gradients are added to those of the network.
    at::Tensor supervised(const RowIds &rows);

    // Without dropout and gradients; the in-batch term (of NCE, what its rows say of their own
    // images), and loss of the true class and hits.
    double validate_contrastive(const RowIds &rows);
    SupervisedValidation validate_supervised(const RowIds &rows);

    // Its random streams.
    struct Streams {
        RandomStream negatives, dropout;
    };
    Streams streams() const { return {negatives_, dropout_}; }
    void go_back_to(const Streams &streams) {
        negatives_ = streams.negatives;
        dropout_ = streams.dropout;
    }
    void save(CheckpointWriter &checkpoint) const {
        checkpoint.add_stream("negatives", negatives_);
        checkpoint.add_stream("dropout", dropout_);
    }
    void load(const CheckpointReader &checkpoint) {
        checkpoint.read_stream("negatives", negatives_);
        checkpoint.read_stream("dropout", dropout_);
    }

private:
    // What a lane has of a batch.
    struct Share {
        const Network *network;
        RowIds rows;
        int64_t first, batch;  // its place among the rows of the batch
        at::Tensor observed;   // how many rows of the batch have a user, where the loss has users
        double part() const { return static_cast<double>(rows.size()) / static_cast<double>(batch); }
    };
    struct ContrastiveShare;
    struct Gathered;

    std::vector<Share> divide(const RowIds &rows);
    // work(i) for each share, side by side; lanes without a share rest.
    void in_lanes(std::size_t shares, const std::function<void(std::size_t)> &work);
    void sum_gradients(std::size_t shares);

    Dropout dropout(uint64_t key, std::vector<RowRange> rows) const {
        return Dropout(options_.model.dropout, key, std::move(rows));
    }
    RandomPlaces random_places(std::size_t count) {
        return samples_.draw_places(count, options_.negative_sampler, negatives_);
    }

    void embed(ContrastiveShare &share, const RandomPlaces &random, uint64_t key) const;
    at::Tensor join(const std::vector<at::Tensor> &parts) const;
    Gathered gather(const std::vector<ContrastiveShare> &shares, int64_t batch) const;
    void lose(ContrastiveShare &share, const Gathered &all, double weight) const;
    void sum_over_group(std::vector<ContrastiveShare> &shares, const Gathered &all) const;
    at::Tensor sum_over_group(const std::vector<at::Tensor> &losses) const;
    void go_back(const ContrastiveShare &share, const std::vector<ContrastiveShare> &shares) const;
    ContrastiveLosses regression(const RowIds &rows, double weight);
    at::Tensor in_batch(const Network &network, const at::Tensor &u, const at::Tensor &v, int64_t first) const;
    at::Tensor negative(const at::Tensor &u, const at::Tensor &v, const at::Tensor &random) const;
    at::Tensor twins(const at::Tensor &u, const at::Tensor &twins, int64_t first) const;

    at::Tensor supervised_loss(const Share &share, const RandomPlaces &background, uint64_t key) const;
    at::Tensor full_loss_of(const Share &share, const RandomPlaces &background, uint64_t key) const;
    at::Tensor observer_loss_of(const Share &share, const at::Tensor &embeddings, double positive_weight) const;
    bool draws_background() const;

    const TrainingOptions &options_;
    const Samples &samples_;
    Network &network_;
    Lanes &lanes_;
    ProcessGroup &group_;
    std::vector<Network> twins_;  // of the network, for the lanes after the first
    RandomStream negatives_;
    RandomStream dropout_;  // a key for each batch
};

}  // namespace csp

// The image classifier of a model: P(y | I) by softmax regression of the classes on the image features.
//
// It shares neither weights nor random numbers with the location encoder, which is the same with and without it. Features
// are standardized while it learns, so that one learning rate suits all of them; the mean and the scale then become part of
// its weights, and queries give it features as they are.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "batch_losses.h"
#include "checkpoint.h"
#include "lanes.h"
#include "network.h"
#include "process_group.h"
#include "samples.h"

namespace csp {

class ImageClassifier {
public:
    // It begins with all weights 0: there is a single minimum. training: the rows to learn from. All references must
    // outlive this object.
    ImageClassifier(const TrainingOptions &options, const TrainingData &data, const at::TensorOptions &device,
                    const Samples &samples, Lanes &lanes, ProcessGroup &group, const RowIds &training);

    // Measures the next features, of at most 4,096 rows, in portions short enough to answer an interrupt between them;
    // false once mean and scale are known, which everything below needs.
    bool measure_some();

    // Mean cross-entropy of a batch of labelled rows; this process's part of the gradients is added to parameters().
    double loss(const RowIds &rows);
    SupervisedValidation validate(const RowIds &rows);

    // Scores of the classes before the softmax: (n, C), on the host.
    at::Tensor scores(const RowIds &rows) const;

    const ParameterGroup &parameters() const { return parameters_; }

    // image_class.{weight, bias}, for features as they are.
    TensorMap tensors() const;

    void save(CheckpointWriter &checkpoint) const;
    void load(const CheckpointReader &checkpoint);

private:
    struct Lane {
        at::Tensor weight, bias;  // views of the parameters, with gradients of the lane's own
        at::Tensor gradients;
    };

    Lane make_lane(const at::Tensor &gradients) const;
    at::Tensor standardized(const RowIds &rows) const;
    at::Tensor scores_of(const Lane &lane, const RowIds &rows) const;
    void finish_measuring();
    void sum_gradients();

    const TrainingOptions &options_;
    const Samples &samples_;
    Lanes &lanes_;
    ProcessGroup &group_;
    at::TensorOptions device_;
    int64_t classes_, width_;
    RowIds to_measure_;
    std::size_t measured_ = 0;
    at::Tensor sum_, square_sum_;  // of the features measured so far, in float64
    at::Tensor mean_, scale_;      // scale 0: a feature that does not vary
    ParameterGroup parameters_;
    std::vector<Lane> per_lane_;
};

}  // namespace csp

// Adam (Kingma and Ba, 2015) and the learning-rate schedules.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "checkpoint.h"
#include "lanes.h"
#include "network.h"
#include "options.h"

namespace csp {

// Adam with betas 0.9 and 0.999 and eps 1e-8, equal to torch::optim::Adam, over parameter
// groups that are one tensor each; weight_decay is an L2 penalty (not decoupled).
class Adam {
public:
    explicit Adam(double weight_decay) : weight_decay_(weight_decay) {}

    // rate_factor scales the learning rate for this group; a group with 0 stays as it is.
    void add(const ParameterGroup &group, double rate_factor);

    void zero_gradients();
    std::vector<at::Tensor> gradients() const;
    void step(double learning_rate, Lanes &lanes);

    // Moments and number of steps, not the parameters.
    void save(CheckpointWriter &checkpoint) const;
    void load(const CheckpointReader &checkpoint);

private:
    struct State {
        ParameterGroup group;
        double rate_factor;
        at::Tensor mean, square;  // running means of the gradient and of its square
    };
    void update(const State &state, double learning_rate, int64_t begin, int64_t count) const;

    std::vector<State> states_;
    double weight_decay_;
    int64_t steps_ = 0;
};

// The learning rate of an epoch (from 0) of `epochs`.
double scheduled_rate(Schedule schedule, double initial, double decay, int epoch, int epochs);

// By which a warm-up over a share of `batches` multiplies it in one of them (from 0): in even
// steps up to 1, and 1 from then on.
double warmup_factor(double share, int64_t batch, int64_t batches);

}  // namespace csp

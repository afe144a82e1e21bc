// Adam and the learning-rate schedules.
#include "optimizer.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <cmath>
#include <limits>
#include <string>

namespace csp {

void Adam::add(const ParameterGroup &group, double rate_factor) {
    if (group.values.numel() == 0 || rate_factor == 0) return;
    states_.push_back({group, rate_factor, at::zeros_like(group.values), at::zeros_like(group.values)});
}

void Adam::zero_gradients() {
    for (State &state : states_) state.group.gradients.zero_();
}

std::vector<at::Tensor> Adam::gradients() const {
    std::vector<at::Tensor> gradients;
    for (const State &state : states_) gradients.push_back(state.group.gradients);
    return gradients;
}

void Adam::step(double learning_rate) {
    const c10::NoGradGuard no_grad;
    ++steps_;
    for (State &state : states_) update(state, learning_rate * state.rate_factor);
}

void Adam::update(State &state, double learning_rate) {
    constexpr double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
    const double correction1 = 1 - std::pow(beta1, steps_), correction2 = 1 - std::pow(beta2, steps_);
    at::Tensor &gradient = state.group.gradients;
    if (weight_decay_ != 0) gradient.add_(state.group.values, weight_decay_);
    state.mean.mul_(beta1).add_(gradient, 1 - beta1);
    state.square.mul_(beta2).addcmul_(gradient, gradient, 1 - beta2);
    const at::Tensor denominator = state.square.sqrt().div_(std::sqrt(correction2)).add_(eps);
    state.group.values.addcdiv_(state.mean, denominator, -learning_rate / correction1);
}

void Adam::save(CheckpointWriter &checkpoint) const {
    checkpoint.add_integer("steps", steps_);
    for (std::size_t i = 0; i < states_.size(); ++i) {
        checkpoint.add_tensor("mean." + std::to_string(i), states_[i].mean);
        checkpoint.add_tensor("square." + std::to_string(i), states_[i].square);
    }
}

void Adam::load(const CheckpointReader &checkpoint) {
    steps_ = checkpoint.integer("steps", 0, std::numeric_limits<int64_t>::max());
    for (std::size_t i = 0; i < states_.size(); ++i) {
        checkpoint.read_tensor("mean." + std::to_string(i), states_[i].mean);
        checkpoint.read_tensor("square." + std::to_string(i), states_[i].square);
    }
}

double scheduled_rate(Schedule schedule, double initial, double decay, int epoch, int epochs) {
    switch (schedule) {
        case Schedule::constant: return initial;
        case Schedule::exponential: return initial * std::pow(decay, epoch);
        case Schedule::cosine: break;
    }
    constexpr double pi = 3.14159265358979323846;
    return initial * 0.5 * (1 + std::cos(pi * epoch / epochs));
}

double warmup_factor(double share, int64_t batch, int64_t batches) {
    const double length = std::ceil(share * static_cast<double>(batches));
    const double done = static_cast<double>(batch + 1);
    return done < length ? done / length : 1;
}

}  // namespace csp

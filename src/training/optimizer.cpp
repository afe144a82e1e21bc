// Adam and the learning-rate schedules.
#include "optimizer.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <cmath>
#include <limits>
#include <string>

#include "row_kernels.h"

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

void Adam::step(double learning_rate, Lanes &lanes) {
    ++steps_;
    lanes.run([&](int lane) {
        const c10::NoGradGuard no_grad;
        for (const State &state : states_) {
            const int64_t size = state.group.values.numel(), begin = share_begin(size, lanes.count(), lane);
            update(state, learning_rate * state.rate_factor, begin, share_begin(size, lanes.count(), lane + 1) - begin);
        }
    });
}

void Adam::update(const State &state, double learning_rate, int64_t begin, int64_t count) const {
    constexpr double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
    const double correction1 = 1 - std::pow(beta1, steps_), correction2 = 1 - std::pow(beta2, steps_);
    const auto part = [&](const at::Tensor &whole) { return whole.narrow(0, begin, count); };
    at::Tensor values = part(state.group.values), gradient = part(state.group.gradients);
    at::Tensor mean = part(state.mean), square = part(state.square);
    if (values.device().is_cpu() && values.scalar_type() == at::kFloat) {
        const auto f = [](double value) { return static_cast<float>(value); };
        const AdamFactors factors{f(beta1), f(beta2), f(1 - beta1), f(1 - beta2), f(learning_rate / correction1),
                                  f(eps), f(1 / std::sqrt(correction2)), f(weight_decay_)};
        return adam_step(factors, gradient.data_ptr<float>(), values.data_ptr<float>(), mean.data_ptr<float>(),
                         square.data_ptr<float>(), count);
    }
    if (weight_decay_ != 0) gradient.add_(values, weight_decay_);
    mean.mul_(beta1).add_(gradient, 1 - beta1);
    square.mul_(beta2).addcmul_(gradient, gradient, 1 - beta2);
    values.addcdiv_(mean, square.sqrt().div_(std::sqrt(correction2)).add_(eps), -learning_rate / correction1);
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

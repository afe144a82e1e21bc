// What an epoch adds up to.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <limits>

namespace csp {

constexpr double not_applicable = std::numeric_limits<double>::quiet_NaN();

// The mean of what was added; NaN of nothing.
class Mean {
public:
    void add(double value, double weight = 1) { sum_ += value * weight, weight_ += weight; }
    void add(const at::Tensor &scalar) {
        if (scalar.defined()) add(scalar.item<double>());
    }
    double value() const { return weight_ > 0 ? sum_ / weight_ : not_applicable; }

private:
    double sum_ = 0, weight_ = 0;
};

struct EpochSums {
    Mean loss, in_batch, negative, dropout, validation_loss, validation_top1;
    double seconds = 0, training_seconds = 0;
    int64_t training_rows = 0;
};

}  // namespace csp

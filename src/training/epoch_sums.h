// What an epoch adds up to.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <limits>
#include <string>
#include <utility>

#include "checkpoint.h"

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

    void save(const std::string &name, CheckpointWriter &checkpoint) const {
        checkpoint.add_number(name + ".sum", sum_);
        checkpoint.add_number(name + ".weight", weight_);
    }
    void load(const std::string &name, const CheckpointReader &checkpoint) {
        sum_ = checkpoint.number(name + ".sum");
        weight_ = checkpoint.number(name + ".weight");
    }

private:
    double sum_ = 0, weight_ = 0;
};

struct EpochSums {
    Mean loss, in_batch, negative, dropout, validation_loss, validation_top1;
    double seconds = 0, training_seconds = 0;
    int64_t training_rows = 0;

    void save(CheckpointWriter &checkpoint) const {
        for (const auto &[name, mean] : means) (this->*mean).save(name, checkpoint);
        checkpoint.add_number("seconds", seconds);
        checkpoint.add_number("training_seconds", training_seconds);
        checkpoint.add_integer("training_rows", training_rows);
    }
    void load(const CheckpointReader &checkpoint) {
        for (const auto &[name, mean] : means) (this->*mean).load(name, checkpoint);
        seconds = checkpoint.number("seconds");
        training_seconds = checkpoint.number("training_seconds");
        training_rows = checkpoint.integer("training_rows", 0, std::numeric_limits<int64_t>::max());
    }

private:
    static const std::pair<const char *, Mean EpochSums::*> means[6];  // by their names in a checkpoint
};

inline const std::pair<const char *, Mean EpochSums::*> EpochSums::means[6] = {
    {"loss", &EpochSums::loss},
    {"loss_in_batch", &EpochSums::in_batch},
    {"loss_negative", &EpochSums::negative},
    {"loss_dropout", &EpochSums::dropout},
    {"validation_loss", &EpochSums::validation_loss},
    {"validation_top1", &EpochSums::validation_top1},
};

}  // namespace csp

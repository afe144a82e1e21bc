// The two stages of a run as a machine that is driven in short steps.
#include "trainer.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <set>

#include "../encoder/error.h"
#include "batch_losses.h"
#include "device.h"
#include "make_trainer.h"
#include "network.h"
#include "optimizer.h"
#include "samples.h"
#include "torch_guard.h"

namespace csp {
namespace {

constexpr double not_applicable = std::numeric_limits<double>::quiet_NaN();

double seconds_since(std::chrono::steady_clock::time_point start) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// What a stage goes through: fixed before it starts.
struct StagePlan {
    Stage stage = Stage::pretraining;
    RowIds training, validation;
    int batch_size = 0;
    int epochs = 0;
    double learning_rate = 0;
    Schedule schedule = Schedule::constant;
};

// The mean of what was added; NaN of nothing.
class Mean {
public:
    void add(double value, double weight = 1) { sum_ += value * weight, weight_ += weight; }
    void add(const at::Tensor &scalar) { if (scalar.defined()) add(scalar.item<double>()); }
    double value() const { return weight_ > 0 ? sum_ / weight_ : not_applicable; }

private:
    double sum_ = 0, weight_ = 0;
};

struct EpochSums {
    Mean loss, in_batch, negative, dropout, validation_loss, validation_top1;
    double seconds = 0, training_seconds = 0;
    int64_t training_rows = 0;
};

bool trains_contrastively(const TrainingOptions &options, const TrainingData &data) {
    return data.features && (options.pretrain_epochs > 0 || (options.weight_contrastive > 0 && options.epochs > 0));
}

bool trains_classes(const TrainingOptions &options, const TrainingData &data) { return data.classes && options.epochs > 0; }

bool initial_has(const TrainingData &data, const char *tensor) { return data.initial && data.initial->count(tensor) > 0; }

// The architecture of the options with what only the data tells.
ModelConfig complete_config(const TrainingOptions &options, const TrainingData &data) {
    ModelConfig config = options.model;
    const bool images = trains_contrastively(options, data) || initial_has(data, "img_dec.weight");
    const bool classes = trains_classes(options, data) || initial_has(data, "class_emb.weight");
    config.image_dim = images ? data.image_dim : 0;
    config.class_count = classes ? data.class_count : 0;
    config.class_head = options.loss == SupervisedLoss::cross_entropy ? ClassHead::softmax : ClassHead::sigmoid;
    validate(config);
    return config;
}

void require_rows(const StagePlan &plan, const char *what) {
    if (plan.training.size() >= 2) return;
    throw Error(ErrorKind::invalid_data, std::string("too few rows for ") + what,
                "There are " + std::to_string(plan.training.size()) + " to train on and " +
                    std::to_string(plan.validation.size()) + " held out for validation; training needs at least 2.",
                "Give more rows, or lower validation_fraction.");
}

StagePlan plan_pretraining(const TrainingOptions &options, const TrainingData &data) {
    StagePlan plan{Stage::pretraining, {}, {}, options.batch_size, options.pretrain_epochs, options.pretrain_learning_rate,
                   options.pretrain_schedule};
    for (std::size_t i = 0; i < data.rows; ++i) {
        const bool held_out = data.validation && data.validation[i];
        (held_out ? plan.validation : plan.training).push_back(static_cast<int64_t>(i));
    }
    require_rows(plan, "pre-training");
    return plan;
}

void require_two_classes(const StagePlan &plan, const TrainingData &data) {
    std::set<int32_t> seen;
    for (int64_t row : plan.training) seen.insert(data.classes[row]);
    if (seen.size() >= 2) return;
    throw Error(ErrorKind::invalid_data, "supervised training needs at least two classes",
                "All " + std::to_string(plan.training.size()) + " labelled training rows have the same label.",
                "Give rows of more classes, or train without labels.");
}

StagePlan plan_supervised(const TrainingOptions &options, const TrainingData &data) {
    StagePlan plan{Stage::supervised, {}, {}, options.fine_tune_batch_size, options.epochs, options.learning_rate, options.schedule};
    for (std::size_t i = 0; i < data.rows; ++i) {
        if (data.classes[i] < 0) continue;
        const bool held_out = data.validation && data.validation[i];
        (held_out ? plan.validation : plan.training).push_back(static_cast<int64_t>(i));
    }
    require_rows(plan, "supervised training: rows with a label");
    require_two_classes(plan, data);
    const int64_t batches = Epoch::batches(plan.training.size(), plan.batch_size);
    plan.epochs = static_cast<int>(std::max<int64_t>(plan.epochs, (options.min_steps + batches - 1) / batches));
    return plan;
}

std::vector<StagePlan> plan_stages(const TrainingOptions &options, const TrainingData &data) {
    std::vector<StagePlan> plans;
    if (data.features && options.pretrain_epochs > 0) plans.push_back(plan_pretraining(options, data));
    if (trains_classes(options, data)) plans.push_back(plan_supervised(options, data));
    if (plans.empty()) {
        throw Error(ErrorKind::invalid_parameter, "nothing to train",
                    "Pre-training needs features and pretrain_epochs above 0; supervised training needs labels and epochs above 0.",
                    "Name a column of features or of labels.");
    }
    return plans;
}

class TwoStageTrainer : public Trainer {
public:
    TwoStageTrainer(const TrainingOptions &options, const TrainingData &data)
        : options_(options), data_(data), config_(complete_config(options, data)), device_(tensor_options(options.device)),
          plans_(plan_stages(options, data)), samples_(data_, config_, device_),
          network_(config_, samples_.feature_dim(), device_, options.seed), losses_(options_, samples_, network_),
          adam_(options.weight_decay), order_(options.seed, RandomPurpose::order) {
        if (data.initial) network_.load(*data.initial);
        start_stage();
    }

    bool advance(double seconds, Progress &progress) override {
        return guarded([&] {
            if (stage_ == plans_.size()) return false;
            const auto start = std::chrono::steady_clock::now();
            progress = {};
            do step(progress);
            while (!progress.epoch_finished && seconds_since(start) < seconds);
            return true;
        });
    }

    TrainedModel finish() override {
        return guarded([&] { return TrainedModel{config_, network_.tensors()}; });
    }

    std::string device() const override {
        return guarded([&] { return device_.device().str(); });
    }

private:
    const StagePlan &plan() const { return plans_[stage_]; }

    void start_stage() {
        adam_ = Adam(options_.weight_decay);
        const bool pretraining = plan().stage == Stage::pretraining;
        adam_.add(network_.encoder(), pretraining ? 1 : options_.encoder_learning_rate);
        if (!pretraining) adam_.add(network_.head(), 1);
        epoch_ = 0;
        start_epoch();
    }

    void start_epoch() {
        current_ = std::make_unique<Epoch>(plan().training, plan().batch_size, order_);
        sums_ = {};
        batch_ = 0;
        validated_ = 0;
        learning_rate_ = scheduled_rate(plan().schedule, plan().learning_rate, options_.learning_rate_decay, epoch_, plan().epochs);
    }

    // The smallest unit of work: a portion of the position features, a training batch or a
    // validation batch.
    void step(Progress &progress) {
        const auto start = std::chrono::steady_clock::now();
        const bool encoding = samples_.encode_some();
        const bool training = !encoding && batch_ < current_->batches();
        if (training) train_batch();
        else if (!encoding) validate_batch();
        const double seconds = seconds_since(start);
        sums_.seconds += seconds;
        if (training) sums_.training_seconds += seconds;
        report(progress);
        if (!encoding && batch_ == current_->batches() && validated_ == rows_to_validate()) finish_epoch(progress);
    }

    void train_batch() {
        const RowIds rows = current_->batch(batch_);
        adam_.zero_gradients();
        const at::Tensor loss = plan().stage == Stage::pretraining ? contrastive_loss(rows) : supervised_loss(rows);
        last_loss_ = loss.item<double>();
        if (!std::isfinite(last_loss_)) throw_diverged();
        loss.backward();
        adam_.step(learning_rate_);
        sums_.loss.add(last_loss_);
        sums_.training_rows += static_cast<int64_t>(rows.size());
        ++batch_;
    }

    at::Tensor contrastive_loss(const RowIds &rows) {
        const ContrastiveLosses losses = losses_.contrastive(rows);
        sums_.in_batch.add(losses.in_batch);
        sums_.negative.add(losses.negative);
        sums_.dropout.add(losses.dropout);
        return losses.total;
    }

    at::Tensor supervised_loss(const RowIds &rows) {
        const at::Tensor loss = losses_.supervised(rows);
        if (options_.weight_contrastive == 0 || !data_.features) return loss;
        return loss + options_.weight_contrastive * contrastive_loss(random_rows());
    }

    // Any rows that are not held out, labelled or not: as many as a batch of pre-training.
    RowIds random_rows() {
        RowIds rows;
        const std::size_t count = std::min<std::size_t>(static_cast<std::size_t>(options_.batch_size), data_.rows);
        while (rows.size() < count) {
            const auto row = static_cast<int64_t>(order_.below(data_.rows));
            if (!data_.validation || !data_.validation[row]) rows.push_back(row);
        }
        return rows;
    }

    // Pre-training looks at one batch of the rows held out, supervised training at all.
    std::size_t rows_to_validate() const {
        const std::size_t count = plan().validation.size();
        if (plan().stage == Stage::supervised) return count;
        return count < 2 ? 0 : std::min(count, static_cast<std::size_t>(plan().batch_size));
    }

    void validate_batch() {
        const auto begin = plan().validation.begin() + static_cast<std::ptrdiff_t>(validated_);
        const std::size_t count = std::min<std::size_t>(rows_to_validate() - validated_, plan().stage == Stage::supervised ? 1024 : 65536);
        const RowIds rows(begin, begin + static_cast<std::ptrdiff_t>(count));
        const auto weight = static_cast<double>(count);
        if (plan().stage == Stage::pretraining) {
            sums_.validation_loss.add(losses_.validate_contrastive(rows), weight);
        } else {
            const SupervisedValidation result = losses_.validate_supervised(rows);
            sums_.validation_loss.add(result.loss / weight, weight);
            sums_.validation_top1.add(static_cast<double>(result.hits) / weight, weight);
        }
        validated_ += count;
    }

    void report(Progress &progress) const {
        progress.stage = plan().stage;
        progress.epoch = epoch_ + 1;
        progress.epochs = plan().epochs;
        progress.batch = batch_;
        progress.batches = current_->batches();
        progress.loss = last_loss_;
        progress.rows_per_second = sums_.training_seconds > 0 ? static_cast<double>(sums_.training_rows) / sums_.training_seconds : 0;
    }

    void finish_epoch(Progress &progress) {
        progress.epoch_finished = true;
        progress.metrics = {plan().stage, epoch_ + 1, learning_rate_, sums_.loss.value(), sums_.in_batch.value(),
                            sums_.negative.value(), sums_.dropout.value(), sums_.validation_loss.value(),
                            sums_.validation_top1.value(), sums_.seconds};
        if (++epoch_ < plan().epochs) start_epoch();
        else if (++stage_ < plans_.size()) start_stage();
    }

    [[noreturn]] void throw_diverged() const {
        const bool pretraining = plan().stage == Stage::pretraining;
        throw Error(ErrorKind::invalid_parameter, std::string("the loss of ") + (pretraining ? "pre-training" : "supervised training") +
                                                      " is no longer a finite number",
                    "This happened in batch " + std::to_string(batch_ + 1) + " of epoch " + std::to_string(epoch_ + 1) + ".",
                    pretraining ? "Lower pretrain_learning_rate, or scale the features to about unit variance."
                                : "Lower learning_rate.");
    }

    const TrainingOptions options_;
    const TrainingData data_;
    const ModelConfig config_;
    const at::TensorOptions device_;
    const std::vector<StagePlan> plans_;
    Samples samples_;
    Network network_;
    BatchLosses losses_;
    Adam adam_;
    RandomStream order_;

    std::size_t stage_ = 0;  // of plans_; past the end: finished
    int epoch_ = 0;          // of the stage, from 0
    std::unique_ptr<Epoch> current_;
    int64_t batch_ = 0;           // of the epoch: trained on so far
    std::size_t validated_ = 0;   // validation rows looked at so far
    double learning_rate_ = 0;
    double last_loss_ = not_applicable;
    EpochSums sums_;
};

}  // namespace

std::unique_ptr<Trainer> make_trainer(const TrainingOptions &options, const TrainingData &data) {
    return guarded([&]() -> std::unique_ptr<Trainer> {
        validate(options);
        check_rows(data);
        prepare_process(options.threads);
        return std::make_unique<TwoStageTrainer>(options, data);
    });
}

}  // namespace csp

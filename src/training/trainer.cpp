// The stages of a run as a machine that is driven in short steps.
#include "trainer.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "../encoder/error.h"
#include "batch_losses.h"
#include "best_epoch.h"
#include "calibration.h"
#include "checkpoint.h"
#include "device.h"
#include "epoch_sums.h"
#include "image_classifier.h"
#include "lanes.h"
#include "make_trainer.h"
#include "network.h"
#include "optimizer.h"
#include "position_tensors.h"
#include "process_group.h"
#include "run_identity.h"
#include "samples.h"
#include "shared_run.h"
#include "stage_plan.h"
#include "torch_guard.h"

namespace csp {
namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

class TwoStageTrainer : public Trainer {
public:
    TwoStageTrainer(const at::TensorOptions &device, const TrainingOptions &options,
                    std::unique_ptr<ProcessGroup> group, std::unique_ptr<const SharedRun> run)
        : options_(options), group_(std::move(group)), run_(std::move(run)), data_(run_->data()),
          config_(complete_config(options, data_)), device_(device), plans_(plan_stages(options, data_)),
          position_tensors_(draw_position_tensors(config_, data_, options.seed)),
          samples_(data_, config_, device_, position_tensors_),
          network_(config_, samples_.feature_dim(), device_, options.seed, network_settings(options)),
          lanes_(device.device().is_cpu() ? options.threads : 1), losses_(options_, samples_, network_, lanes_, *group_),
          adam_(options.weight_decay),
          order_(options.seed, RandomPurpose::order) {
        if (data_.initial) network_.load(*data_.initial);
        start_stage();
        if (!run_->checkpoint().empty()) restore(run_->checkpoint());
    }

    bool advance(double seconds, Progress &progress) override {
        return guarded([&] {
            const auto start = std::chrono::steady_clock::now();
            progress = {};
            if (stage_ == plans_.size()) return calibrate(start, seconds, progress);
            // A step as long as the last one has to fit into what is left of the slice.
            do step(progress);
            while (!progress.epoch_finished && seconds_since(start) + step_seconds_ < seconds);
            return true;
        });
    }

    TrainedModel finish() override {
        return guarded([&] {
            TensorMap tensors = network_.tensors();
            tensors.insert(position_tensors_.begin(), position_tensors_.end());
            if (images_) tensors.merge(images_->tensors());
            TrainedModel model{config_, std::move(tensors), location_metrics_, {}};
            if (calibration_) {
                calibration_->apply(model.config);
                model.fusion = calibration_->metrics();
            }
            return model;
        });
    }

    std::string checkpoint() const override {
        return guarded([&] {
            CheckpointWriter checkpoint;
            save_run(options_, data_, checkpoint);
            checkpoint.add_tensor("encoder", network_.encoder().values);
            checkpoint.add_tensor("head", network_.head().values);
            checkpoint.add_integer("stage", static_cast<int64_t>(stage_));
            if (images_) images_->save(checkpoint);
            save_metrics("location", location_metrics_, checkpoint);
            best_.save(checkpoint);
            if (stage_ < plans_.size()) save_stage(checkpoint);
            return checkpoint.bytes();
        });
    }

    std::string device() const override {
        return guarded([&] { return device_.device().str(); });
    }

private:
    const StagePlan &plan() const { return plans_[stage_]; }

    // Goes on from a checkpoint in place of the start.
    void restore(const std::string &bytes) {
        const CheckpointReader checkpoint(bytes);
        require_same_run(checkpoint, options_, data_);
        checkpoint.read_tensor("encoder", network_.encoder().values);
        checkpoint.read_tensor("head", network_.head().values);
        stage_ = static_cast<std::size_t>(checkpoint.integer("stage", 0, static_cast<int64_t>(plans_.size())));
        if (stage_ < plans_.size())
            restore_stage(checkpoint);
        else
            start_calibration(&checkpoint);
        location_metrics_ = load_metrics("location", checkpoint);
        best_ = BestEpoch(options_.patience, options_.keep_best);
        best_.load(checkpoint, weights());
    }

    void start_stage() {
        add_parameters();
        sampler_ = std::make_unique<RowSampler>(options_, plan().training, data_.classes);
        best_ = BestEpoch(options_.patience, options_.keep_best);
        stage_seconds_ = 0;
        stage_rows_ = 0;
        epoch_ = 0;
        start_epoch();
    }

    // What the stage trains, to its optimizer.
    void add_parameters() {
        if (plan().stage == Stage::image_classifier) {
            adam_ = Adam(options_.image_weight_decay);
            make_image_classifier();
            return adam_.add(images_->parameters(), 1);
        }
        adam_ = Adam(options_.weight_decay);
        const bool pretraining = plan().stage == Stage::pretraining;
        adam_.add(network_.encoder(), pretraining ? 1 : options_.encoder_learning_rate);
        if (!pretraining) adam_.add(network_.head(), 1);
    }

    void make_image_classifier() {
        images_ = std::make_unique<ImageClassifier>(options_, data_, device_, samples_, lanes_, *group_,
                                                    plans_.back().training);
    }

    // What the stage leaves behind.
    std::vector<at::Tensor> weights() const {
        if (images_) return {images_->parameters().values};
        return {network_.encoder().values, network_.head().values};
    }

    void save_stage(CheckpointWriter &checkpoint) const {
        checkpoint.add_integer("epoch", epoch_);
        checkpoint.add_integer("batch", batch_);
        checkpoint.add_integer("validated", static_cast<int64_t>(validated_));
        checkpoint.add_number("learning_rate", learning_rate_);
        checkpoint.add_number("last_loss", last_loss_);
        checkpoint.add_stream("epoch_order", epoch_order_);
        checkpoint.add_stream("order", order_);
        losses_.save(checkpoint);
        adam_.save(checkpoint);
        sums_.save(checkpoint);
    }

    void restore_stage(const CheckpointReader &checkpoint) {
        start_stage();
        if (images_) images_->load(checkpoint);
        epoch_ = static_cast<int>(checkpoint.integer("epoch", 0, plan().epochs - 1));
        checkpoint.read_stream("epoch_order", order_);
        start_epoch();
        batch_ = checkpoint.integer("batch", 0, current_->batches());
        validated_ = static_cast<std::size_t>(
            checkpoint.integer("validated", 0, static_cast<int64_t>(rows_to_validate())));
        learning_rate_ = checkpoint.number("learning_rate");
        last_loss_ = checkpoint.number("last_loss");
        checkpoint.read_stream("order", order_);
        losses_.load(checkpoint);
        adam_.load(checkpoint);
        sums_.load(checkpoint);
    }

    void start_epoch() {
        epoch_order_ = order_;
        current_.reset();  // rows of one epoch at a time
        current_ = std::make_unique<Epoch>(sampler_->draw(order_), plan().batch_size, order_, plan().windows);
        sums_ = {};
        batch_ = 0;
        validated_ = 0;
    }

    // All epochs of a stage have as many batches.
    double learning_rate() const {
        const int64_t batches = current_->batches();
        const double rate = scheduled_rate(plan().schedule, plan().learning_rate, options_.learning_rate_decay, epoch_,
                                           plan().epochs);
        return rate * warmup_factor(plan().warmup, epoch_ * batches + batch_, plan().epochs * batches);
    }

    // The smallest unit of work: a portion of the position features, a training batch or a
    // validation batch.
    void step(Progress &progress) {
        const auto start = std::chrono::steady_clock::now();
        const bool encoding = samples_.encode_some() || (images_ && images_->measure_some());
        const bool training = !encoding && batch_ < current_->batches();
        if (training)
            train_batch();
        else if (!encoding && validated_ < rows_to_validate())
            validate_batch();
        step_seconds_ = seconds_since(start);
        sums_.seconds += step_seconds_;
        stage_seconds_ += step_seconds_;
        if (training) sums_.training_seconds += step_seconds_;
        report(progress);
        if (!encoding && batch_ == current_->batches() && validated_ == rows_to_validate()) finish_epoch(progress);
    }

    void train_batch() {
        const RowIds rows = current_->batch(batch_);
        if (plan().stage != Stage::supervised) samples_.prefetch(*current_, batch_);
        adam_.zero_gradients();
        last_loss_ = compute_gradients(rows);
        if (!std::isfinite(last_loss_)) throw_diverged();
        learning_rate_ = learning_rate();
        adam_.step(learning_rate_, lanes_);
        network_.limit_logit_scale();
        sums_.loss.add(last_loss_);
        sums_.training_rows += static_cast<int64_t>(rows.size());
        stage_rows_ += static_cast<int64_t>(rows.size());
        ++batch_;
    }

    // Those of the whole batch, and its loss. If that fails, another process having gone perhaps, the run stands where it
    // stood: a checkpoint can be taken, from which it goes on.
    double compute_gradients(const RowIds &rows) {
        const BatchLosses::Streams streams = losses_.streams();
        const RandomStream order = order_;
        const EpochSums sums = sums_;
        try {
            const double loss = loss_of(rows);
            group_->sum(adam_.gradients());
            return loss;
        } catch (...) {
            losses_.go_back_to(streams);
            order_ = order;
            sums_ = sums;
            throw;
        }
    }

    double loss_of(const RowIds &rows) {
        switch (plan().stage) {
            case Stage::pretraining: return contrastive_loss(rows, 1);
            case Stage::supervised: return supervised_loss(rows);
            case Stage::image_classifier: break;
        }
        return images_->loss(rows);
    }

    double contrastive_loss(const RowIds &rows, double weight) {
        const ContrastiveLosses losses = losses_.contrastive(rows, weight);
        sums_.in_batch.add(losses.in_batch);
        sums_.negative.add(losses.negative);
        sums_.dropout.add(losses.dropout);
        return losses.total.item<double>();
    }

    double supervised_loss(const RowIds &rows) {
        const double loss = losses_.supervised(rows).item<double>(), weight = options_.weight_contrastive;
        return weight == 0 || !data_.features ? loss : loss + weight * contrastive_loss(random_rows(), weight);
    }

    // Labelled or not: as many as a batch of pre-training.
    RowIds random_rows() {
        const std::size_t count = std::min<std::size_t>(static_cast<std::size_t>(options_.batch_size), data_.rows);
        return samples_.random_rows(count, order_);
    }

    // Pre-training looks at one batch of the rows held out, later stages at all.
    std::size_t rows_to_validate() const {
        const std::size_t count = plan().validation.size();
        if (plan().stage != Stage::pretraining) return count;
        return count < 2 ? 0 : std::min(count, static_cast<std::size_t>(plan().batch_size));
    }

    void validate_batch() {
        const auto begin = plan().validation.begin() + static_cast<std::ptrdiff_t>(validated_);
        const std::size_t count =
            std::min<std::size_t>(rows_to_validate() - validated_, plan().stage == Stage::pretraining ? 65536 : 1024);
        const RowIds rows(begin, begin + static_cast<std::ptrdiff_t>(count));
        const auto weight = static_cast<double>(count);
        if (plan().stage == Stage::pretraining) {
            sums_.validation_loss.add(losses_.validate_contrastive(rows), weight);
        } else {
            const SupervisedValidation result =
                images_ ? images_->validate(rows) : losses_.validate_supervised(rows);
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
        progress.rows_per_second =
            sums_.training_seconds > 0 ? static_cast<double>(sums_.training_rows) / sums_.training_seconds : 0;
        progress.seconds_left = seconds_left();
    }

    // A row of a later stage is taken to cost what one of this stage does, validation included.
    double seconds_left() const {
        if (stage_rows_ == 0) return not_applicable;
        const auto rows_of = [](const StagePlan &p) { return static_cast<double>(p.epoch_rows) * p.epochs; };
        const double done = epoch_ + static_cast<double>(batch_) / static_cast<double>(current_->batches());
        double rows = rows_of(plan()) * (1 - done / plan().epochs);
        for (std::size_t later = stage_ + 1; later < plans_.size(); ++later) rows += rows_of(plans_[later]);
        return rows * stage_seconds_ / static_cast<double>(stage_rows_);
    }

    void finish_epoch(Progress &progress) {
        group_->require_same(weights());
        progress.epoch_finished = true;
        progress.metrics = {plan().stage,
                            epoch_ + 1,
                            learning_rate_,
                            sums_.loss.value(),
                            sums_.in_batch.value(),
                            sums_.negative.value(),
                            sums_.dropout.value(),
                            sums_.validation_loss.value(),
                            sums_.validation_top1.value(),
                            sums_.seconds};
        best_.note(progress.metrics, weights());
        if (++epoch_ < plan().epochs && !best_.out_of_patience())
            start_epoch();
        else
            finish_stage();
    }

    void finish_stage() {
        best_.restore(weights());
        if (!images_) location_metrics_ = best_.metrics();
        if (++stage_ < plans_.size())
            start_stage();
        else
            start_calibration(nullptr);
    }

    // checkpoint: null at the end of the last stage.
    void start_calibration(const CheckpointReader *checkpoint) {
        if (checkpoint && plans_.back().stage == Stage::image_classifier) {
            make_image_classifier();
            images_->load(*checkpoint);
        }
        if (!images_ && !(options_.calibration && plans_.back().stage == Stage::supervised)) return;
        adam_ = Adam(0);
        calibration_ = std::make_unique<Calibration>(options_, config_, samples_, network_, images_.get(),
                                                     plans_.back().validation);
    }

    bool calibrate(std::chrono::steady_clock::time_point start, double seconds, Progress &progress) {
        const auto step = [&] { return samples_.encode_some() || calibration_->step(); };  // a resumed run has encoded nothing
        if (!calibration_ || !step()) return false;
        while (seconds_since(start) < seconds && step()) continue;
        const StagePlan &last = plans_.back();
        progress.stage = last.stage;
        progress.epoch = progress.epochs = last.epochs;
        progress.batch = progress.batches = Epoch::batches(last.epoch_rows, last.batch_size);
        progress.loss = last_loss_;
        return true;
    }

    [[noreturn]] void throw_diverged() const {
        struct Words {
            const char *what, *hint;
        };
        constexpr Words of_stages[] = {
            {"pre-training", "Lower pretrain_learning_rate, or scale the features to about unit variance."},
            {"supervised training", "Lower learning_rate."},
            {"the image classifier", "Lower image_learning_rate."}};
        const Words &words = of_stages[static_cast<std::size_t>(plan().stage)];
        throw Error(
            ErrorKind::invalid_parameter, std::string("the loss of ") + words.what + " is no longer a finite number",
            "This happened in batch " + std::to_string(batch_ + 1) + " of epoch " + std::to_string(epoch_ + 1) + ".",
            words.hint);
    }

    const TrainingOptions options_;
    const std::unique_ptr<ProcessGroup> group_;
    const std::unique_ptr<const SharedRun> run_;
    const TrainingData data_;  // of run_
    const ModelConfig config_;
    const at::TensorOptions device_;
    const std::vector<StagePlan> plans_;
    const TensorMap position_tensors_;
    Samples samples_;
    Network network_;
    Lanes lanes_;
    BatchLosses losses_;
    std::unique_ptr<ImageClassifier> images_;   // from its stage on
    std::unique_ptr<Calibration> calibration_;  // after the last stage
    Adam adam_;
    RandomStream order_, epoch_order_ = order_;  // now, and when the epoch's rows were drawn
    BestEpoch best_{0, false};  // of the stage
    EpochMetrics location_metrics_;  // of the epoch whose weights the location encoder has

    std::size_t stage_ = 0;  // of plans_; past the end: finished
    int epoch_ = 0;          // of the stage, from 0
    std::unique_ptr<RowSampler> sampler_;  // of the stage
    std::unique_ptr<Epoch> current_;
    int64_t batch_ = 0;          // of the epoch: trained on so far
    std::size_t validated_ = 0;  // validation rows looked at so far
    double learning_rate_ = 0;  // of the last batch
    double last_loss_ = not_applicable;
    double step_seconds_ = 0;  // of the last step
    EpochSums sums_;
    double stage_seconds_ = 0;  // of this process in this stage, and its rows: the pace
    int64_t stage_rows_ = 0;
};

}  // namespace

std::unique_ptr<Trainer> make_trainer(const TrainingOptions &options, const TrainingData &data,
                                      const std::string &checkpoint, const GroupMember &member) {
    return guarded([&] { return make_trainer_on(tensor_options(options.device), options, data, checkpoint, member); });
}

std::unique_ptr<Trainer> make_trainer_on(const at::TensorOptions &device, const TrainingOptions &options,
                                         const TrainingData &data, const std::string &checkpoint,
                                         const GroupMember &member) {
    return guarded([&]() -> std::unique_ptr<Trainer> {
        validate(options);
        prepare_process();
        set_deterministic(options.deterministic);
        std::unique_ptr<ProcessGroup> group = join_group(member);
        auto run = std::make_unique<const SharedRun>(*group, data, checkpoint, options.feature_storage);
        check_rows(run->data());
        return std::make_unique<TwoStageTrainer>(device, options, std::move(group), std::move(run));
    });
}

}  // namespace csp

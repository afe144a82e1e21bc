// Softmax regression on image features.
#include "image_classifier.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>

namespace csp {
namespace {

constexpr std::size_t most_measured = 4096, measured_at_once = 512;

// So many of the rows, in their order.
RowIds sample_of(const RowIds &rows, std::size_t count, int64_t seed) {
    if (rows.size() <= count) return rows;
    RandomStream random(seed, RandomPurpose::image_statistics);
    std::vector<int64_t> picked = random.permutation(static_cast<int64_t>(rows.size()));
    picked.resize(count);
    std::sort(picked.begin(), picked.end());
    RowIds sample;
    for (int64_t index : picked) sample.push_back(rows[static_cast<std::size_t>(index)]);
    return sample;
}

Tensor to_tensor(const at::Tensor &values) {
    const at::Tensor floats = values.to(at::kCPU, at::kFloat).contiguous();
    const float *begin = floats.data_ptr<float>();
    return {floats.sizes().vec(), std::vector<float>(begin, begin + floats.numel())};
}

}  // namespace

ImageClassifier::ImageClassifier(const TrainingOptions &options, const TrainingData &data,
                                 const at::TensorOptions &device, const Samples &samples, Lanes &lanes,
                                 ProcessGroup &group, const RowIds &training)
    : options_(options), samples_(samples), lanes_(lanes), group_(group), device_(device),
      classes_(data.class_count), width_(data.image_dim), to_measure_(sample_of(training, most_measured, options.seed)),
      sum_(at::zeros({width_}, at::kDouble)), square_sum_(at::zeros({width_}, at::kDouble)) {
    parameters_.values = at::zeros({classes_ * (width_ + 1)}, device);
    parameters_.gradients = at::zeros_like(parameters_.values);
    per_lane_.push_back(make_lane(parameters_.gradients));
    for (int lane = 1; lane < lanes.count(); ++lane) per_lane_.push_back(make_lane(at::zeros_like(parameters_.values)));
}

ImageClassifier::Lane ImageClassifier::make_lane(const at::Tensor &gradients) const {
    const auto view = [&](const at::Tensor &flat, bool weight) {
        const int64_t weights = classes_ * width_;
        return (weight ? flat.narrow(0, 0, weights).view({classes_, width_}) : flat.narrow(0, weights, classes_)).detach();
    };
    Lane lane{view(parameters_.values, true), view(parameters_.values, false), gradients};
    lane.weight.requires_grad_(true).mutable_grad() = view(gradients, true);
    lane.bias.requires_grad_(true).mutable_grad() = view(gradients, false);
    return lane;
}

bool ImageClassifier::measure_some() {
    if (mean_.defined()) return false;
    const c10::NoGradGuard no_grad;
    const auto begin = to_measure_.begin() + static_cast<std::ptrdiff_t>(measured_);
    const std::size_t count = std::min(measured_at_once, to_measure_.size() - measured_);
    const at::Tensor features =
        samples_.images(RowIds(begin, begin + static_cast<std::ptrdiff_t>(count))).to(at::kCPU, at::kDouble);
    sum_ += features.sum(0);
    square_sum_ += (features * features).sum(0);
    measured_ += count;
    if (measured_ == to_measure_.size()) finish_measuring();
    return true;
}

// A feature whose spread is that of rounding has nothing to say.
void ImageClassifier::finish_measuring() {
    const auto count = static_cast<double>(measured_);
    const at::Tensor mean = sum_ / count, square = square_sum_ / count;
    const at::Tensor variance = (square - mean * mean).clamp_min(0);
    const at::Tensor varies = variance.gt(square * 1e-12).logical_and(variance.gt(1e-60));
    mean_ = mean.to(device_);
    scale_ = at::where(varies, variance.clamp_min(1e-60).rsqrt(), at::zeros_like(variance)).to(device_);
}

at::Tensor ImageClassifier::standardized(const RowIds &rows) const {
    return (samples_.images(rows) - mean_).mul_(scale_);  // not in place: they may be the prefetched ones
}

at::Tensor ImageClassifier::scores_of(const Lane &lane, const RowIds &rows) const {
    const c10::NoGradGuard no_grad;
    return Scores{standardized(rows), lane.weight, lane.bias, Precision::float32}.matrix();
}

double ImageClassifier::loss(const RowIds &rows) {
    const auto batch = static_cast<int64_t>(rows.size());
    const std::vector<BatchPart> parts = divide_batch(batch, group_, lanes_.count());
    std::vector<double> losses(parts.size(), 0);
    lanes_.run([&](int lane) {
        const auto i = static_cast<std::size_t>(lane);
        if (i >= parts.size()) return;
        const RowIds part = parts[i].of(rows);
        const Scores scores{standardized(part), per_lane_[i].weight, per_lane_[i].bias, options_.precision};
        const at::Tensor loss = sum_loss(scores, pick_columns(samples_.classes(part))) / static_cast<double>(batch);
        loss.backward();
        losses[i] = loss.item<double>();
    });
    sum_gradients();
    double sum = 0;
    for (double loss : losses) sum += loss;
    const at::Tensor total = at::full({}, sum, at::kDouble);
    group_.sum({total});
    return total.item<double>();
}

// Of all lanes into the first, each lane a part of the parameters.
void ImageClassifier::sum_gradients() {
    lanes_.run([&](int lane) {
        const c10::NoGradGuard no_grad;
        const int64_t size = parameters_.gradients.numel(), begin = share_begin(size, lanes_.count(), lane);
        const int64_t count = share_begin(size, lanes_.count(), lane + 1) - begin;
        for (std::size_t i = 1; i < per_lane_.size(); ++i) {
            at::Tensor part = per_lane_[i].gradients.narrow(0, begin, count);
            parameters_.gradients.narrow(0, begin, count).add_(part);
            part.zero_();
        }
    });
}

SupervisedValidation ImageClassifier::validate(const RowIds &rows) {
    const std::vector<BatchPart> parts = divide_batch(static_cast<int64_t>(rows.size()), group_, lanes_.count());
    std::vector<SupervisedValidation> results(parts.size());
    lanes_.run([&](int lane) {
        const auto i = static_cast<std::size_t>(lane);
        if (i >= parts.size()) return;
        const RowIds part = parts[i].of(rows);
        const at::Tensor scores = scores_of(per_lane_[i], part), classes = samples_.classes(part);
        const at::Tensor own = scores.gather(1, classes.unsqueeze(1)).squeeze(1);
        results[i] = {(scores.logsumexp(1) - own).sum().item<double>(),
                      scores.argmax(1).eq(classes).sum().item<int64_t>()};
    });
    return sum_validation(results, group_);
}

at::Tensor ImageClassifier::scores(const RowIds &rows) const { return scores_of(per_lane_[0], rows).to(at::kCPU); }

TensorMap ImageClassifier::tensors() const {
    const c10::NoGradGuard no_grad;
    const at::Tensor scale = scale_.to(at::kCPU, at::kDouble), mean = mean_.to(at::kCPU, at::kDouble);
    const at::Tensor weight = per_lane_[0].weight.detach().to(at::kCPU, at::kDouble) * scale;
    const at::Tensor bias = per_lane_[0].bias.detach().to(at::kCPU, at::kDouble) - weight.mv(mean);
    return {{"image_class.weight", to_tensor(weight)}, {"image_class.bias", to_tensor(bias)}};
}

void ImageClassifier::save(CheckpointWriter &checkpoint) const {
    checkpoint.add_tensor("image_classifier", parameters_.values);
    checkpoint.add_integer("image_classifier.measured", mean_.defined());
    if (!mean_.defined()) return;
    checkpoint.add_tensor("image_classifier.mean", mean_);
    checkpoint.add_tensor("image_classifier.scale", scale_);
}

void ImageClassifier::load(const CheckpointReader &checkpoint) {
    const c10::NoGradGuard no_grad;
    checkpoint.read_tensor("image_classifier", parameters_.values);
    if (checkpoint.integer("image_classifier.measured", 0, 1) == 0) return;
    mean_ = at::empty({width_}, device_);
    scale_ = at::empty({width_}, device_);
    checkpoint.read_tensor("image_classifier.mean", mean_);
    checkpoint.read_tensor("image_classifier.scale", scale_);
}

}  // namespace csp

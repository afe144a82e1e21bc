// Fitting and measuring on rows held out.
#include "calibration.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>

#include "epoch_sums.h"

namespace csp {
namespace {

constexpr int64_t most_scores = int64_t{1} << 23, most_rows = 20000;
constexpr ClassFigures unknown = {not_applicable, not_applicable, not_applicable};

// As many as have most_scores scores, in their order.
RowIds draw_rows(const RowIds &rows, int classes, int64_t seed) {
    const auto most = static_cast<std::size_t>(std::clamp<int64_t>(
        most_scores / std::max(classes, 1), static_cast<int64_t>(least_calibration_rows), most_rows));
    if (rows.size() <= most) return rows;
    RandomStream random(seed, RandomPurpose::calibration);
    std::vector<int64_t> picked = random.permutation(static_cast<int64_t>(rows.size()));
    picked.resize(most);
    std::sort(picked.begin(), picked.end());
    RowIds drawn;
    for (int64_t index : picked) drawn.push_back(rows[static_cast<std::size_t>(index)]);
    return drawn;
}

at::Tensor scaled(const at::Tensor &logarithms) { return logarithms - logarithms.logsumexp(1, true); }

at::Tensor fused(const at::Tensor &log_image, const at::Tensor &log_place, double strength) {
    return scaled(log_image + strength * log_place);
}

double squared(double x) { return x * x; }

}  // namespace

at::Tensor ClassScores::log_probabilities(double temperature) const {
    const at::Tensor divided = scores / temperature;
    return scaled(head == ClassHead::softmax ? divided : at::log_sigmoid(divided));
}

Calibration::Calibration(const TrainingOptions &options, const ModelConfig &config, const Samples &samples,
                         const Network &network, const ImageClassifier *images, const RowIds &held_out)
    : samples_(samples), network_(network), images_(images), rows_(draw_rows(held_out, config.class_count, options.seed)),
      fits_(options.calibration && rows_.size() >= least_calibration_rows), place_temperature_(config.place_temperature),
      image_temperature_(config.image_temperature), prior_strength_(config.prior_strength) {
    place_.head = config.class_head;
    metrics_.measured = true;
    metrics_.place = metrics_.image = metrics_.fused = unknown;
    if (rows_.empty()) phase_ = Phase::done;
}

bool Calibration::step() {
    const c10::NoGradGuard no_grad;
    if (phase_ == Phase::done) return false;
    if (phase_ == Phase::scoring)
        score_some();
    else if (phase_ == Phase::figures)
        measure();
    else if (search_->done())
        next_phase();
    else
        search_->give(try_value(search_->point()));
    return true;
}

void Calibration::score_some() {
    const int64_t columns = std::max<int64_t>(1, place_parts_.empty() ? 1 : place_parts_.front().size(1));
    const auto at_once = static_cast<std::size_t>(std::clamp<int64_t>((int64_t{1} << 21) / columns, 16, 256));
    const auto begin = rows_.begin() + static_cast<std::ptrdiff_t>(scored_);
    const std::size_t count = std::min(at_once, rows_.size() - scored_);
    const RowIds part(begin, begin + static_cast<std::ptrdiff_t>(count));
    const at::Tensor embeddings = network_.embed(samples_.position_features(part), nullptr);
    place_parts_.push_back(network_.class_scores(embeddings).matrix().to(at::kCPU, at::kFloat));
    if (images_) image_parts_.push_back(images_->scores(part).to(at::kFloat));
    scored_ += count;
    if (scored_ < rows_.size()) return;
    place_.scores = at::cat(place_parts_);
    if (images_) image_.scores = at::cat(image_parts_);
    place_parts_.clear();
    image_parts_.clear();
    classes_ = samples_.classes(rows_).to(at::kCPU);
    start(fits_ ? Phase::place : Phase::figures);
}

void Calibration::start(Phase phase) {
    phase_ = phase;
    search_.reset();
    constexpr double tolerance = 1e-3;
    if (phase == Phase::place || phase == Phase::image)
        search_ = std::make_unique<GoldenSection>(std::log(0.01), std::log(100.0), tolerance);
    if (phase != Phase::strength) return;
    search_ = std::make_unique<GoldenSection>(0, 10, tolerance);
    log_place_ = place_.log_probabilities(place_temperature_);
    log_image_ = image_.log_probabilities(image_temperature_);
}

// Takes over what the search of this phase has found, if it is better than 1.
void Calibration::next_phase() {
    const bool logarithmic = phase_ != Phase::strength;
    const double found = search_->best(), plain = logarithmic ? 0 : 1;
    const double point = try_value(found) < try_value(plain) ? found : plain;
    const double value = logarithmic ? std::exp(point) : point;
    if (phase_ == Phase::place) {
        place_temperature_ = value;
        start(images_ ? Phase::image : Phase::figures);
    } else if (phase_ == Phase::image) {
        image_temperature_ = value;
        start(Phase::strength);
    } else {
        prior_strength_ = value;
        start(Phase::figures);
    }
}

double Calibration::log_loss(const at::Tensor &log_probabilities) const {
    return -log_probabilities.gather(1, classes_.unsqueeze(1)).to(at::kDouble).mean().item<double>();
}

// What a phase minimizes: log-loss and preference, at the logarithm of a temperature or at a strength.
double Calibration::try_value(double point) const {
    const double rows = static_cast<double>(rows_.size());
    if (phase_ == Phase::strength)
        return log_loss(fused(log_image_, log_place_, point)) + squared(point - 1) / (2 * rows);
    const ClassScores &scores = phase_ == Phase::place ? place_ : image_;
    return log_loss(scores.log_probabilities(std::exp(point))) + squared(point) / (2 * rows);
}

ClassFigures Calibration::figures(const at::Tensor &calibrated, const at::Tensor &plain) const {
    const double hits = calibrated.argmax(1).eq(classes_).to(at::kDouble).mean().item<double>();
    return {hits, log_loss(calibrated), log_loss(plain)};
}

void Calibration::measure() {
    metrics_.rows = static_cast<int64_t>(rows_.size());
    metrics_.calibrated = fits_;
    const at::Tensor place = place_.log_probabilities(place_temperature_), plain_place = place_.log_probabilities(1);
    metrics_.place = figures(place, plain_place);
    if (images_) {
        const at::Tensor image = image_.log_probabilities(image_temperature_), plain_image = image_.log_probabilities(1);
        metrics_.image = figures(image, plain_image);
        metrics_.fused = figures(fused(image, place, prior_strength_), fused(plain_image, plain_place, 1));
    }
    place_ = image_ = {};
    log_place_ = log_image_ = at::Tensor();
    phase_ = Phase::done;
}

void Calibration::apply(ModelConfig &config) const {
    config.place_temperature = place_temperature_;
    config.image_temperature = image_temperature_;
    config.prior_strength = prior_strength_;
}

}  // namespace csp

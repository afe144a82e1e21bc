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

double squared(double x) { return x * x; }

}  // namespace

at::Tensor ClassScores::log_probabilities(double temperature) const {
    const at::Tensor divided = scores / temperature;
    return normalized(head == ClassHead::softmax ? divided : at::log_sigmoid(divided));
}

Calibration::Calibration(const TrainingOptions &options, const ModelConfig &config, const Samples &samples,
                         const Network &network, const ImageClassifier *images, const RowIds &held_out)
    : samples_(samples), network_(network), images_(images), rows_(draw_rows(held_out, config.class_count, options.seed)),
      fits_(options.calibration && rows_.size() >= least_calibration_rows), place_temperature_(config.place_temperature),
      image_temperature_(config.image_temperature),
      exponents_{1 / config.fusion_temperature, config.prior_strength / config.fusion_temperature} {
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
    else if (phase_ == Phase::pooling)
        search_exponents();
    else
        search_temperature();
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
    if (phase == Phase::place || phase == Phase::image)
        temperature_search_ = std::make_unique<GoldenSection>(std::log(0.01), std::log(100.0), 1e-3);
    else if (phase == Phase::pooling)
        exponent_search_ = std::make_unique<PoolingSearch>(image_.log_probabilities(image_temperature_),
                                                           place_.log_probabilities(place_temperature_), classes_);
}

// Tries a temperature, or takes over what was found, if it is better than 1.
void Calibration::search_temperature() {
    GoldenSection &search = *temperature_search_;
    if (!search.done()) return search.give(try_temperature(search.point()));
    const double value = try_temperature(search.best()) < try_temperature(0) ? std::exp(search.best()) : 1;
    if (phase_ == Phase::place) {
        place_temperature_ = value;
        start(images_ ? Phase::image : Phase::figures);
    } else {
        image_temperature_ = value;
        start(Phase::pooling);
    }
}

void Calibration::search_exponents() {
    if (!exponent_search_->done()) return exponent_search_->step();
    exponents_ = exponent_search_->exponents();
    start(Phase::figures);
}

// Log-loss and preference at the logarithm of a temperature.
double Calibration::try_temperature(double logarithm) const {
    const ClassScores &scores = phase_ == Phase::place ? place_ : image_;
    return log_loss(scores.log_probabilities(std::exp(logarithm)), classes_) +
           squared(logarithm) / (2 * static_cast<double>(rows_.size()));
}

ClassFigures Calibration::figures(const at::Tensor &calibrated, const at::Tensor &plain) const {
    const double hits = calibrated.argmax(1).eq(classes_).to(at::kDouble).mean().item<double>();
    return {hits, log_loss(calibrated, classes_), log_loss(plain, classes_)};
}

void Calibration::measure() {
    metrics_.rows = static_cast<int64_t>(rows_.size());
    metrics_.calibrated = fits_;
    const at::Tensor place = place_.log_probabilities(place_temperature_), plain_place = place_.log_probabilities(1);
    metrics_.place = figures(place, plain_place);
    if (images_) {
        const at::Tensor image = image_.log_probabilities(image_temperature_), plain_image = image_.log_probabilities(1);
        metrics_.image = figures(image, plain_image);
        metrics_.fused = figures(pooled(image, place, exponents_), pooled(plain_image, plain_place, {1, 1}));
    }
    place_ = image_ = {};
    exponent_search_.reset();
    phase_ = Phase::done;
}

void Calibration::apply(ModelConfig &config) const {
    config.place_temperature = place_temperature_;
    config.image_temperature = image_temperature_;
    if (!fits_ || !images_) return;
    config.prior_strength = exponents_[1] / exponents_[0];
    config.fusion_temperature = 1 / exponents_[0];
}

}  // namespace csp

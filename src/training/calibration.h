// What rows that were held out say of a finished model's probabilities: figures of place, image and both, and the
// temperatures and the prior strength that suit them best.
//
// A temperature is the one scalar that makes probabilities honest without changing which class is first (Guo et al., 2017);
// the prior strength makes up for what place and image tell twice. Each is fitted by itself, the temperatures first, to the
// lowest log-loss, with a weak preference for 1 (of a normal distribution of standard deviation 1, of the temperatures'
// logarithms): a few rows that are all right cannot make a model certain.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "golden_section.h"
#include "image_classifier.h"
#include "network.h"
#include "samples.h"
#include "trainer.h"

namespace csp {

// Fewer labelled rows than this fit nothing.
constexpr std::size_t least_calibration_rows = 20;

// Scores of rows (n, C) on the host, which become logarithms of probabilities that add up to 1.
struct ClassScores {
    at::Tensor scores;  // undefined: there are none
    ClassHead head = ClassHead::softmax;

    at::Tensor log_probabilities(double temperature) const;
};

class Calibration {
public:
    // images: null without an image classifier. held_out: labelled rows, of which as many are drawn as their scores take
    // some 32 MB. All references must outlive this object.
    Calibration(const TrainingOptions &options, const ModelConfig &config, const Samples &samples,
                const Network &network, const ImageClassifier *images, const RowIds &held_out);

    // Scores a few rows or tries one value; false, without any work, once all is done.
    bool step();

    // Gives a model what was fitted, if it was.
    void apply(ModelConfig &config) const;

    const FusionMetrics &metrics() const { return metrics_; }

private:
    enum class Phase { scoring, place, image, strength, figures, done };

    void score_some();
    void start(Phase phase);
    void next_phase();
    double log_loss(const at::Tensor &log_probabilities) const;
    double try_value(double point) const;
    ClassFigures figures(const at::Tensor &calibrated, const at::Tensor &plain) const;
    void measure();

    const Samples &samples_;
    const Network &network_;
    const ImageClassifier *images_;
    RowIds rows_;
    bool fits_;
    double place_temperature_, image_temperature_, prior_strength_;
    Phase phase_ = Phase::scoring;
    std::size_t scored_ = 0;
    ClassScores place_, image_;
    std::vector<at::Tensor> place_parts_, image_parts_;
    at::Tensor classes_;
    at::Tensor log_place_, log_image_;  // with the temperatures of the model, for the strength
    std::unique_ptr<GoldenSection> search_;
    FusionMetrics metrics_;
};

}  // namespace csp

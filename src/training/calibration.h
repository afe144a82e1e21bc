// What rows that were held out say of a finished model's probabilities: figures of place, image and both, and the
// temperatures and exponents that suit them best.
//
// A temperature is the one scalar that makes probabilities honest without changing which class is first (Guo et al., 2017).
// Place and image have one each, fitted by itself. Then the exponents of both in what they say together are fitted jointly
// (log-linear pooling), which makes up for what they tell twice. All to the lowest log-loss, with a weak preference: a few
// rows that are all right cannot make a model certain. It is for a temperature of 1 (a normal distribution of standard
// deviation 1 of its logarithm), and of the exponents for the better of both alone: pooling is never worse than that.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "golden_section.h"
#include "image_classifier.h"
#include "network.h"
#include "pooling_search.h"
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
    enum class Phase { scoring, place, image, pooling, figures, done };

    void score_some();
    void start(Phase phase);
    void search_temperature();
    void search_exponents();
    double try_temperature(double logarithm) const;
    ClassFigures figures(const at::Tensor &calibrated, const at::Tensor &plain) const;
    void measure();

    const Samples &samples_;
    const Network &network_;
    const ImageClassifier *images_;
    RowIds rows_;
    bool fits_;
    double place_temperature_, image_temperature_;
    Pair exponents_;  // of image and place, where they meet
    Phase phase_ = Phase::scoring;
    std::size_t scored_ = 0;
    ClassScores place_, image_;
    std::vector<at::Tensor> place_parts_, image_parts_;
    at::Tensor classes_;
    std::unique_ptr<GoldenSection> temperature_search_;
    std::unique_ptr<PoolingSearch> exponent_search_;
    FusionMetrics metrics_;
};

}  // namespace csp

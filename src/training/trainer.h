// Front header of the training room: plain C++ types, no torch.
//
// csp_train.so exports one C symbol, csp_training_library(), that gives a table of
// functions; nothing else of it is linked by name.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "../encoder/config.h"
#include "../encoder/tensors.h"
#include "feature_store.h"
#include "options.h"

namespace csp {

// The rows of a run, borrowed but for the features: they must outlive the Trainer.
struct TrainingData {
    std::size_t rows = 0;
    const double *lonlat = nullptr;   // rows x 2, degrees
    std::shared_ptr<const FeatureStore> features;  // rows x image_dim; null: supervised stage only
    int image_dim = 0;
    const int32_t *classes = nullptr;  // rows; -1: no label; null: pre-training only
    int class_count = 0;
    const float *dates = nullptr;      // rows; part of the year that has passed, 0 to 1; null: without dates
    const int32_t *users = nullptr;  // rows; who observed it, -1: nobody known; null: no users
    int user_count = 0;
    const uint8_t *validation = nullptr;  // rows; 1: held out of training; null: none are
    const TensorMap *initial = nullptr;   // tensors of a model to go on from, by the names of
                                          // encoder/model.h; null: start anew
    const std::vector<std::string> *labels = nullptr;  // names of the classes: a checkpoint goes with them
    bool keep_position_features = true;  // see KeptInMemory
};

enum class Stage { pretraining, supervised, image_classifier };
inline const char *to_string(Stage stage) {
    constexpr const char *names[] = {"pretraining", "supervised", "image_classifier"};
    return names[static_cast<int>(stage)];
}

// The figures of one finished epoch. NaN where a figure does not apply.
struct EpochMetrics {
    Stage stage = Stage::pretraining;
    int epoch = 0;  // from 1
    double learning_rate = 0;  // of its last batch
    double loss = 0;           // mean over the epoch's batches
    double loss_in_batch = 0;  // the three terms of pre-training, unweighted
    double loss_negative = 0;
    double loss_dropout = 0;
    // Pre-training: the in-batch term of up to one batch of validation rows. Later stages: the
    // loss of the true class, cross-entropy or -ln(P + 1e-5), averaged over validation rows.
    double validation_loss = 0;
    double validation_top1 = 0;  // of later stages: share of validation rows ranked first
    double seconds = 0;
};

struct Progress {
    Stage stage = Stage::pretraining;
    int epoch = 0, epochs = 0;       // of the stage; epoch counts from 1
    int64_t batch = 0, batches = 0;  // of the epoch
    double loss = 0;                 // of the last batch
    double rows_per_second = 0;
    double seconds_left = 0;  // of the whole run at the pace of this stage so far; NaN before there is any
    bool epoch_finished = false;  // then metrics is set
    EpochMetrics metrics;
};

// What a place, an image or both tell of the classes of rows that were held out. NaN where there is none.
struct ClassFigures {
    double top1, log_loss;        // log_loss: mean of -ln P(y), P scaled to add up to 1
    double log_loss_uncalibrated;  // with temperatures and prior strength of 1
};

struct FusionMetrics {
    bool measured = false;    // false: the run has neither an image classifier nor calibration
    int64_t rows = 0;         // labelled and held out: all, or a draw of them
    bool calibrated = false;  // temperatures and prior strength were fitted to them
    ClassFigures place{}, image{}, fused{};
};

struct TrainedModel {
    ModelConfig config;    // with fitted temperatures and prior strength
    TensorMap tensors;     // by the names of encoder/model.h
    EpochMetrics metrics;  // of the epoch whose weights are those of the location encoder
    FusionMetrics fusion;
};

// A run of all its stages, driven in slices so that the caller can answer interrupts between
// them. Not thread-safe; all functions throw csp::Error only.
class Trainer {
public:
    virtual ~Trainer() = default;

    // Trains for about `seconds`, at least one batch, and returns early at the end of an
    // epoch, with its metrics. False, without any work, once all stages are finished and, where there
    // is something to fit or to measure on rows held out, that is done: the call after. Throws
    // Error(invalid_parameter) if the loss is no longer finite. A run does not depend on how
    // it is cut into slices.
    virtual bool advance(double seconds, Progress &progress) = 0;

    // The model as it stands; meaningful after advance() returned false. image_dim is 0 if
    // nothing trained the image side, class_count if nothing trained the class head; then the
    // model has no labels.
    virtual TrainedModel finish() = 0;

    // The run as it stands between two calls of advance(), as bytes: a trainer that is made from
    // them, with the same options and data, goes on to the same model, to the bit.
    virtual std::string checkpoint() const = 0;

    // "cpu", "cuda:0", ...
    virtual std::string device() const = 0;
};

// One of several processes that train one model together (option workers). Each drives a Trainer of its own through the
// same slices of work; the first gives its rows and its checkpoint to the others.
struct GroupMember {
    int rank = 0, size = 1;
    std::string meeting_point;  // path of a file that does not exist before they meet by it; only they may write there
    // Called several times a second while this process waits for others; throws csp::Error to give up, after which the
    // Trainer stands where it stood before its last step. With a text if the connection broke: then it has to throw.
    std::function<void(const char *broken)> watch;
};

struct TrainingLibrary {
    int version;  // training_library_version when both were compiled together
    // Validates data against options; throws Error(invalid_data) for fewer rows than a run
    // needs or one class only. checkpoint: of a trainer to go on from; empty: start anew. Throws
    // Error(data_corrupted) for bytes that are no checkpoint or one of a run with other options,
    // Error(invalid_data) if the rows are others. Of a member but the first, data and checkpoint are ignored.
    std::unique_ptr<Trainer> (*make_trainer)(const TrainingOptions &options, const TrainingData &data,
                                             const std::string &checkpoint, const GroupMember &member);
    // Versions of LibTorch and BLAS, number of CUDA devices; and, if BLAS is the slow
    // reference one, a sentence that says so.
    std::string (*torch_version)();
    std::string (*blas_name)();
    std::string (*blas_warning)();
    int (*cuda_devices)();
};

constexpr int training_library_version = 8;

}  // namespace csp

extern "C" const csp::TrainingLibrary *csp_training_library();

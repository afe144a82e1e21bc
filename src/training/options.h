// Every hyperparameter of a training run: one table of names, ranges and defaults.
//
// Free of torch and of PostgreSQL: csp_ext.so checks a user's options with it before any
// work begins, csp_train.so trains by it.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "../encoder/config.h"
#include "spatial_blocks.h"

namespace csp {

// What stage 1 asks of places and images: softmax over a batch (mc; mc_symmetric both ways),
// a sigmoid for each pair (nce), or images predicted from places (l2_regression).
enum class Objective { mc, mc_symmetric, nce, l2_regression };

// Where random locations come from: uniform by area on the sphere (area), in degrees (uniform),
// a training row's location (observed), or one of two published samplers that leave parts of
// the globe out (see negatives.h).
enum class NegativeSampler { area, uniform, spherical, sphericalold, observed };

// Of matrix products; everything else is float32.
enum class Precision { float32, bfloat16 };

// How image features are kept, in memory or on file; computed with is float32.
enum class FeatureStorage { float32, float16, bfloat16 };

// The order of an epoch's rows: wholly random, or random within windows of blocks of neighbouring rows (see
// ShuffleWindows), so that a file larger than the machine's memory is read in long pieces. automatic: windows
// from windows_from bytes of features on. A matter of options and rows alone, not of where features are kept: so
// the model is not either.
enum class Shuffle { automatic, full, windows };
constexpr int64_t windows_from = int64_t{8} << 30;

enum class SupervisedLoss { full_loss, cross_entropy, full_loss_user };

// How the learning rate goes on from epoch to epoch of a stage: not at all, by the factor
// learning_rate_decay an epoch (as published), or along half a cosine down to zero. A warm-up
// multiplies it by a factor that rises to 1 batch by batch.
enum class Schedule { constant, exponential, cosine };

struct TrainingOptions {
    TrainingOptions();  // the default architecture; the other defaults stand below

    ModelConfig model;  // architecture; image_dim and class_count come from the data

    // Stage 1, contrastive pre-training (Mai et al., ICML 2023).
    Objective objective = Objective::mc;  // [unsuper_loss]
    int pretrain_epochs = 40;
    double pretrain_learning_rate = 2e-3;
    Schedule pretrain_schedule = Schedule::cosine;
    double pretrain_warmup = 0;  // share of the stage's batches
    double temperature_in_batch = 0.5;  // [unsuper_temp_inbatch]
    double temperature_negative = 0.5;  // [unsuper_temp_negloc]
    double temperature_dropout = 0.5;   // [unsuper_temp_simcse]
    double weight_in_batch = 1.0;
    double weight_negative = 1.0;  // [rand_sample_weight]
    double weight_dropout = 0.1;   // [simcse_weight]
    int negatives = 1;             // random locations a sample [num_neg_rand_loc]
    NegativeSampler negative_sampler = NegativeSampler::area;  // [neg_rand_type]
    bool learn_temperature = false;  // that of mc's in-batch term, from temperature_in_batch on

    // Stage 2, supervised.
    int epochs = 20;
    int min_steps = 600;  // more epochs are run where these are fewer batches
    int fine_tune_batch_size = 128;
    double learning_rate = 1e-3;
    double encoder_learning_rate = 0.3;  // of everything but the class head, as a factor
    Schedule schedule = Schedule::cosine;
    double warmup = 0;               // share of the stage's batches
    SupervisedLoss loss = SupervisedLoss::cross_entropy;
    double label_smoothing = 0.1;    // of cross_entropy
    double weight_background = 1.0;  // of random locations in full_loss
    double positive_weight = 0;      // of the true class in full_loss; 0: the number of classes
    double weight_contrastive = 0;   // of the objective of stage 1, kept up during stage 2

    // The image classifier, P(y | I), which learns after both stages by the labels of stage 2.
    bool image_classifier = false;
    int image_epochs = 0;  // 0: 20, or as many as make 600 batches
    double image_learning_rate = 1e-2;
    double image_weight_decay = 1e-2;
    bool calibration = false;  // fit temperatures and prior strength to the rows held out

    // Both stages.
    std::string from_model;  // name@version of a model that the run goes on from; or empty
    int batch_size = 512;
    int max_rows_per_class = 0;    // an epoch; 0: all [max_num_exs_per_class]
    bool balance_classes = false;  // every class gives as many rows an epoch
    double label_ratio = 1;        // share of the labels that stage 2 sees [train_sample_ratio]
    std::string observer;          // column of the source that names who observed a row; or empty
    std::string observed_at;       // column of the source that tells when; or empty
    double learning_rate_decay = 0.98;  // of the exponential schedule [lr_decay]
    double weight_decay = 0;
    double validation_fraction = 0.1;
    double validation_block_size = 0;  // of blocks that are held out as a whole: degrees or km; 0: single places are
    BlockShape validation_block_shape = BlockShape::square;
    int patience = 0;        // epochs without a lower validation loss that end a stage; 0: none do
    bool keep_best = false;  // end a stage with the weights of the epoch of lowest validation loss
    double checkpoint_seconds = 180;  // between two checkpoints, which the caller of the trainer takes; 0: none
    int64_t seed = 0;
    std::string device = "auto";  // auto, cpu, cuda, cuda:N
    bool deterministic = false;   // the same bits every time, on CUDA too
    int threads = 1;              // of LibTorch and BLAS
    int workers = 1;              // processes that share the batches of the run
    Precision precision = Precision::float32;
    FeatureStorage feature_storage = FeatureStorage::float32;
    Shuffle shuffle = Shuffle::automatic;
    bool deploy = true;  // what comes of the run: a matter of the caller of the trainer
};

const char *to_string(Objective value);
const char *to_string(NegativeSampler value);
const char *to_string(Precision value);
const char *to_string(FeatureStorage value);
const char *to_string(Shuffle value);
const char *to_string(SupervisedLoss value);
const char *to_string(Schedule value);

// One option as SQL shows it (csp_options()).
struct OptionDescription {
    std::string name;
    std::string published_name;  // of the CSP or TorchSpatial code, accepted too; may be empty
    std::string type;            // integer, number, boolean, text
    std::string default_value;
    std::string range;  // "1 to 1000000", or the list of allowed words
    std::string description;
};

std::vector<OptionDescription> describe_options();

// One option by its name or a published name. Throws Error(undefined_object) as set_option.
OptionDescription describe_option(const std::string &name);

// The kinds of a JSON scalar, as far as options go.
enum class OptionKind { number, boolean, text, other };

// Sets one option by its name or published name from the text of a JSON scalar (a text
// without its quotes). Throws Error(undefined_object) for an unknown name, with all names in
// the detail and the nearest in the hint, and Error(invalid_parameter) for a wrong kind or a
// value out of range.
void set_option(TrainingOptions &options, const std::string &name, OptionKind kind, const std::string &value);

// Sets several options, in whatever order they come: position_encoding is set first, since
// it brings default radii of its own, then objective, whose published words for NCE leave
// terms out, and epochs, since whoever gives a number of epochs wants that many (min_steps
// becomes 0). Errors as set_option.
struct OptionValue {
    std::string name;
    OptionKind kind;
    std::string text;
};
void set_options(TrainingOptions &options, const std::vector<OptionValue> &values);

// Checks what no single option shows (see csp::validate for the architecture).
void validate(const TrainingOptions &options);

// Name and JSON text of every option, in the table's order: the provenance of a model.
std::vector<std::pair<std::string, std::string>> list_options(const TrainingOptions &options);

// Bytes that a feature takes where it is kept.
std::size_t feature_size(FeatureStorage storage);

// Whether an epoch's rows come in windows.
bool shuffles_in_windows(const TrainingOptions &options, int64_t rows, int image_dim);

// Position features of the training rows are kept in memory up to this size and computed
// batch by batch beyond it.
constexpr int64_t position_cache_limit = int64_t{256} << 20;

// What of a run is in memory from the start to the end.
struct KeptInMemory {
    bool image_features = true;
    bool position_features = true;  // where they are no larger than position_cache_limit
};

// Bytes that a run needs for these rows: data, network, optimizer state and the largest
// step. An estimate, on the high side; what LibTorch itself takes when it is loaded (about
// 150 MB) is not part of it.
int64_t estimate_memory(const TrainingOptions &options, int64_t rows, int image_dim, int class_count,
                        int user_count = 0, const KeptInMemory &kept = {});

}  // namespace csp

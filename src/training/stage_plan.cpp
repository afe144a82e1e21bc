// What each stage of a run goes through.
#include "stage_plan.h"

#include <algorithm>
#include <set>
#include <string>

#include "../encoder/error.h"

namespace csp {
namespace {

bool trains_contrastively(const TrainingOptions &options, const TrainingData &data) {
    return data.features && (options.pretrain_epochs > 0 || (options.weight_contrastive > 0 && options.epochs > 0));
}

bool trains_classes(const TrainingOptions &options, const TrainingData &data) {
    return data.classes && options.epochs > 0;
}

bool trains_users(const TrainingOptions &options, const TrainingData &data) {
    return trains_classes(options, data) && options.loss == SupervisedLoss::full_loss_user;
}

bool trains_image_classifier(const TrainingOptions &options, const TrainingData &data) {
    return options.image_classifier && trains_classes(options, data) && data.features;
}

bool initial_has(const TrainingData &data, const char *tensor) {
    return data.initial && data.initial->count(tensor) > 0;
}

// Of the run's features; without any, of the image side of the model that it goes on from.
int image_dim(const TrainingData &data) {
    if (data.features) return data.image_dim;
    if (initial_has(data, "img_dec.weight")) return static_cast<int>(data.initial->at("img_dec.weight").shape.at(1));
    if (initial_has(data, "loc_dec.weight")) return static_cast<int>(data.initial->at("loc_dec.weight").shape.at(0));
    return 0;
}

void require_users(const TrainingData &data) {
    if (data.users && data.user_count > 0) return;
    throw Error(ErrorKind::invalid_parameter, "loss full_loss_user needs the observers of the rows", {},
                "Name the column that tells them with the option observer, or set loss to full_loss.");
}

// A run that does not train the image side keeps the initial model's.
ImageSide image_side(const TrainingOptions &options, const TrainingData &data) {
    const bool decoder = trains_contrastively(options, data) ? options.objective == Objective::l2_regression
                                                             : initial_has(data, "loc_dec.weight");
    return decoder ? ImageSide::location_decoder : ImageSide::image_projection;
}

void require_images_and_classes(const TrainingData &data) {
    if (data.features && data.classes) return;
    throw Error(ErrorKind::invalid_parameter, "an image classifier needs image features and labels", {},
                "Name a column of features and one of labels, or leave the option image_classifier out.");
}

}  // namespace

ModelConfig complete_config(const TrainingOptions &options, const TrainingData &data) {
    ModelConfig config = options.model;
    const bool images = trains_contrastively(options, data) || initial_has(data, "img_dec.weight") ||
                        initial_has(data, "loc_dec.weight");
    const bool classes = trains_classes(options, data) || initial_has(data, "class_emb.weight");
    if (trains_users(options, data)) require_users(data);
    if (options.image_classifier) require_images_and_classes(data);
    config.image_classifier = trains_image_classifier(options, data);
    config.image_dim = images || config.image_classifier ? image_dim(data) : 0;
    config.image_side = images || !config.image_classifier ? image_side(options, data) : ImageSide::none;
    config.class_count = classes ? data.class_count : 0;
    config.user_count = trains_users(options, data) ? data.user_count : 0;
    config.class_head = options.loss == SupervisedLoss::cross_entropy ? ClassHead::softmax : ClassHead::sigmoid;
    config.dates = data.dates != nullptr;
    validate(config);
    return config;
}

namespace {

void require_rows(const StagePlan &plan, const char *what) {
    if (plan.training.size() >= 2) return;
    throw Error(ErrorKind::invalid_data, std::string("too few rows for ") + what,
                "There are " + std::to_string(plan.training.size()) + " to train on and " +
                    std::to_string(plan.validation.size()) + " held out for validation; training needs at least 2.",
                "Give more rows, or lower validation_fraction.");
}

// Blocks are as long as a disk likes to read, windows such that two fit into the machine's memory whatever it is, and
// hold so many batches that a row meets ever other ones.
ShuffleWindows shuffle_windows(const TrainingOptions &options, const TrainingData &data) {
    constexpr std::size_t block_bytes = 256 << 10, window_bytes = std::size_t{128} << 20, window_batches = 16;
    if (!shuffles_in_windows(options, static_cast<int64_t>(data.rows), data.image_dim)) return {};
    const std::size_t row_bytes = static_cast<std::size_t>(data.image_dim) * feature_size(options.feature_storage);
    const auto batch = static_cast<std::size_t>(options.batch_size);
    return {std::max<std::size_t>(1, block_bytes / row_bytes),
            std::max(window_batches * batch, window_bytes / row_bytes)};
}

std::size_t count_rows(const TrainingData &data, bool held_out) {
    const auto n = data.validation ? static_cast<std::size_t>(std::count(data.validation, data.validation + data.rows, 1)) : 0;
    return held_out ? n : data.rows - n;
}

StagePlan plan_pretraining(const TrainingOptions &options, const TrainingData &data) {
    StagePlan plan{
        Stage::pretraining,       {}, {}, 0, options.batch_size, options.pretrain_epochs, options.pretrain_learning_rate,
        options.pretrain_schedule, options.pretrain_warmup, shuffle_windows(options, data)};
    plan.training.reserve(count_rows(data, false));
    plan.validation.reserve(count_rows(data, true));
    for (std::size_t i = 0; i < data.rows; ++i) {
        const bool held_out = data.validation && data.validation[i];
        (held_out ? plan.validation : plan.training).push_back(static_cast<int64_t>(i));
    }
    require_rows(plan, "pre-training");
    plan.epoch_rows = RowSampler(options, plan.training, data.classes).size();
    if (plan.epoch_rows < 2) {
        throw Error(ErrorKind::invalid_parameter, "an epoch of pre-training has a single row",
                    "All rows have the same label, of which max_rows_per_class takes one.",
                    "Raise max_rows_per_class, or set it to 0.");
    }
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

// More epochs where these have fewer batches than `least`.
int enough_epochs(const StagePlan &plan, int epochs, int64_t least) {
    const int64_t batches = Epoch::batches(plan.epoch_rows, plan.batch_size);
    return static_cast<int>(std::max<int64_t>(epochs, (least + batches - 1) / batches));
}

void choose_labelled_rows(StagePlan &plan, const TrainingOptions &options, const TrainingData &data) {
    for (std::size_t i = 0; i < data.rows; ++i) {
        if (data.classes[i] < 0) continue;
        const bool held_out = data.validation && data.validation[i];
        (held_out ? plan.validation : plan.training).push_back(static_cast<int64_t>(i));
    }
    RandomStream random(options.seed, RandomPurpose::labels);
    plan.training = stratified_subset(plan.training, data.classes, options.label_ratio, random);
    require_rows(plan, "supervised training: rows with a label");
    require_two_classes(plan, data);
    plan.epoch_rows = RowSampler(options, plan.training, data.classes).size();
}

StagePlan plan_supervised(const TrainingOptions &options, const TrainingData &data) {
    StagePlan plan{Stage::supervised, {}, {}, 0, options.fine_tune_batch_size, options.epochs, options.learning_rate,
                   options.schedule, options.warmup, {}};  // looks at no features
    choose_labelled_rows(plan, options, data);
    plan.epochs = enough_epochs(plan, options.epochs, options.min_steps);
    return plan;
}

StagePlan plan_image_classifier(const TrainingOptions &options, const TrainingData &data) {
    constexpr int usual_epochs = 20, least_batches = 600;
    StagePlan plan{Stage::image_classifier, {}, {}, 0, options.fine_tune_batch_size, options.image_epochs,
                   options.image_learning_rate, Schedule::cosine, 0, shuffle_windows(options, data)};
    choose_labelled_rows(plan, options, data);
    if (plan.epochs == 0) plan.epochs = enough_epochs(plan, usual_epochs, least_batches);
    return plan;
}

}  // namespace

std::vector<StagePlan> plan_stages(const TrainingOptions &options, const TrainingData &data) {
    std::vector<StagePlan> plans;
    if (data.features && options.pretrain_epochs > 0) plans.push_back(plan_pretraining(options, data));
    if (trains_classes(options, data)) plans.push_back(plan_supervised(options, data));
    if (trains_image_classifier(options, data)) plans.push_back(plan_image_classifier(options, data));
    if (plans.empty()) {
        throw Error(ErrorKind::invalid_parameter, "nothing to train",
                    "Pre-training needs features and pretrain_epochs above 0; supervised training needs labels and "
                    "epochs above 0.",
                    "Name a column of features or of labels.");
    }
    return plans;
}

}  // namespace csp

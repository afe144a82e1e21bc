// Rows into batches, batches through the model, outcomes into sums.
#include "evaluation.h"

#include <algorithm>
#include <limits>

namespace csp {
namespace {

// A batch ends a slice of work between two looks at interrupts: so many multiplications, and so much memory.
constexpr double most_multiplications = 2e9;
constexpr std::size_t most_floats = std::size_t{1} << 20;

std::size_t batch_size_of(const Model &model) {
    const ModelConfig &config = model.config();
    const auto widest = static_cast<std::size_t>(std::max({config.class_count, config.image_dim, config.embedding_dim, 1}));
    const double of_row = static_cast<double>(model.memory()) / sizeof(float);
    const auto by_time = static_cast<std::size_t>(most_multiplications / of_row);
    return std::clamp<std::size_t>(std::min(by_time, most_floats / widest), 16, 1024);
}

Figure count_of(const char *metric, int64_t value) {
    constexpr double none = std::numeric_limits<double>::quiet_NaN();
    return {metric, "source", std::nullopt, static_cast<double>(value), none, none, value};
}

// Batches are evaluated rows later than an error in them arose.
template <typename Body>
void about_row(int64_t number, Body body) {
    try {
        body();
    } catch (const Error &error) {
        throw Error(error.kind(), error.message(), error.detail() + (error.detail().empty() ? "" : " ") + "Row " +
                    std::to_string(number) + " of the source.", error.hint());
    }
}

}  // namespace

Evaluation::Evaluation(const Model &model, const EvaluationOptions &options, const EvaluationInputs &inputs, const Check &check)
    : model_(model),
      options_(options),
      inputs_(inputs),
      check_(check),
      classify_image_(inputs.features && !inputs.image_probabilities && model.config().image_classifier),
      classes_(static_cast<std::size_t>(model.config().class_count)),
      batch_size_(batch_size_of(model)),
      places_(options) {
    require_sense();
    const int classes = model.config().class_count;
    if (inputs.label) {
        location_.emplace(options, classes);
        if (inputs.image_probabilities || classify_image_) {
            image_.emplace(options, classes);
            fused_.emplace(options, classes);
        }
    }
    if (inputs.features && options.retrieval_rows > 0) retrieval_.emplace(model, options);
}

void Evaluation::require_sense() const {
    const ModelConfig &config = model_.config();
    if (inputs_.image_probabilities && !inputs_.label)
        throw Error(ErrorKind::invalid_parameter, "image_probabilities are of no use without a label", {},
                    "Name the column of true labels with the argument label.");
    if (!options_.gallery.empty() && (!inputs_.features || options_.retrieval_rows == 0))
        throw Error(ErrorKind::invalid_parameter, "a gallery is of no use without images to look up in it", {},
                    "Name the column of image features with the argument features, and leave retrieval_rows above 0.");
    if (!inputs_.label && (!inputs_.features || options_.retrieval_rows == 0))
        throw Error(ErrorKind::invalid_parameter, "nothing to evaluate",
                    "There is neither a column of labels nor one of image features to put on the map.",
                    config.class_count > 0 ? "Name the column of true labels with the argument label."
                                           : "Name the column of image features with the argument features.");
    if (options_.missing_locations == MissingLocations::image && !inputs_.image_probabilities && !classify_image_)
        throw Error(ErrorKind::invalid_parameter, "there are no image probabilities for rows without a location",
                    "Option missing_locations is \"image\".", "Give image_probabilities.");
}

// Counts what keeps a row out. All scopes have the same rows, so that they can be compared.
bool Evaluation::is_complete(const EvaluationRow &row) {
    if (!row.lonlat) {
        ++without_location_;
        if (options_.missing_locations == MissingLocations::skip) return false;
    }
    if (row.lonlat && model_.config().dates && !row.date) {
        ++without_date_;
        return false;
    }
    if (inputs_.features && !row.features) {
        ++without_features_;
        return false;
    }
    if (inputs_.image_probabilities && !row.image_probabilities) {
        ++without_image_probabilities_;
        return false;
    }
    return true;
}

void Evaluation::add(const EvaluationRow &row) {
    ++read_;
    if (!is_complete(row)) return;
    const RowPlace place = places_.next(row.lonlat);
    if (retrieval_ && row.lonlat)
        about_row(read_, [&] { retrieval_->add_image(row.lonlat, row.date.value_or(0), row.features, place.group); });
    if (!inputs_.label) {
        ++evaluated_;
        return;
    }
    if (!row.label) {
        ++without_label_;
        return;
    }
    const int truth = model_.class_index(*row.label);
    unknown_label_ += truth < 0;
    if (truth < 0 && options_.unknown_labels == UnknownLabels::skip) return;
    put(row, place, truth);
    if (batch_.size() == batch_size_) evaluate_batch();
}

void Evaluation::put(const EvaluationRow &row, const RowPlace &place, int truth) {
    ++evaluated_;
    batch_.push_back({read_, place, truth, row.lonlat != nullptr});
    // A row without a place goes along as the origin, so that rows of all arrays have the same numbers.
    lonlat_.push_back(row.lonlat ? row.lonlat[0] : 0);
    lonlat_.push_back(row.lonlat ? row.lonlat[1] : 0);
    dates_.push_back(row.date.value_or(0));
    if (inputs_.image_probabilities)
        images_.insert(images_.end(), row.image_probabilities, row.image_probabilities + classes_);
    else if (classify_image_)
        images_.insert(images_.end(), row.features, row.features + model_.config().image_dim);
}

void Evaluation::evaluate_batch() {
    check_();
    const std::size_t n = batch_.size();
    embeddings_.resize(batch_size_ * static_cast<std::size_t>(model_.config().embedding_dim));
    prior_.resize(batch_size_ * classes_);
    model_.embed(lonlat_.data(), dates_.data(), n, embeddings_.data());
    model_.probabilities(embeddings_.data(), n, prior_.data());
    for (std::size_t i = 0; i < n; ++i)
        if (batch_[i].located)
            location_->add(batch_[i].place, batch_[i].truth, judge(&prior_[i * classes_], classes_, batch_[i].truth));
    if (image_) image_outcomes();
    batch_.clear();
    lonlat_.clear();
    dates_.clear();
    images_.clear();
}

void Evaluation::image_outcomes() {
    const std::size_t n = batch_.size();
    if (classify_image_) {
        classified_.resize(batch_size_ * classes_);
        model_.image_probabilities(images_.data(), n, classified_.data(), classes_);
    }
    const std::vector<float> &image = classify_image_ ? classified_ : images_;
    std::vector<float> fused(classes_);
    for (std::size_t i = 0; i < n; ++i) {
        const float *of_image = &image[i * classes_];
        const Batched &row = batch_[i];
        about_row(row.number, [&] {
            if (classify_image_) require_finite_answer(of_image, 1);
            model_.fuse(of_image, &prior_[i * classes_], 1, fused.data());
        });
        const Outcome of_image_alone = judge(of_image, classes_, row.truth);
        image_->add(row.place, row.truth, of_image_alone);
        fused_->add(row.place, row.truth, row.located ? judge(fused.data(), classes_, row.truth) : of_image_alone);
    }
}

std::vector<Figure> Evaluation::counts() const {
    std::vector<Figure> figures = {count_of("rows_read", read_), count_of("rows_evaluated", evaluated_),
                                   count_of("rows_without_location", without_location_)};
    if (model_.config().dates) figures.push_back(count_of("rows_without_date", without_date_));
    if (inputs_.features) figures.push_back(count_of("rows_without_features", without_features_));
    if (inputs_.image_probabilities)
        figures.push_back(count_of("rows_without_image_probabilities", without_image_probabilities_));
    if (inputs_.label) {
        figures.push_back(count_of("rows_without_label", without_label_));
        figures.push_back(count_of("rows_unknown_label", unknown_label_));
    }
    return figures;
}

std::vector<Figure> Evaluation::figures() {
    if (!batch_.empty()) evaluate_batch();
    std::vector<Figure> figures = counts();
    auto append = [&](const std::vector<Figure> &more) { figures.insert(figures.end(), more.begin(), more.end()); };
    if (location_) append(location_->figures("location", model_.labels(), check_));
    if (image_) append(image_->figures("image", model_.labels(), check_));
    if (fused_) append(fused_->figures("fused", model_.labels(), check_));
    if (retrieval_) append(retrieval_->figures(check_));
    return figures;
}

}  // namespace csp

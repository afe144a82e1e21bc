// Evaluation of a model on labelled rows, images and places, one row at a time and in memory that does not grow with them.
#pragma once

#include <optional>

#include "../encoder/model.h"
#include "evaluation_retrieval.h"

namespace csp {

// What rows come with.
struct EvaluationInputs {
    bool label = false;
    bool features = false;
    bool image_probabilities = false;
};

// One row. Whatever is null or missing, the row lacks. Pointers are read at once.
struct EvaluationRow {
    const double *lonlat = nullptr;
    std::optional<float> date;
    const std::string *label = nullptr;
    const float *features = nullptr;             // image_dim
    const float *image_probabilities = nullptr;  // class_count, at least 0
};

class Evaluation {
public:
    // All must outlive the evaluation. The model has classes if there are labels, and an image side if there are features. Throws
    // Error(invalid_parameter) if inputs or options are of no use.
    Evaluation(const Model &model, const EvaluationOptions &options, const EvaluationInputs &inputs, const Check &check);

    // Throws Error(invalid_data), which names the row, for image probabilities that are all 0 and for features that are too large.
    void add(const EvaluationRow &row);

    // A place of the gallery, if there is one of its own.
    bool has_gallery() const { return retrieval_ && !options_.gallery.empty(); }
    void add_place(const double *lonlat, float date) { retrieval_->add_place(lonlat, date); }

    // After the last row.
    std::vector<Figure> figures();

private:
    struct Batched {
        int64_t number;  // of the row, from 1
        RowPlace place;
        int truth;  // negative: unknown to the model
        bool located;
    };

    void require_sense() const;
    bool is_complete(const EvaluationRow &row);
    void put(const EvaluationRow &row, const RowPlace &place, int truth);
    void evaluate_batch();
    void image_outcomes();
    std::vector<Figure> counts() const;

    const Model &model_;
    const EvaluationOptions &options_;
    EvaluationInputs inputs_;
    const Check &check_;
    bool classify_image_;  // by the model's own image classifier
    std::size_t classes_, batch_size_;
    RowPlaces places_;
    std::optional<ScopeSums> location_, image_, fused_;
    std::optional<Retrieval> retrieval_;

    std::vector<Batched> batch_;
    std::vector<double> lonlat_;
    std::vector<float> dates_, images_;  // images_: features or probabilities
    std::vector<float> embeddings_, prior_, classified_;  // of a batch, kept: fresh memory costs as much as small models

    int64_t read_ = 0, evaluated_ = 0, without_location_ = 0, without_date_ = 0, without_features_ = 0;
    int64_t without_image_probabilities_ = 0, without_label_ = 0, unknown_label_ = 0;
};

}  // namespace csp

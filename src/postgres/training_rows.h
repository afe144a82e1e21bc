// The rows of a training run, read from the source: into memory, features that do not fit there into a temporary file.
#pragma once

#include "pg.h"

#include "../training/trainer.h"
#include "training_source.h"

namespace csp::server {

struct TrainingRows {
    std::vector<double> lonlat;
    std::shared_ptr<const FeatureStore> features;  // null without
    int64_t streamed_bytes = 0;                    // of features, in a temporary file; 0: they are in memory
    std::vector<int32_t> classes;      // index into labels; -1: no label
    std::vector<float> dates;          // part of the year; empty without dates
    std::vector<int32_t> users;        // numbers of observers, -1: nobody known; empty without observers
    int user_count = 0;
    std::vector<uint8_t> validation;   // 1: held out
    std::vector<std::string> labels;   // sorted
    std::vector<int64_t> label_rows;   // rows of each label
    int image_dim = 0;

    int64_t read = 0;
    int64_t skipped_location = 0;   // NULL or empty
    int64_t skipped_features = 0;   // NULL
    int64_t skipped_date = 0;       // NULL
    int64_t unlabelled = 0;

    // Borrows from this object.
    TrainingData data(const TrainingQuery &query) const;

    // Bytes that a run of these rows needs; see estimate_memory.
    int64_t estimate(const TrainingOptions &options, bool keep_position_features) const;

    // Of the features that are in memory.
    int64_t feature_bytes(const TrainingOptions &options) const;
};

// Executes the query as the current user under the active snapshot. memory_limit in bytes: features stay in memory as long as
// the whole run fits.
// See draw_validation_rows for those held out.
//
// Errors: invalid_data for features that are not finite, too large for their storage or of unequal length, those of
// location_from_datum, all with the row; out_of_memory where a run of the rows so far would not fit, wherever features are; those of
// FeatureFile.
TrainingRows read_training_rows(const TrainingQuery &query, const TrainingOptions &options, int64_t memory_limit);

}  // namespace csp::server

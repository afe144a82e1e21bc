// What an evaluation can be told. Free of torch and of PostgreSQL, as all of evaluation*.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "spatial_blocks.h"
#include "options.h"

namespace csp {

// Rows whose label the model does not know: a miss, which is what they are to whoever uses the model, or left out.
enum class UnknownLabels { wrong, skip };

// Rows without a place where there is an image: left out, or the image alone decides, as the published evaluations do.
enum class MissingLocations { skip, image };

struct EvaluationOptions {
    bool per_class = false;
    int bins = 15;             // of the reliability diagram
    int bootstrap = 200;       // resamples; 0: no intervals
    double confidence = 0.95;  // of the intervals
    double block_size = 0;     // degrees of squares, km between hexagons; 0: rows are independent of each other
    BlockShape block_shape = BlockShape::square;
    int folds = 0;  // of whole blocks; 0: none
    UnknownLabels unknown_labels = UnknownLabels::wrong;
    MissingLocations missing_locations = MissingLocations::skip;
    std::string observed_at;     // column of the source, for models with dates
    int retrieval_rows = 10000;  // images that are looked up among places; 0: none
    std::string gallery;         // source of the places to choose from; empty: those of the images
    int gallery_rows = 10000;
    int64_t seed = 0;
};

const char *to_string(UnknownLabels value);
const char *to_string(MissingLocations value);

std::vector<OptionDescription> describe_evaluation_options();

// Sets options and checks how they go together. Errors as set_option of training has them.
void set_options(EvaluationOptions &options, const std::vector<OptionValue> &values);

}  // namespace csp

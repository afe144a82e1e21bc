// The rows of an evaluation, read from its source.
#pragma once

#include "pg.h"

#include "../training/evaluation.h"
#include "training_source.h"

namespace csp::server {

// All rows of the query into the evaluation, under the active snapshot. Between SPI_connect and SPI_finish.
//
// Errors: those of location_from_datum, features_from_datum, probabilities_from_datum and of the evaluation, with the row.
void read_evaluation_rows(const TrainingQuery &query, const Model &model, Evaluation &evaluation);

// The places of the query into its gallery.
void read_gallery(const TrainingQuery &query, const Model &model, Evaluation &evaluation);

}  // namespace csp::server

// Where rows to train on or to evaluate come from: a table, a view or a SELECT, and some of its columns.
#pragma once

#include "pg.h"

namespace csp::server {

// A query whose rows are (location geometry or geography, features real[], label text, observed_at timestamptz,
// observer text, image_probabilities real[]).
struct TrainingQuery {
    std::string sql;
    bool has_features = false;
    bool has_label = false;
    bool has_date = false;
    bool has_observer = false;
    bool has_image_probabilities = false;
};

// The columns of the source; empty for none.
struct TrainingColumns {
    std::string location, features, label, observed_at, observer;
    std::string image_probabilities = {};  // an evaluation's
};

// Checks source and columns as the current user and composes the query; no row is read, no
// function of the source runs. An empty location takes the only geometry or geography column. To be called between SPI_connect and SPI_finish.
//
// Errors: undefined_table, wrong_object_type, undefined_column, datatype_mismatch,
// insufficient_privilege, and whatever is wrong with a SELECT.
TrainingQuery resolve_training_query(const std::string &source, const TrainingColumns &names);

}  // namespace csp::server

// Where training rows come from: a table, a view or a SELECT, and three of its columns.
#pragma once

#include "pg.h"

namespace csp::server {

// A query whose rows are (location geometry or geography, features real[], label text).
struct TrainingQuery {
    std::string sql;
    bool has_features = false;
    bool has_label = false;
};

// Checks source and columns as the current user and composes the query; no row is read, no
// function of the source runs. location: empty takes the only geometry or geography column;
// features, label: empty for none. To be called between SPI_connect and SPI_finish.
//
// Errors: undefined_table, wrong_object_type, undefined_column, datatype_mismatch,
// insufficient_privilege, and whatever is wrong with a SELECT.
TrainingQuery resolve_training_query(const std::string &source, const std::string &location,
                                     const std::string &features, const std::string &label);

}  // namespace csp::server

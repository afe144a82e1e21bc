// The statements of a bulk job, composed for any search_path.
#pragma once

#include "bulk_plan.h"
#include "bulk_work.h"

namespace csp::server {

// Computes the stale rows of `from` (the source, or a table below it: then only its own rows). Returns a row for each row
// written: what is wrong with its location, or NULL, and what names the row.
Statement embedding_statement(const BulkPlan &plan, const std::string &from, bool only);

// What names a row in the results of embedding_statement.
std::vector<std::string> row_label(const BulkPlan &plan);

// Deletes rows of `from` (the target, or a table below it) whose key the source no longer has.
Statement pruning_statement(const BulkPlan &plan, const std::string &from, bool only);

// Every batch_rows'th key of the source, in order, and every key that is NULL.
std::string key_bounds_query(const BulkPlan &plan);

// Rows whose key lies beyond `after` (empty: from the first) up to `upto` (empty: to the last).
std::string key_range(const BulkPlan &plan, const std::vector<std::string> &after, const std::vector<std::string> &upto);

}  // namespace csp::server

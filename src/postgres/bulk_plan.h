// From the arguments of csp_embed_table to what is to be done: names resolved and checked, missing columns and the
// target made.
#pragma once

#include "bulk_relation.h"

namespace csp::server {

// The arguments; empty texts were NULL.
struct BulkRequest {
    std::string source, key, location, target;
    std::optional<std::string> model;
    std::string embedding, observed_at;
    int batch_rows = 0;
    int workers = -1;  // -1: as many as are worth it
    bool prune = false;
};

// A version of a model, by the name that calls of csp_embed use: no deploy in between mixes versions.
struct BulkModel {
    int64 version = 0;
    std::string name;  // name@version
};

struct BulkPlan {
    BulkRequest request;
    BulkModel model;
    BulkRelation source;
    std::optional<BulkRelation> target;  // nothing: columns of the source itself
    std::vector<BulkColumn> keys;        // columns of the source; may be empty without target
    BulkColumn location;
    std::optional<BulkColumn> observed_at;
    std::string embedding, version;  // names of the columns that are written
    std::string functions;           // quoted schema of csp_embed

    const BulkRelation &written() const { return target ? *target : source; }
};

// Columns of a target beside the keys and those of the embedding.
extern const char *const target_location;
extern const char *const target_observed_at;

// Checks everything that can be checked before a row is read, as the current user, in the current transaction; takes the
// lock on the table that is written, for this transaction. `function` is the caller's own function.
//
// Errors: undefined_table, undefined_column, wrong_object_type, datatype_mismatch, ambiguous_column, object_in_use,
// insufficient_privilege, invalid_parameter_value, undefined_object for the model; each with a hint.
BulkPlan make_plan(const BulkRequest &request, Oid function);

}  // namespace csp::server

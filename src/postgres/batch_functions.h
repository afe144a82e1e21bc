// Which functions a batch can evaluate, and where their arguments stand.
#pragma once

#include "pg.h"

extern "C" {
#include "utils/acl.h"
}

namespace csp::server {

enum class CallKind { embed, embed_image, similarity, probabilities, probability, fuse, image_probabilities, fused, classify };

// A query function. Arguments count from 0; -1: it has no such argument.
struct BatchFunction {
    Oid oid;
    bool known;  // false: some other function
    CallKind kind;
    bool dated;
    bool strict;  // NULL for any NULL; else for a NULL k or model, or neither a place nor an image
    int location;
    int features;  // of an image; for csp_fuse the probabilities of an image
    int label;
    int k;
    int date;
    int model;
    bool by_version;  // the model is told by the id of a version
};

// Whether a function is a query function of this library, and which. Cached until pg_proc changes.
bool find_batch_function(Oid oid, BatchFunction *function);

// A call of csp_classify written as csp.classify_probabilities(csp_probabilities(location, ...), k, ...), whose first
// argument can be evaluated in batches. Null for any other call.
FuncExpr *open_classify(FuncExpr *call);

// Whether the current user may execute a function.
AclResult execute_privilege(Oid function);

void register_function_callbacks();

}  // namespace csp::server

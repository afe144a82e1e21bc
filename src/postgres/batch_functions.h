// Which functions a batch can evaluate, and where their arguments stand.
#pragma once

#include "pg.h"

namespace csp::server {

enum class CallKind { embed, embed_image, similarity, probabilities, probability, fuse, classify };

// A query function. Arguments count from 0; -1: it has no such argument.
struct BatchFunction {
    Oid oid;
    bool known;  // false: some other function
    CallKind kind;
    bool dated;
    int location;
    int features;  // of an image; for csp_fuse the probabilities of an image
    int label;
    int k;
    int date;
    int model;
};

// Whether a function is a query function of this library, and which. Cached until pg_proc changes.
bool find_batch_function(Oid oid, BatchFunction *function);

// csp_probabilities with the location, date and model arguments of a call of csp_classify; null where it does not exist.
FuncExpr *probabilities_for_classify(const FuncExpr *call, const BatchFunction &function);

// csp.classify_probabilities(probabilities, k [, model]) for the call of csp_classify; null where it does not exist.
FuncExpr *classify_from_probabilities(const FuncExpr *call, const BatchFunction &function, Expr *probabilities);

void register_function_callbacks();

}  // namespace csp::server

// Models that this backend has loaded, by the id of their version.
#pragma once

#include "pg.h"

#include "../encoder/model.h"

namespace csp::server {

// How an argument tells a model: a text as resolve_model takes it, or a bigint, the id of a version.
enum class ModelNaming { name, version };

// The model that a call means by its argument number `model_argument` (-1 if the function has none), loaded if need
// be. Valid until the next call of this function. Repeated calls by the same FmgrInfo cost a comparison.
const Model &model_of_call(FunctionCallInfo fcinfo, int model_argument, ModelNaming naming = ModelNaming::name);

// The same for a name, or for none (null), and for a version: to hold on to while others are loaded.
std::shared_ptr<const Model> find_model(const char *name);
std::shared_ptr<const Model> find_version(int64 version);

// Value of the setting csp.model_cache_size, in kB.
extern int csp_model_cache_size;

}  // namespace csp::server

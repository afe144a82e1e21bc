// What one may do with models and their versions: deploy, roll back, rename, describe and drop them. Functions here run
// between SPI_connect and SPI_finish, in the current transaction.
#pragma once

#include "pg.h"

#include "catalog.h"

namespace csp::server {

// Locks a model for a change that only its owner may make, and returns the id of its deployed version; 0: it has none.
// Throws SqlError(undefined_object) for one that the current user cannot see, SqlError(insufficient_privilege) unless he is
// a member of the role that owns it.
int64 lock_own_model(const std::string &name);

// The id of a version of a model. Throws SqlError(undefined_object), with those that there are.
int64 find_version_id(const std::string &name, const std::string &version);

// As csp_drop_model. cascade: drops what depends on it, with a notice, in place of an error.
void drop_model(const ModelReference &model, bool cascade);

}  // namespace csp::server

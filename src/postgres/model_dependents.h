// Objects of the database that name a model in a stored expression: see csp.dependents. Functions here run between
// SPI_connect and SPI_finish.
#pragma once

#include "pg.h"

namespace csp::server {

struct Dependent {
    Oid class_id, object_id;
    int32 part;  // a column, or 0
    Oid owner;
};
using Dependents = std::vector<Dependent>;

// Those that name a model or any of its versions; with a version only those that name that one. By name, name@version or id.
Dependents find_dependents(const std::string &model, const std::optional<std::string> &version = std::nullopt);

// A line for each, `view v depends on model "m"`; the first hundred.
std::string describe(const Dependents &dependents, const std::string &model);

// Drops them and what depends on them, and says so in a notice. Throws SqlError(insufficient_privilege) for one that the
// current user does not own.
void drop_dependents(const Dependents &dependents);

}  // namespace csp::server

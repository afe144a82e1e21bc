// The catalogue as queries see it: which version a model's name stands for, and its weights.
//
// Row-level security decides what the current user sees; a model of somebody else is
// reported as one that does not exist.
#pragma once

#include "pg.h"

namespace csp::server {

// Changes whenever a cached answer from the catalogue, or from PostGIS, may have changed:
// a deploy of any session, a role's membership, a dropped extension. Never 0.
uint64 catalog_generation();

// Moves when a version has been found that is another than the one that had its id before.
uint64 version_replacements();

// Moves whenever the setting csp.model is set, and the generation with it.
uint64 model_setting_changes();
void note_model_setting();

// Registers the callbacks that move the generation on. Once, from _PG_init.
void register_catalog_callbacks();

// A model as it is named: name or name@version.
struct ModelReference {
    std::string name;
    std::optional<std::string> version;  // its number
};
ModelReference parse_model(const std::string &text);

// The id of the version that `model` means to the current user under the active snapshot:
// a name (its deployed version) or name@version; null: the setting csp.model, else the only
// model that the user can see.
//
// Errors: undefined_object for an unknown model or version, with the known ones in the
// detail; ambiguous_parameter if none is named and there are several.
int64 resolve_model(const char *model);

// The id of a version, if the current user can see it under the active snapshot. Errors: undefined_object.
int64 resolve_version(int64 version);

// Oid of csp.model: another once the extension has been made anew, with versions of the same ids.
Oid model_table_oid();

// Throws SqlError(undefined_object) for a model that is not there, or not visible: with those that are in the detail.
[[noreturn]] void report_unknown_model(const std::string &model);

// The bytes of a version's model file. Throws Error(data_corrupted) if there are none.
std::string read_weights(int64 version);

// Owner of the extension's tables.
Oid catalog_owner();

// Value of the setting csp.model; "" if unset.
extern char *csp_model_setting;

}  // namespace csp::server

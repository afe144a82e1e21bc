// How a model becomes a version of the catalogue: the steps that training and import share. All act in the current
// transaction, as the owner of the extension's tables: see CatalogOwnerIdentity.
#pragma once

#include "pg.h"

#include "../encoder/config.h"

namespace csp::server {

// Takes the name for `owner`, or finds it taken by a role that owner belongs to, and locks it: versions are numbered one
// after the other. Throws as require_model_rights.
void claim_model_name(const std::string &name, Oid owner);

// In SQL: the number of the next version of a model whose name is claimed; not one that a version had which was dropped.
#define NEXT_VERSION(model) \
    "1 OPERATOR(pg_catalog.+) (SELECT GREATEST(m.dropped, pg_catalog.max(v.version)) FROM csp.model m " \
    "LEFT JOIN csp.model_version v ON v.model OPERATOR(pg_catalog.=) m.name " \
    "WHERE m.name OPERATOR(pg_catalog.=) " model " GROUP BY m.dropped)"

// In SQL: a jsonb object of what makes a version.
#define SOFTWARE \
    "pg_catalog.jsonb_build_object('csp_ext', '" CSP_EXT_VERSION "', " \
    "'postgresql', pg_catalog.current_setting('server_version'), 'postgis', (SELECT e.extversion " \
    "FROM pg_catalog.pg_extension e WHERE e.extname OPERATOR(pg_catalog.=) 'postgis'))"

// The configuration as a JSON object.
std::string configuration_json(const ModelConfig &config);

void insert_weights(int64 version, const std::string &file);

// rows: labelled rows of each class; empty where nobody knows.
void insert_classes(int64 version, const std::vector<std::string> &labels, const std::vector<int64_t> &rows);

// In SQL: what is said of a version v that was just made; and whether its options ask for it.
#define DEPLOYS(options) "(" options " OPERATOR(pg_catalog.->>) 'deploy')::pg_catalog.bool IS NOT FALSE"
#define DEPLOYED_OR_TRAINED "CASE WHEN " DEPLOYS("v.options") " THEN 'deployed' ELSE 'trained' END"

// Of a model whose name is claimed. What was deployed before is remembered, for csp_rollback.
void deploy_version(const std::string &name, int64 version);

}  // namespace csp::server

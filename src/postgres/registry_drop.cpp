// csp_drop_model.
#include "registry.h"

#include "model_dependents.h"
#include "spi.h"

namespace csp::server {

namespace {

// Whoever works on the model would find it gone, or bring it back.
void require_not_in_use(const std::string &model, const char *sql, const SpiArguments &arguments, const char *what, const char *hint) {
    server_call([] { PushActiveSnapshot(GetLatestSnapshot()); });
    SpiRows rows = spi_execute(sql, arguments, true);
    if (rows.count() > 0)
        throw SqlError(ERRCODE_OBJECT_IN_USE, "model \"" + model + "\" is in use",
                       what + (" " + rows.text(0, 1)) + " goes on or is queued.", hint);
    server_call([] { PopActiveSnapshot(); });
}

void require_no_training(const std::string &model) {
    CatalogOwnerIdentity catalog_owner;
    const SpiArguments arguments = SpiArguments().add(model);
    require_not_in_use(model,
                       "SELECT s.id FROM csp.search s WHERE s.model OPERATOR(pg_catalog.=) $1 "
                       "AND s.state OPERATOR(pg_catalog.=) 'running' ORDER BY s.id LIMIT 1",
                       arguments, "Search", "Wait for its end with csp_wait_search, or end it with csp_cancel_search.");
    require_not_in_use(model,
                       "SELECT r.id FROM csp.run r WHERE r.model OPERATOR(pg_catalog.=) $1 "
                       "AND (r.state OPERATOR(pg_catalog.=) 'queued' OR "
                       "(r.state OPERATOR(pg_catalog.=) 'running' AND csp.run_is_alive(r.id))) ORDER BY r.id LIMIT 1",
                       arguments, "Training run", "Wait for its end with csp_wait, or end it with csp_cancel.");
}

void require_no_bulk_run(const std::string &model, const char *version) {
    CatalogOwnerIdentity catalog_owner;
    require_not_in_use(model,
                       "SELECT b.id FROM csp.bulk_run b JOIN csp.model_version v ON v.id OPERATOR(pg_catalog.=) b.version "
                       "WHERE v.model OPERATOR(pg_catalog.=) $1 AND ($2 IS NULL OR v.version::pg_catalog.text OPERATOR(pg_catalog.=) $2) "
                       "AND b.state OPERATOR(pg_catalog.=) 'running' AND csp.bulk_run_is_alive(b.id) ORDER BY b.id LIMIT 1",
                       SpiArguments().add(model).add(version), "Call of csp_embed_table", "Wait for its end: see csp.bulk_runs.");
}

void settle_dependents(const ModelReference &model, const std::string &text, bool cascade) {
    const Dependents dependents = find_dependents(model.name, model.version);
    if (dependents.empty())
        return;
    if (!cascade)
        throw SqlError(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST, "cannot drop model \"" + text + "\" because other objects depend on it",
                       describe(dependents, text), "Use csp_drop_model(..., true) to drop the dependent objects too.");
    drop_dependents(dependents);
}

void delete_model(const std::string &name) {
    spi_execute("DELETE FROM csp.model_version WHERE model OPERATOR(pg_catalog.=) $1", SpiArguments().add(name));
    spi_execute("DELETE FROM csp.model WHERE name OPERATOR(pg_catalog.=) $1", SpiArguments().add(name));
}

// Forgets that it was deployed; of equal neighbours that this brings together, and of those that are deployed, one is enough.
void forget_deployments(const std::string &name, int64 version) {
    spi_execute("UPDATE csp.model m SET earlier = COALESCE((SELECT pg_catalog.array_agg(kept.id ORDER BY kept.number) "
                "FROM (SELECT e.id, e.number, pg_catalog.lead(e.id, 1, COALESCE(m.deployed, 0)) OVER (ORDER BY e.number) AS next "
                "FROM pg_catalog.unnest(m.earlier) WITH ORDINALITY e (id, number) WHERE e.id OPERATOR(pg_catalog.<>) $2) kept "
                "WHERE kept.id OPERATOR(pg_catalog.<>) kept.next), '{}'), "
                "dropped = GREATEST(m.dropped, (SELECT v.version FROM csp.model_version v WHERE v.id OPERATOR(pg_catalog.=) $2)) "
                "WHERE m.name OPERATOR(pg_catalog.=) $1",
                SpiArguments().add(name).add(version));
}

// A model that has lost its last version is nothing that anybody sees.
void delete_version(const std::string &name, int64 version) {
    forget_deployments(name, version);
    spi_execute("DELETE FROM csp.model_version WHERE id OPERATOR(pg_catalog.=) $1", SpiArguments().add(version));
    spi_execute("DELETE FROM csp.model m WHERE m.name OPERATOR(pg_catalog.=) $1 AND NOT EXISTS "
                "(SELECT FROM csp.model_version v WHERE v.model OPERATOR(pg_catalog.=) m.name)",
                SpiArguments().add(name));
}

}  // namespace

void drop_model(const ModelReference &model, bool cascade) {
    const int64 deployed = lock_own_model(model.name);
    if (!model.version) {
        require_no_training(model.name);
        require_no_bulk_run(model.name, nullptr);
        settle_dependents(model, model.name, cascade);
        CatalogOwnerIdentity catalog_owner;
        return delete_model(model.name);
    }
    const std::string text = model.name + "@" + *model.version;
    const int64 version = find_version_id(model.name, *model.version);
    if (version == deployed)
        throw SqlError(ERRCODE_OBJECT_IN_USE,
                       "cannot drop version " + *model.version + " of model \"" + model.name + "\", which is deployed", {},
                       "Deploy another version first, with csp_deploy or csp_rollback, or drop the whole model.");
    require_no_bulk_run(model.name, model.version->c_str());
    settle_dependents(model, text, cascade);
    CatalogOwnerIdentity catalog_owner;
    delete_version(model.name, version);
}

}  // namespace csp::server

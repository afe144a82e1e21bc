// csp_deploy, csp_rollback, csp_rename, csp_comment, csp_drop_model; and what keeps versions as they are.
#include "registry.h"

#include "catalog.h"
#include "model_dependents.h"
#include "model_publication.h"
#include "spi.h"
#include "text_argument.h"
#include "training_run.h"

extern "C" {
#include "commands/trigger.h"
#include "tcop/utility.h"
#include "utils/acl.h"
}

namespace csp::server {

namespace {

// The one place that decides who may change a model.
void require_owner(const std::string &model, Oid owner) {
    if (!server_call([owner] { return has_privs_of_role(GetUserId(), owner); }))
        throw SqlError(ERRCODE_INSUFFICIENT_PRIVILEGE, "must be owner of model \"" + model + "\"");
}

// Under row-level security: a model of somebody else's is one that does not exist.
void require_visible_own_model(const std::string &name) {
    SpiRows rows = spi_execute("SELECT m.owner::pg_catalog.oid FROM csp.model m WHERE m.name OPERATOR(pg_catalog.=) $1",
                               SpiArguments().add(name));
    if (rows.count() == 0)
        report_unknown_model(name);
    bool is_null;
    require_owner(name, DatumGetObjectId(rows.datum(0, 1, is_null)));
}

struct LockedModel {
    int64 deployed;  // 0: none
    Oid owner;
};

LockedModel lock_model(const std::string &name) {
    CatalogOwnerIdentity catalog_owner;
    SpiRows rows = spi_execute("SELECT m.deployed, m.owner::pg_catalog.oid FROM csp.model m "
                               "WHERE m.name OPERATOR(pg_catalog.=) $1 FOR UPDATE",
                               SpiArguments().add(name));
    if (rows.count() == 0)
        throw SqlError(ERRCODE_UNDEFINED_OBJECT, "model \"" + name + "\" has been dropped or renamed meanwhile");
    bool is_null;
    return {rows.bigint(0, 1), DatumGetObjectId(rows.datum(0, 2, is_null))};
}

std::string list_versions(const std::string &model) {
    SpiRows rows = spi_execute("SELECT pg_catalog.string_agg(v.version::pg_catalog.text, ', ' ORDER BY v.version) "
                               "FROM csp.model_version v WHERE v.model OPERATOR(pg_catalog.=) $1",
                               SpiArguments().add(model));
    return "Its versions are " + rows.text(0, 1) + ".";
}

int64 newest_version_id(const std::string &model) {
    SpiRows rows = spi_execute("SELECT v.id FROM csp.model_version v WHERE v.model OPERATOR(pg_catalog.=) $1 "
                               "ORDER BY v.version DESC LIMIT 1",
                               SpiArguments().add(model));
    if (rows.count() == 0)
        throw SqlError(ERRCODE_UNDEFINED_OBJECT, "model \"" + model + "\" has no versions");
    return rows.bigint(0, 1);
}

// ---- deploying -----------------------------------------------------------------------------

int64 deploy(const ModelReference &model) {
    lock_own_model(model.name);
    CatalogOwnerIdentity catalog_owner;
    const int64 version = model.version ? find_version_id(model.name, *model.version) : newest_version_id(model.name);
    deploy_version(model.name, version);
    return version;
}

int64 roll_back(const std::string &name) {
    lock_own_model(name);
    CatalogOwnerIdentity catalog_owner;
    SpiRows rows = spi_execute("UPDATE csp.model SET deployed = earlier[pg_catalog.cardinality(earlier)], "
                               "earlier = pg_catalog.trim_array(earlier, 1) WHERE name OPERATOR(pg_catalog.=) $1 "
                               "AND pg_catalog.cardinality(earlier) OPERATOR(pg_catalog.>) 0 RETURNING deployed",
                               SpiArguments().add(name));
    if (rows.count() == 0)
        throw SqlError(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, "no earlier deployment of model \"" + name + "\" is known",
                       list_versions(name), "Deploy any of its versions with csp_deploy.");
    return rows.bigint(0, 1);
}

// ---- names and comments --------------------------------------------------------------------

void require_free_name(const std::string &name) {
    require_valid_model_name(name);
    CatalogOwnerIdentity catalog_owner;
    if (spi_execute("SELECT FROM csp.model m WHERE m.name OPERATOR(pg_catalog.=) $1", SpiArguments().add(name)).count() > 0)
        throw SqlError(ERRCODE_DUPLICATE_OBJECT, "model \"" + name + "\" already exists");
}

// Of a table of runs or searches: those of the model, and those whose owner could have them publish into it. Others are of a
// model that had the name before and was dropped.
void rename_in(const char *table, const std::string &name, const std::string &new_name) {
    CatalogOwnerIdentity catalog_owner;
    spi_execute(("UPDATE csp." + std::string(table) +
                 " t SET model = $2 FROM csp.model m WHERE t.model OPERATOR(pg_catalog.=) $1 AND m.name OPERATOR(pg_catalog.=) $1 "
                 "AND (t.version OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT v.id FROM csp.model_version v "
                 "WHERE v.model OPERATOR(pg_catalog.=) $1)) "
                 "OR pg_catalog.pg_has_role(t.owner::pg_catalog.oid, m.owner::pg_catalog.oid, 'MEMBER'))").c_str(),
                SpiArguments().add(name).add(new_name));
}

// Searches, runs and the model are locked in the order in which they are by whoever publishes one.
void rename_everywhere(const std::string &name, const std::string &new_name) {
    for (const char *table : {"search", "run"})
        rename_in(table, name, new_name);
    lock_own_model(name);
    CatalogOwnerIdentity catalog_owner;
    try {
        spi_execute("UPDATE csp.model SET name = $2 WHERE name OPERATOR(pg_catalog.=) $1", SpiArguments().add(name).add(new_name));
    } catch (const ServerError &error) {
        if (error.data()->sqlerrcode != ERRCODE_UNIQUE_VIOLATION)
            throw;
        throw AbortingError(ERRCODE_DUPLICATE_OBJECT, "model \"" + new_name + "\" already exists");  // since a moment ago
    }
}

void warn_of_old_names(const std::string &name) {
    const std::string dependents = describe(find_dependents(name), name);
    if (!dependents.empty())
        server_call([&] {
            ereport(WARNING, (errmsg("objects of the database still name model \"%s\"", name.c_str()),
                              errdetail_internal("%s", dependents.c_str()), errhint("Create them anew with the new name.")));
        });
}

void rename(const std::string &name, const std::string &new_name) {
    require_visible_own_model(name);
    require_free_name(new_name);
    rename_everywhere(name, new_name);
    warn_of_old_names(name);
}

void comment(const ModelReference &model, const char *text) {
    lock_own_model(model.name);
    CatalogOwnerIdentity catalog_owner;
    if (model.version)
        spi_execute("UPDATE csp.model_version SET comment = $2 WHERE id OPERATOR(pg_catalog.=) $1",
                    SpiArguments().add(find_version_id(model.name, *model.version)).add(text));
    else
        spi_execute("UPDATE csp.model SET comment = $2 WHERE name OPERATOR(pg_catalog.=) $1",
                    SpiArguments().add(model.name).add(text));
}

// ---- arguments -----------------------------------------------------------------------------

std::string name_argument(FunctionCallInfo fcinfo, int number) {
    std::string name = text_argument(fcinfo, number, "model");
    if (name.find('@') != std::string::npos)
        throw SqlError(ERRCODE_INVALID_NAME, "\"" + name + "\" does not name a model, but a version", {},
                       "Leave out @ and the number.");
    return name;
}

// csp_deploy(model [, version])
ModelReference version_to_deploy(FunctionCallInfo fcinfo) {
    if (PG_NARGS() == 1)
        return parse_model(text_argument(fcinfo, 0, "model"));
    ModelReference model{name_argument(fcinfo, 0), std::nullopt};
    if (PG_ARGISNULL(1))
        throw SqlError(ERRCODE_NULL_VALUE_NOT_ALLOWED, "version must not be NULL");
    model.version = std::to_string(PG_GETARG_INT32(1));
    return model;
}

// Around the body of a function that changes the registry.
template <typename Body>
auto registry_call(const char *function, Body &&body) -> decltype(body()) {
    return guard([&] {
        server_call([function] {
            PreventCommandIfReadOnly(function);
            PreventCommandIfParallelMode(function);
        });
        return with_spi(body);
    });
}

}  // namespace

// ---- what others share ---------------------------------------------------------------------

int64 lock_own_model(const std::string &name) {
    require_visible_own_model(name);
    const LockedModel locked = lock_model(name);
    require_owner(name, locked.owner);  // it may have been given away meanwhile
    return locked.deployed;
}

int64 find_version_id(const std::string &name, const std::string &version) {
    SpiRows rows = spi_execute("SELECT v.id FROM csp.model_version v WHERE v.model OPERATOR(pg_catalog.=) $1 "
                               "AND v.version::pg_catalog.text OPERATOR(pg_catalog.=) $2",
                               SpiArguments().add(name).add(version));
    if (rows.count() == 0)
        throw SqlError(ERRCODE_UNDEFINED_OBJECT, "version " + version + " of model \"" + name + "\" does not exist",
                       list_versions(name), "View csp.models lists them.");
    return rows.bigint(0, 1);
}

}  // namespace csp::server

using namespace csp::server;

extern "C" {

PG_FUNCTION_INFO_V1(csp_model_version);
PG_FUNCTION_INFO_V1(csp_deploy);
PG_FUNCTION_INFO_V1(csp_rollback);
PG_FUNCTION_INFO_V1(csp_rename);
PG_FUNCTION_INFO_V1(csp_comment);
PG_FUNCTION_INFO_V1(csp_drop_model);
PG_FUNCTION_INFO_V1(csp_refuse_change);

// csp_model_version([model]) -> bigint
Datum csp_model_version(PG_FUNCTION_ARGS) {
    return guard([&]() -> Datum {
        if (PG_NARGS() == 0)
            PG_RETURN_INT64(resolve_model(nullptr));
        PG_RETURN_INT64(resolve_model(text_argument(fcinfo, 0, "model").c_str()));
    });
}

// csp_deploy(model [, version]) -> bigint
Datum csp_deploy(PG_FUNCTION_ARGS) {
    return registry_call("csp_deploy()", [&]() -> Datum { PG_RETURN_INT64(deploy(version_to_deploy(fcinfo))); });
}

// csp_rollback(model) -> bigint
Datum csp_rollback(PG_FUNCTION_ARGS) {
    return registry_call("csp_rollback()", [&]() -> Datum { PG_RETURN_INT64(roll_back(name_argument(fcinfo, 0))); });
}

// csp_rename(model, new_name)
Datum csp_rename(PG_FUNCTION_ARGS) {
    return registry_call("csp_rename()", [&]() -> Datum {
        rename(name_argument(fcinfo, 0), text_argument(fcinfo, 1, "new_name"));
        PG_RETURN_VOID();
    });
}

// csp_comment(model, comment)
Datum csp_comment(PG_FUNCTION_ARGS) {
    return registry_call("csp_comment()", [&]() -> Datum {
        const ModelReference model = parse_model(text_argument(fcinfo, 0, "model"));
        comment(model, PG_ARGISNULL(1) ? nullptr : text_argument(fcinfo, 1, "comment").c_str());
        PG_RETURN_VOID();
    });
}

// csp_drop_model(model [, cascade])
Datum csp_drop_model(PG_FUNCTION_ARGS) {
    return registry_call("csp_drop_model()", [&]() -> Datum {
        drop_model(parse_model(text_argument(fcinfo, 0, "model")), !PG_ARGISNULL(1) && PG_GETARG_BOOL(1));
        PG_RETURN_VOID();
    });
}

// Trigger on the tables of versions.
Datum csp_refuse_change(PG_FUNCTION_ARGS) {
    return guard([&]() -> Datum {
        if (!CALLED_AS_TRIGGER(fcinfo))
            throw SqlError(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED, "csp_refuse_change must be called as a trigger");
        throw SqlError(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, "a version of a model cannot be changed",
                       "Whoever names it by its id relies on it.", "Train or import another version.");
    });
}

}  // extern "C"

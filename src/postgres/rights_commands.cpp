// REASSIGN OWNED and DROP OWNED, as they concern the catalogue.
#include "rights.h"

#include "registry.h"
#include "spi.h"

extern "C" {
#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_class.h"
#include "commands/event_trigger.h"
#include "utils/acl.h"
#include "utils/fmgroids.h"
#include "utils/syscache.h"
}

namespace csp::server {

namespace {

object_access_hook_type next_object_access = nullptr;

// ---- REASSIGN OWNED --------------------------------------------------------------------------------------------------

Oid relation_owner(HeapTuple tuple) { return HeapTupleIsValid(tuple) ? ((Form_pg_class)GETSTRUCT(tuple))->relowner : InvalidOid; }

// As it was when the command began.
Oid owner_before(Oid relation) {
    HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
    Oid owner = relation_owner(tuple);
    if (HeapTupleIsValid(tuple))
        ReleaseSysCache(tuple);
    return owner;
}

// As the command has left it.
Oid owner_now(Oid relation) {
    ScanKeyData key;
    ScanKeyInit(&key, Anum_pg_class_oid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(relation));
    Relation classes = table_open(RelationRelationId, AccessShareLock);
    SysScanDesc scan = systable_beginscan(classes, ClassOidIndexId, true, SnapshotSelf, 1, &key);
    Oid owner = relation_owner(systable_getnext(scan));
    systable_endscan(scan);
    table_close(classes, AccessShareLock);
    return owner;
}

// Queued runs and searches would execute the query of one role with the rights of another, who has not asked for it.
void end_runs(Oid role) {
    for (const char *table : {"run", "search"})
        spi_execute((std::string("UPDATE csp.") + table + " SET state = 'cancelled', sqlstate = '57014', "
                     "message = 'what its owner owned was given to another role', finished = pg_catalog.clock_timestamp()" +
                     (table[0] == 'r' ? ", pid = NULL" : "") +
                     " WHERE owner::pg_catalog.oid OPERATOR(pg_catalog.=) $1 "
                     "AND state OPERATOR(pg_catalog.=) ANY ('{queued, running}'::csp.run_state[])").c_str(),
                    SpiArguments().add(OIDOID, ObjectIdGetDatum(role)));
    spi_execute("UPDATE csp.search_trial t SET state = 'cancelled' FROM csp.search s WHERE s.id OPERATOR(pg_catalog.=) t.search "
                "AND s.owner::pg_catalog.oid OPERATOR(pg_catalog.=) $1 "
                "AND t.state OPERATOR(pg_catalog.=) ANY ('{waiting, started}'::pg_catalog.text[])",
                SpiArguments().add(OIDOID, ObjectIdGetDatum(role)));
}

void reassign(Oid from, Oid to) {
    with_spi([=] {
        CatalogOwnerIdentity owner;
        end_runs(from);
        for (const char *table : {"model", "run", "search", "bulk_run"})
            spi_execute((std::string("UPDATE csp.") + table + " SET owner = $2 WHERE owner::pg_catalog.oid OPERATOR(pg_catalog.=) $1").c_str(),
                        SpiArguments().add(OIDOID, ObjectIdGetDatum(from)).add(OIDOID, ObjectIdGetDatum(to)));
    });
}

// What stands for the possessions of a role was given to another; by hold_owner that makes it, to the first.
void on_object_access(ObjectAccessType access, Oid class_id, Oid object, int part, void *argument) {
    if (next_object_access)
        next_object_access(access, class_id, object, part, argument);
    if (access != OAT_POST_ALTER || class_id != RelationRelationId || part != 0 || IsBinaryUpgrade || !stands_for_owner(object))
        return;
    const Oid from = owner_before(object), to = owner_now(object);
    if (from == to || !OidIsValid(from) || !OidIsValid(to) || is_making_relation_of_owner())
        return;
    guard([=] { reassign(from, to); });
}

// ---- DROP OWNED ------------------------------------------------------------------------------------------------------

std::vector<Oid> roles_of(const DropOwnedStmt *statement) {
    std::vector<Oid> roles;
    ListCell *cell;
    foreach (cell, statement->roles)
        roles.push_back(server_call([&] { return get_rolespec_oid(static_cast<RoleSpec *>(lfirst(cell)), false); }));
    return roles;
}

// A worker whose run is gone ends.
void drop_runs(Oid role) {
    CatalogOwnerIdentity owner;
    for (const char *table : {"search", "run", "bulk_run"})
        spi_execute((std::string("DELETE FROM csp.") + table + " WHERE owner::pg_catalog.oid OPERATOR(pg_catalog.=) $1").c_str(),
                    SpiArguments().add(OIDOID, ObjectIdGetDatum(role)));
}

std::vector<std::string> models_of(Oid role) {
    CatalogOwnerIdentity owner;
    SpiRows rows = spi_execute("SELECT m.name FROM csp.model m WHERE m.owner::pg_catalog.oid OPERATOR(pg_catalog.=) $1 ORDER BY 1",
                               SpiArguments().add(OIDOID, ObjectIdGetDatum(role)));
    std::vector<std::string> models;
    for (uint64 i = 0; i < rows.count(); ++i)
        models.push_back(rows.text(i, 1));
    return models;
}

// As DROP OWNED does with all else: RESTRICT, the default, refuses while something of others depends on one.
void drop_models(Oid role, DropBehavior behavior) {
    for (const std::string &model : models_of(role)) {
        try {
            drop_model({model, std::nullopt}, behavior == DROP_CASCADE);
        } catch (const SqlError &error) {
            if (error.sqlstate() != ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST)
                throw;
            throw SqlError(error.sqlstate(), error.message(), error.detail(),
                           "Use DROP OWNED ... CASCADE to drop the dependent objects too.");
        }
    }
}

void take_grants_back(Oid role) {
    CatalogOwnerIdentity owner;
    spi_execute("UPDATE csp.model m SET granted_to = pg_catalog.array_remove(m.granted_to::pg_catalog.oid[], $1)::csp.role[] "
                "WHERE $1 OPERATOR(pg_catalog.=) ANY (m.granted_to::pg_catalog.oid[])",
                SpiArguments().add(OIDOID, ObjectIdGetDatum(role)));
}

void drop_owned(const DropOwnedStmt *statement) {
    for (Oid role : roles_of(statement)) {
        drop_runs(role);
        drop_models(role, statement->behavior);
        take_grants_back(role);
    }
}

}  // namespace

void install_reassignment_hook() {
    next_object_access = object_access_hook;
    object_access_hook = on_object_access;
}

}  // namespace csp::server

using namespace csp::server;

extern "C" {

PG_FUNCTION_INFO_V1(csp_drop_owned);

// Event trigger, at the end of DROP OWNED.
Datum csp_drop_owned(PG_FUNCTION_ARGS) {
    return guard([&] {
        if (!CALLED_AS_EVENT_TRIGGER(fcinfo))
            throw SqlError(ERRCODE_E_R_I_E_EVENT_TRIGGER_PROTOCOL_VIOLATED, "csp_drop_owned must be called as an event trigger");
        auto *event = reinterpret_cast<EventTriggerData *>(fcinfo->context);
        if (IsA(event->parsetree, DropOwnedStmt))
            with_spi([&] { drop_owned(reinterpret_cast<DropOwnedStmt *>(event->parsetree)); });
        return PointerGetDatum(nullptr);
    });
}

}  // extern "C"

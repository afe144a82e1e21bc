// What makes the server know which roles the catalogue speaks of.
//
// An owner owns a relation that stands for his rows; a grantee has EXECUTE on a function. See sql/46_rights.sql.
#include "rights.h"

#include "advisory_lock.h"
#include "spi.h"

#include <algorithm>

extern "C" {
#include "access/tableam.h"
#include "access/transam.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_proc.h"
#include "commands/defrem.h"
#include "commands/extension.h"
#include "commands/tablecmds.h"
#include "commands/trigger.h"
#include "storage/lmgr.h"
#include "utils/rel.h"
#include "utils/syscache.h"
}

namespace csp::server {

namespace {

constexpr uint16 owner_lock_class = 0x6f77;  // of those who make the relation of a role
constexpr const char *access_method = "csp_owned";

// Roles of the server's own are not dropped.
bool can_be_dropped(Oid role) { return role >= FirstUnpinnedObjectId; }

std::string role_name(Oid role) {
    const char *name = server_call([role] { return GetUserNameFromId(role, true); });
    if (name == nullptr)
        throw SqlError(ERRCODE_UNDEFINED_OBJECT, "role with OID " + std::to_string(role) + " does not exist");
    return name;
}

std::string quoted(const std::string &name) {
    return server_call([&] { return quote_identifier(name.c_str()); });
}

// ---- owners ----------------------------------------------------------------------------------------------------------

// The first; or the one after it, which REASSIGN OWNED has brought.
Oid relation_of_owner(Oid role, int64 number = 0) {
    SpiRows rows = spi_execute(
        "SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_am a ON a.oid OPERATOR(pg_catalog.=) c.relam "
        "WHERE c.relnamespace OPERATOR(pg_catalog.=) 'csp'::pg_catalog.regnamespace AND c.relkind OPERATOR(pg_catalog.=) 'm' "
        "AND c.relowner OPERATOR(pg_catalog.=) $1 AND a.amname OPERATOR(pg_catalog.=) $2::pg_catalog.name ORDER BY c.oid OFFSET $3 LIMIT 1",
        SpiArguments().add(OIDOID, ObjectIdGetDatum(role)).add(access_method).add(number));
    bool is_null;
    return rows.count() == 0 ? InvalidOid : DatumGetObjectId(rows.datum(0, 1, is_null));
}

bool is_owned_by(Oid relation, Oid role) {
    HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
    bool is = HeapTupleIsValid(tuple) && ((Form_pg_class)GETSTRUCT(tuple))->relowner == role;
    if (HeapTupleIsValid(tuple))
        ReleaseSysCache(tuple);
    return is;
}

// False if the role has none. Whoever gives or drops the relation waits until this transaction has ended.
bool lock_relation_of_owner(Oid role) {
    for (;;) {
        Oid relation = relation_of_owner(role);
        if (!OidIsValid(relation))
            return false;
        if (server_call([=] {
                LockRelationOid(relation, AccessShareLock);
                return is_owned_by(relation, role);
            }))
            return true;
    }
}

// owned_by_ and the role's name, or that with a number where another has it: names of roles change.
std::string free_name(Oid role) {
    const std::string name = "owned_by_" + role_name(role);
    return server_call([&] {
        char *candidate = makeObjectName(name.c_str(), nullptr, nullptr);
        Oid schema = get_namespace_oid("csp", false);
        for (int number = 2; OidIsValid(get_relname_relid(candidate, schema)); ++number)
            candidate = makeObjectName(name.c_str(), psprintf("%d", number), nullptr);
        return candidate;
    });
}

bool making = false;

// What is made while a script of the extension runs is not the extension's either.
class Making {
public:
    Making() : was_creating_(creating_extension) {
        creating_extension = false;
        making = true;
    }
    ~Making() {
        creating_extension = was_creating_;
        making = false;
    }
    Making(const Making &) = delete;
    Making &operator=(const Making &) = delete;

private:
    bool was_creating_;
};

void make_relation_of_owner(Oid role) {
    Making now;
    const std::string name = free_name(role), view = "csp." + quoted(name);
    spi_execute(("CREATE MATERIALIZED VIEW " + view + " USING " + access_method + " TABLESPACE pg_default AS SELECT").c_str());
    spi_execute(("ALTER MATERIALIZED VIEW " + view + " DEPENDS ON EXTENSION csp_ext").c_str());
    spi_execute(("COMMENT ON MATERIALIZED VIEW " + view + " IS 'csp_ext: stands for the models, runs and searches of its owner'").c_str());
    server_call([&] {
        CommandCounterIncrement();
        Oid relation = get_relname_relid(name.c_str(), get_namespace_oid("csp", false));
        ATExecChangeOwner(relation, role, true, AccessExclusiveLock);
        CommandCounterIncrement();
    });
}

bool owns_something(Oid role) {
    return spi_execute("SELECT WHERE EXISTS (SELECT FROM csp.model m WHERE m.owner::pg_catalog.oid OPERATOR(pg_catalog.=) $1) "
                       "OR EXISTS (SELECT FROM csp.run r WHERE r.owner::pg_catalog.oid OPERATOR(pg_catalog.=) $1) "
                       "OR EXISTS (SELECT FROM csp.search s WHERE s.owner::pg_catalog.oid OPERATOR(pg_catalog.=) $1) "
                       "OR EXISTS (SELECT FROM csp.bulk_run b WHERE b.owner::pg_catalog.oid OPERATOR(pg_catalog.=) $1)",
                       SpiArguments().add(OIDOID, ObjectIdGetDatum(role)))
               .count() > 0;
}

// ---- grantees --------------------------------------------------------------------------------------------------------

// One after the other: grants on one function would collide, and a revocation must see all models.
void lock_grants() {
    server_call([] {
        Oid schema = get_namespace_oid("csp", false);
        Oid function = GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid, CStringGetDatum("granted_models"),
                                       PointerGetDatum(buildoidvector(nullptr, 0)), ObjectIdGetDatum(schema));
        LockDatabaseObject(ProcedureRelationId, function, 0, ExclusiveLock);
    });
}

bool is_grantee(Oid role) {
    return spi_execute("SELECT FROM pg_catalog.pg_proc p, LATERAL pg_catalog.aclexplode(p.proacl) a "
                       "WHERE p.proname OPERATOR(pg_catalog.=) 'granted_models' "
                       "AND p.pronamespace OPERATOR(pg_catalog.=) 'csp'::pg_catalog.regnamespace "
                       "AND a.grantee OPERATOR(pg_catalog.=) $1 LIMIT 1",
                       SpiArguments().add(OIDOID, ObjectIdGetDatum(role)))
               .count() > 0;
}

bool is_granted_something(Oid role) {
    return spi_execute("SELECT FROM csp.model m WHERE $1 OPERATOR(pg_catalog.=) ANY (m.granted_to::pg_catalog.oid[]) LIMIT 1",
                       SpiArguments().add(OIDOID, ObjectIdGetDatum(role)))
               .count() > 0;
}

}  // namespace

void hold_owner(Oid role) {
    if (!can_be_dropped(role) || lock_relation_of_owner(role))
        return;
    LOCKTAG tag = advisory_lock(role, owner_lock_class);
    server_call([&] { LockAcquire(&tag, ExclusiveLock, false, false); });
    if (!lock_relation_of_owner(role))
        make_relation_of_owner(role);
}

void release_owner(Oid role) {
    // Under a snapshot of the transaction's own nobody can tell what others have written meanwhile.
    if (IsolationUsesXactSnapshot())
        return;
    // How many are to stay: of one that is not dropped none, though REASSIGN OWNED brings them to it too.
    const auto needed = [role] { return int64(can_be_dropped(role) && owns_something(role)); };
    int64 kept = needed();
    while (Oid relation = relation_of_owner(role, kept)) {
        // Where another holds it, he has something. Meanwhile others may have come to own something, or the first have gone.
        if (!server_call([=] { return ConditionalLockRelationOid(relation, AccessExclusiveLock); }))
            return;
        kept = needed();
        if (relation_of_owner(role, kept) != relation)
            continue;
        const char *name = server_call([=] { return get_rel_name(relation); });
        if (name == nullptr)
            return;
        spi_execute(("DROP MATERIALIZED VIEW csp." + quoted(name)).c_str());
    }
}

void hold_grantee(Oid role) {
    if (!can_be_dropped(role))
        return;
    lock_grants();
    if (!is_grantee(role))
        spi_execute(("GRANT EXECUTE ON FUNCTION csp.granted_models() TO " + quoted(role_name(role))).c_str());
}

void release_grantee(Oid role) {
    if (!can_be_dropped(role))
        return;
    lock_grants();
    if (!is_granted_something(role) && is_grantee(role))
        spi_execute(("REVOKE EXECUTE ON FUNCTION csp.granted_models() FROM " + quoted(role_name(role))).c_str());
}

bool is_making_relation_of_owner() { return making; }

bool stands_for_owner(Oid relation) {
    HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
    if (!HeapTupleIsValid(tuple))
        return false;
    const FormData_pg_class form = *(Form_pg_class)GETSTRUCT(tuple);
    ReleaseSysCache(tuple);
    return form.relkind == RELKIND_MATVIEW && form.relispopulated && form.relnamespace == get_namespace_oid("csp", true) &&
           form.relam == get_table_am_oid(access_method, true);
}

namespace {

// ---- the trigger -----------------------------------------------------------------------------------------------------

struct Roles {
    Oid owner = InvalidOid;
    std::vector<Oid> grantees;
};

std::vector<Oid> oids_of(ArrayType *array) {
    Datum *elements;
    int count;
    server_call([&] { deconstruct_array(array, OIDOID, sizeof(Oid), true, TYPALIGN_INT, &elements, nullptr, &count); });
    std::vector<Oid> oids;
    for (int i = 0; i < count; ++i)
        oids.push_back(DatumGetObjectId(elements[i]));
    return oids;
}

Roles roles_of(TriggerData *trigger, HeapTuple row) {
    Roles roles;
    TupleDesc columns = RelationGetDescr(trigger->tg_relation);
    bool is_null;
    roles.owner = DatumGetObjectId(SPI_getbinval(row, columns, SPI_fnumber(columns, "owner"), &is_null));
    if (int grants = SPI_fnumber(columns, "granted_to"); grants > 0) {
        Datum value = SPI_getbinval(row, columns, grants, &is_null);
        roles.grantees = oids_of(server_call([&] { return DatumGetArrayTypeP(value); }));
    }
    return roles;
}

void require_catalogue_row(const TriggerData *trigger) {
    const Oid schema = server_call([] { return get_namespace_oid("csp", false); });
    if (RelationGetNamespace(trigger->tg_relation) != schema || !TRIGGER_FIRED_FOR_ROW(trigger->tg_event))
        throw SqlError(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED, "csp.roles_changed() is for the catalogue of csp_ext",
                       "It takes the owners of rows from columns that it knows there.");
}

void follow(const Roles &before, const Roles &after) {
    if (after.owner != InvalidOid)
        hold_owner(after.owner);
    for (Oid role : after.grantees)
        hold_grantee(role);
    if (before.owner != after.owner)
        release_owner(before.owner);
    for (Oid role : before.grantees)
        if (std::find(after.grantees.begin(), after.grantees.end(), role) == after.grantees.end())
            release_grantee(role);
}

}  // namespace

}  // namespace csp::server

using namespace csp::server;

extern "C" {

PG_FUNCTION_INFO_V1(csp_roles_changed);
PG_FUNCTION_INFO_V1(csp_owned_handler);

// Row trigger on the tables that have owners. Any role may put it on a table of its own, whose columns would say what they like:
// nobody but superusers creates in schema csp.
Datum csp_roles_changed(PG_FUNCTION_ARGS) {
    return guard([&] {
        if (!CALLED_AS_TRIGGER(fcinfo))
            throw SqlError(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED, "csp_roles_changed must be called as a trigger");
        auto *trigger = reinterpret_cast<TriggerData *>(fcinfo->context);
        require_catalogue_row(trigger);
        Roles before, after;
        if (!TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
            before = roles_of(trigger, trigger->tg_trigtuple);
        if (TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
            after = roles_of(trigger, trigger->tg_trigtuple);
        else if (TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
            after = roles_of(trigger, trigger->tg_newtuple);
        with_spi([&] {
            CatalogOwnerIdentity owner;
            follow(before, after);
        });
        return PointerGetDatum(nullptr);
    });
}

// csp.owned_handler(internal) -> table_am_handler
Datum csp_owned_handler(PG_FUNCTION_ARGS) {
    (void)fcinfo;
    PG_RETURN_POINTER(GetHeapamTableAmRoutine());
}

}  // extern "C"

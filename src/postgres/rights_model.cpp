// csp_grant, csp_revoke and csp_set_owner.
#include "rights.h"

#include "registry.h"
#include "spi.h"
#include "text_argument.h"

extern "C" {
#include "tcop/utility.h"
#include "utils/acl.h"
}

using namespace csp;
using namespace csp::server;

namespace {

Oid role_named(const std::string &name) {
    return server_call([&] { return get_role_oid(name.c_str(), false); });
}

// Rights are on a model with all its versions.
void lock_whole_model(const std::string &model, const char *function) {
    if (RecoveryInProgress())
        throw SqlError(ERRCODE_READ_ONLY_SQL_TRANSACTION, std::string("cannot execute ") + function + " during recovery",
                       "This server is a standby.", "Do it on the primary; it will arrive here.");
    server_call([&] { PreventCommandIfReadOnly(psprintf("%s()", function)); });
    if (parse_model(model).version)
        throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "rights are on a model with all its versions", {},
                       "Name it without a version: \"" + parse_model(model).name + "\".");
    lock_own_model(model);
}

void grant(const std::string &model, Oid role) {
    lock_whole_model(model, "csp_grant");
    CatalogOwnerIdentity owner;
    spi_execute("UPDATE csp.model m SET granted_to = pg_catalog.array_append(m.granted_to, $2::csp.role) "
                "WHERE m.name OPERATOR(pg_catalog.=) $1 AND NOT $2 OPERATOR(pg_catalog.=) ANY (m.granted_to::pg_catalog.oid[])",
                SpiArguments().add(model).add(OIDOID, ObjectIdGetDatum(role)));
}

void revoke(const std::string &model, Oid role) {
    lock_whole_model(model, "csp_revoke");
    CatalogOwnerIdentity owner;
    spi_execute("UPDATE csp.model m SET granted_to = pg_catalog.array_remove(m.granted_to::pg_catalog.oid[], $2)::csp.role[] "
                "WHERE m.name OPERATOR(pg_catalog.=) $1 AND $2 OPERATOR(pg_catalog.=) ANY (m.granted_to::pg_catalog.oid[])",
                SpiArguments().add(model).add(OIDOID, ObjectIdGetDatum(role)));
}

void require_that_user_may_become(Oid role) {
#if PG_VERSION_NUM >= 160000
    server_call([role] { check_can_set_role(GetUserId(), role); });
#else
    server_call([role] { check_is_member_of_role(GetUserId(), role); });
#endif
}

void set_owner(const std::string &model, Oid role) {
    lock_whole_model(model, "csp_set_owner");
    require_that_user_may_become(role);
    CatalogOwnerIdentity owner;
    spi_execute("UPDATE csp.model m SET owner = $2 WHERE m.name OPERATOR(pg_catalog.=) $1 "
                "AND m.owner::pg_catalog.oid OPERATOR(pg_catalog.<>) $2",
                SpiArguments().add(model).add(OIDOID, ObjectIdGetDatum(role)));
}

}  // namespace

extern "C" {

PG_FUNCTION_INFO_V1(csp_includes_me);
PG_FUNCTION_INFO_V1(csp_grant);
PG_FUNCTION_INFO_V1(csp_revoke);
PG_FUNCTION_INFO_V1(csp_set_owner);

// csp.includes_me(roles) -> boolean. No C++ object lives in it: the server's errors may pass.
Datum csp_includes_me(PG_FUNCTION_ARGS) {
    ArrayType *roles = PG_GETARG_ARRAYTYPE_P(0);
    Datum *elements;
    bool *nulls;
    int count;
    deconstruct_array(roles, ARR_ELEMTYPE(roles), sizeof(Oid), true, TYPALIGN_INT, &elements, &nulls, &count);
    for (int i = 0; i < count; ++i) {
        const Oid role = nulls[i] ? InvalidOid : DatumGetObjectId(elements[i]);
        if (role == public_role || (OidIsValid(role) && has_privs_of_role(GetUserId(), role)))
            PG_RETURN_BOOL(true);
    }
    PG_RETURN_BOOL(false);
}

// csp_grant(model, role)
Datum csp_grant(PG_FUNCTION_ARGS) {
    return guard([&]() -> Datum {
        const std::string model = text_argument(fcinfo, 0, "model"), role = text_argument(fcinfo, 1, "role");
        with_spi([&] { grant(model, role == "public" ? public_role : role_named(role)); });
        PG_RETURN_VOID();
    });
}

// csp_revoke(model, role)
Datum csp_revoke(PG_FUNCTION_ARGS) {
    return guard([&]() -> Datum {
        const std::string model = text_argument(fcinfo, 0, "model"), role = text_argument(fcinfo, 1, "role");
        with_spi([&] { revoke(model, role == "public" ? public_role : role_named(role)); });
        PG_RETURN_VOID();
    });
}

// csp_set_owner(model, role)
Datum csp_set_owner(PG_FUNCTION_ARGS) {
    return guard([&]() -> Datum {
        const std::string model = text_argument(fcinfo, 0, "model"), role = text_argument(fcinfo, 1, "role");
        with_spi([&] { set_owner(model, role_named(role)); });
        PG_RETURN_VOID();
    });
}

}  // extern "C"

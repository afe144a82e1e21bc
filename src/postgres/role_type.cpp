// The type csp.role: a role by name, which may be unknown here.
#include "guard.h"
#include "rights.h"

extern "C" {
#include "libpq/pqformat.h"
#include "nodes/pg_list.h"
#include "utils/acl.h"
#include "utils/regproc.h"
}

using namespace csp::server;

namespace {

List *parse_identifiers(const char *text) {
#if PG_VERSION_NUM >= 160000
    return stringToQualifiedNameList(text, nullptr);
#else
    return stringToQualifiedNameList(text);
#endif
}

// Numbers stand for roles that were dropped, in whatever server the text comes from: they name nobody here.
Oid role_from_text(const char *text) {
    if (std::strcmp(text, "-") == 0)
        return InvalidOid;
    if (std::strcmp(text, "public") == 0)
        return public_role;
    List *names = parse_identifiers(text);
    if (list_length(names) != 1)
        ereport(ERROR, (errcode(ERRCODE_INVALID_NAME), errmsg("invalid role name \"%s\"", text)));
    const char *name = strVal(linitial(names));
    Oid role = get_role_oid(name, true);
    if (!OidIsValid(role))
        ereport(WARNING, (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("role \"%s\" does not exist", name),
                          errdetail("In the catalogue of csp_ext no role takes its place."),
                          errhint("A superuser can give models that it owned to another with csp_set_owner.")));
    return role;
}

const char *text_of_role(Oid role) {
    if (!OidIsValid(role))
        return "-";
    if (role == public_role)
        return "public";
    const char *name = GetUserNameFromId(role, true);
    return name ? quote_identifier(name) : psprintf("%u", role);
}

}  // namespace

extern "C" {

PG_FUNCTION_INFO_V1(csp_role_in);
PG_FUNCTION_INFO_V1(csp_role_out);
PG_FUNCTION_INFO_V1(csp_role_recv);
PG_FUNCTION_INFO_V1(csp_role_send);

// No C++ object lives in these: the server's errors may pass.

Datum csp_role_in(PG_FUNCTION_ARGS) { PG_RETURN_OID(role_from_text(PG_GETARG_CSTRING(0))); }

Datum csp_role_out(PG_FUNCTION_ARGS) { PG_RETURN_CSTRING(pstrdup(text_of_role(PG_GETARG_OID(0)))); }

Datum csp_role_recv(PG_FUNCTION_ARGS) {
    auto *buffer = reinterpret_cast<StringInfo>(PG_GETARG_POINTER(0));
    int size;
    PG_RETURN_OID(role_from_text(pq_getmsgtext(buffer, buffer->len - buffer->cursor, &size)));
}

Datum csp_role_send(PG_FUNCTION_ARGS) {
    StringInfoData buffer;
    const char *text = text_of_role(PG_GETARG_OID(0));
    pq_begintypsend(&buffer);
    pq_sendtext(&buffer, text, int(std::strlen(text)));
    PG_RETURN_BYTEA_P(pq_endtypsend(&buffer));
}

}  // extern "C"

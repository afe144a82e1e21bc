// Finding and dropping what names a model.
#include "model_dependents.h"

#include "plan_expressions.h"
#include "spi.h"

#include <algorithm>

extern "C" {
#include "catalog/dependency.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_proc.h"
#include "commands/extension.h"
#include "mb/pg_wchar.h"
#include "nodes/parsenodes.h"
#include "utils/acl.h"
#include "utils/fmgroids.h"
#include "utils/syscache.h"
}

namespace csp::server {

namespace {

// ---- models in an expression: server calls that may raise errors, so no C++ objects live across them ---------------

// Whoever asks what an expression names.
struct Naming {
    ReturnSetInfo *result;
    Oid extension;
};

void put(const Naming &naming, Datum name, Datum version, bool by_version) {
    Datum values[] = {name, version};
    bool nulls[] = {by_version, !by_version};
    tuplestore_putvalues(naming.result->setResult, naming.result->setDesc, values, nulls);
}

// What is given for an argument, by place or by name; null: its default.
Node *argument(const List *arguments, int number) {
    const ListCell *cell;
    foreach (cell, arguments) {
        auto *given = static_cast<Node *>(lfirst(cell));
        if (!IsA(given, NamedArgExpr) && foreach_current_index(cell) == number)
            return given;
        if (IsA(given, NamedArgExpr) && reinterpret_cast<NamedArgExpr *>(given)->argnumber == number)
            return reinterpret_cast<Node *>(reinterpret_cast<NamedArgExpr *>(given)->arg);
    }
    return nullptr;
}

// The constant that an expression is, but for a change of type; null if it is none.
Const *constant_in(Node *expression) {
    while (expression != nullptr && IsA(expression, RelabelType))
        expression = reinterpret_cast<Node *>(reinterpret_cast<RelabelType *>(expression)->arg);
    const bool given = expression != nullptr && IsA(expression, Const) && !reinterpret_cast<Const *>(expression)->constisnull;
    return given ? reinterpret_cast<Const *>(expression) : nullptr;
}

bool is_name(Node *expression, Datum *name) {
    const Const *constant = constant_in(expression);
    if (constant != nullptr)
        *name = constant->constvalue;
    return constant != nullptr;
}

// Numbers are written without their type: int8(5). Nothing else is evaluated: no function of somebody else's may run here,
// nor may one fail.
bool is_version(Node *expression, Datum *id) {
    const bool widened = expression != nullptr && IsA(expression, FuncExpr) &&
                         reinterpret_cast<FuncExpr *>(expression)->funcid == F_INT8_INT4;
    const Const *constant =
        constant_in(widened ? static_cast<Node *>(linitial(reinterpret_cast<FuncExpr *>(expression)->args)) : expression);
    if (constant != nullptr)
        *id = widened ? Int64GetDatum(DatumGetInt32(constant->constvalue)) : constant->constvalue;
    return constant != nullptr;
}

// Every function of the extension calls its argument `model` if it is a model's name, `version` if it is a version's id.
void find_in_call(const Naming &naming, Oid function, const List *arguments) {
    if (function < FirstNormalObjectId || getExtensionOfObject(ProcedureRelationId, function) != naming.extension)
        return;
    HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
    if (!HeapTupleIsValid(tuple))
        return;
    Oid *types;
    char **names;
    char *modes;
    const int count = get_func_arg_info(tuple, &types, &names, &modes);
    ReleaseSysCache(tuple);
    for (int i = 0, number = 0; names != nullptr && i < count; ++i) {
        if (modes != nullptr && modes[i] != PROARGMODE_IN && modes[i] != PROARGMODE_INOUT)
            continue;
        Node *given = argument(arguments, number++);
        Datum value;
        if (types[i] == TEXTOID && strcmp(names[i], "model") == 0 && is_name(given, &value))
            put(naming, value, Datum(0), false);
        if (types[i] == INT8OID && strcmp(names[i], "version") == 0 && is_version(given, &value))
            put(naming, Datum(0), value, true);
    }
}

bool find_models(Node *node, void *context) {
    if (node == nullptr)
        return false;
    if (IsA(node, FuncExpr))
        find_in_call(*static_cast<Naming *>(context), reinterpret_cast<FuncExpr *>(node)->funcid,
                     reinterpret_cast<FuncExpr *>(node)->args);
    if (IsA(node, Query))
        return walk_query(reinterpret_cast<Query *>(node), find_models, context);
    return walk_expression(node, find_models, context);
}

// ---- objects -------------------------------------------------------------------------------

constexpr std::size_t listed = 100;  // as many as DROP tells a client

ObjectAddress address_of(const Dependent &dependent) {
    return {dependent.class_id, dependent.object_id, dependent.part};
}

std::string name_of(const Dependent &dependent) {
    return server_call([&] {
        const ObjectAddress address = address_of(dependent);
        return getObjectDescription(&address, false);
    });
}

// A line for each of the first hundred: before, the object, after.
std::string list_objects(const Dependents &dependents, const std::string &before, const std::string &after) {
    std::string list;
    for (std::size_t i = 0; i < std::min(dependents.size(), listed); ++i)
        list += (i ? "\n" : "") + before + name_of(dependents[i]) + after;
    if (dependents.size() > listed)
        list += "\nand " + std::to_string(dependents.size() - listed) + " other objects";
    return list;
}

void require_ownership(const Dependent &dependent) {
    if (!server_call([&] { return has_privs_of_role(GetUserId(), dependent.owner); }))
        throw SqlError(ERRCODE_INSUFFICIENT_PRIVILEGE, "must be owner of " + name_of(dependent));
}

void notice_of_drop(const Dependents &dependents) {
    const std::string list = list_objects(dependents, "drop cascades to ", "");
    server_call([&] {
        if (dependents.size() == 1)
            ereport(NOTICE, (errmsg_internal("%s", list.c_str())));
        else
            ereport(NOTICE, (errmsg("drop cascades to %d other objects", int(dependents.size())), errdetail_internal("%s", list.c_str())));
    });
}

}  // namespace

Dependents find_dependents(const std::string &model, const std::optional<std::string> &version) {
    // What DROP would see, whatever the isolation level.
    server_call([] { PushActiveSnapshot(GetLatestSnapshot()); });
    SpiRows rows = spi_execute(
        "SELECT DISTINCT d.object COLLATE pg_catalog.\"C\", d.classid, d.objid, d.objsubid, d.owner::pg_catalog.oid "
        "FROM csp.dependents d WHERE CASE WHEN $2 IS NULL THEN pg_catalog.split_part(d.model, '@', 1) OPERATOR(pg_catalog.=) $1 "
        "ELSE d.model OPERATOR(pg_catalog.=) pg_catalog.concat($1, '@', $2) END "
        "OR EXISTS (SELECT FROM csp.model_version v WHERE v.id OPERATOR(pg_catalog.=) d.version "
        "AND v.model OPERATOR(pg_catalog.=) $1 AND ($2 IS NULL OR v.version::pg_catalog.text OPERATOR(pg_catalog.=) $2)) ORDER BY 1",
        SpiArguments().add(model).add(version ? version->c_str() : nullptr), true);
    Dependents found;
    for (uint64 i = 0; i < rows.count(); ++i) {
        const auto oid = [&](int column) {
            bool is_null;
            return DatumGetObjectId(rows.datum(i, column, is_null));
        };
        found.push_back({oid(2), oid(3), rows.integer(i, 4), oid(5)});
    }
    server_call([] { PopActiveSnapshot(); });
    return found;
}

std::string describe(const Dependents &dependents, const std::string &model) {
    return list_objects(dependents, "", " depends on model \"" + model + "\"");
}

void drop_dependents(const Dependents &dependents) {
    for (const Dependent &dependent : dependents)
        require_ownership(dependent);
    notice_of_drop(dependents);
    server_call([&] {
        ObjectAddresses *addresses = new_object_addresses();
        for (const Dependent &dependent : dependents) {
            const ObjectAddress address = address_of(dependent);
            add_exact_object_address(&address, addresses);
        }
        performMultipleDeletions(addresses, DROP_CASCADE, 0);
        free_object_addresses(addresses);
    });
}

}  // namespace csp::server

using namespace csp::server;

extern "C" {

PG_FUNCTION_INFO_V1(csp_models_named);
PG_FUNCTION_INFO_V1(csp_trigger_models_named);

// csp.models_named(expression) -> setof (model, version)
Datum csp_models_named(PG_FUNCTION_ARGS) {
    InitMaterializedSRF(fcinfo, 0);
    Naming naming{reinterpret_cast<ReturnSetInfo *>(fcinfo->resultinfo), get_extension_oid("csp_ext", false)};
    find_models(static_cast<Node *>(stringToNode(TextDatumGetCString(PG_GETARG_DATUM(0)))), &naming);
    PG_RETURN_NULL();
}

// csp.models_named(trigger_arguments) -> setof (model, version). Arguments end with a zero byte each; the model is the third.
Datum csp_trigger_models_named(PG_FUNCTION_ARGS) {
    InitMaterializedSRF(fcinfo, 0);
    Naming naming{reinterpret_cast<ReturnSetInfo *>(fcinfo->resultinfo), InvalidOid};
    bytea *arguments = PG_GETARG_BYTEA_PP(0);
    const char *at = VARDATA_ANY(arguments), *end = at + VARSIZE_ANY_EXHDR(arguments);
    for (int number = 0; at < end; ++number) {
        const auto length = static_cast<int>(strnlen(at, end - at));
        if (number == 2 && length > 0) {
            pg_verifymbstr(at, length, false);  // of pg_trigger they are text; of a caller, anything
            put(naming, PointerGetDatum(cstring_to_text_with_len(at, length)), Datum(0), false);
        }
        at += length + 1;
    }
    PG_RETURN_NULL();
}

}  // extern "C"

// Recognising the query functions in an expression, by library and symbol.
#include "batch_functions.h"

#include "plan_expressions.h"

extern "C" {
#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/syscache.h"
}

// Server calls in this file may raise errors: no C++ objects live across them.
namespace csp::server {

namespace {

struct Symbol {
    const char *name;
    CallKind kind;
    bool dated;
    int arguments;  // without date and model
    int location, features, label, k;
    bool by_version = false;
};

constexpr Symbol symbols[] = {
    {"csp_embed", CallKind::embed, false, 1, 0, -1, -1, -1},
    {"csp_embed_at", CallKind::embed, true, 1, 0, -1, -1, -1},
    {"csp_embed_version", CallKind::embed, false, 1, 0, -1, -1, -1, true},
    {"csp_embed_version_at", CallKind::embed, true, 1, 0, -1, -1, -1, true},
    {"csp_embed_image", CallKind::embed_image, false, 1, -1, 0, -1, -1},
    {"csp_similarity", CallKind::similarity, false, 2, 0, 1, -1, -1},
    {"csp_similarity_at", CallKind::similarity, true, 2, 0, 1, -1, -1},
    {"csp_probabilities", CallKind::probabilities, false, 1, 0, -1, -1, -1},
    {"csp_probabilities_at", CallKind::probabilities, true, 1, 0, -1, -1, -1},
    {"csp_probability", CallKind::probability, false, 2, 0, -1, 1, -1},
    {"csp_probability_at", CallKind::probability, true, 2, 0, -1, 1, -1},
    {"csp_fuse", CallKind::fuse, false, 2, 1, 0, -1, -1},
    {"csp_fuse_at", CallKind::fuse, true, 2, 1, 0, -1, -1},
    {"csp_image_probabilities", CallKind::image_probabilities, false, 1, -1, 0, -1, -1},
    {"csp_fused_probabilities", CallKind::fused, false, 2, 0, 1, -1, -1},
    {"csp_fused_probabilities_at", CallKind::fused, true, 2, 0, 1, -1, -1},
    {"csp_classify", CallKind::classify, false, 2, 0, -1, -1, 1},
    {"csp_classify_at", CallKind::classify, true, 2, 0, -1, -1, 1},
    {"csp_classify_five", CallKind::classify, false, 1, 0, -1, -1, -1},
    {"csp_classify_fused", CallKind::classify, false, 3, 0, 1, -1, 2},
    {"csp_classify_fused_at", CallKind::classify, true, 3, 0, 1, -1, 2},
    {"csp_classify_fused_five", CallKind::classify, false, 2, 0, 1, -1, -1},
};

constexpr int default_class_count = 5;  // of csp_classify without k
constexpr Oid int4_greater = 521;  // integer > integer, in every database

HTAB *functions = nullptr;

void create_cache() {
    HASHCTL control = {};
    control.keysize = sizeof(Oid);
    control.entrysize = sizeof(BatchFunction);
    functions = hash_create("csp_ext query functions", 64, &control, HASH_ELEM | HASH_BLOBS);
}

void forget_functions(Datum, int, uint32) {
    if (functions != nullptr)
        hash_destroy(functions);
    functions = nullptr;
}

bool is_this_library(const char *file) {
    const char *name = strrchr(file, '/');
    name = name ? name + 1 : file;
    return strcmp(name, "csp_ext") == 0 || strcmp(name, "csp_ext.so") == 0;
}

char *text_attribute(HeapTuple tuple, AttrNumber attribute) {
    bool is_null;
    Datum value = SysCacheGetAttr(PROCOID, tuple, attribute, &is_null);
    return is_null ? nullptr : TextDatumGetCString(value);
}

bool is_called_directly(HeapTuple tuple) {
    bool has_no_settings;
    SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_proconfig, &has_no_settings);
    auto *form = (Form_pg_proc)GETSTRUCT(tuple);
    return has_no_settings && !form->prosecdef;
}

// Those of an image and a place answer where one of them is NULL; no other function is ever called with NULL.
bool may_be_called_with_null(const Symbol &symbol) {
    return symbol.kind == CallKind::fuse || symbol.kind == CallKind::fused ||
           (symbol.kind == CallKind::classify && symbol.features >= 0);
}

void describe(const Symbol &symbol, int arguments, bool strict, BatchFunction *function) {
    if (!strict && !may_be_called_with_null(symbol))
        return;
    const int with_date = symbol.arguments + symbol.dated;
    function->known = true;
    function->kind = symbol.kind;
    function->dated = symbol.dated;
    function->strict = strict;
    function->location = symbol.location;
    function->features = symbol.features;
    function->label = symbol.label;
    function->k = symbol.k;
    function->date = symbol.dated ? symbol.arguments : -1;
    function->model = arguments > with_date ? with_date : -1;
    function->by_version = symbol.by_version;
}

void look_up(Oid oid, BatchFunction *function) {
    function->known = false;
    HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(oid));
    if (!HeapTupleIsValid(tuple))
        return;
    auto *form = (Form_pg_proc)GETSTRUCT(tuple);
    // A function that was altered to run as its owner, or under settings of its own, is called as what it is.
    if (form->prolang == ClanguageId && is_called_directly(tuple)) {
        const char *file = text_attribute(tuple, Anum_pg_proc_probin);
        const char *name = text_attribute(tuple, Anum_pg_proc_prosrc);
        if (file != nullptr && name != nullptr && is_this_library(file))
            for (const Symbol &symbol : symbols)
                if (strcmp(symbol.name, name) == 0)
                    describe(symbol, form->pronargs, form->proisstrict, function);
    }
    ReleaseSysCache(tuple);
}

// A function by name and argument types; InvalidOid if there is none.
Oid function_oid(const char *name, Oid schema, const List *arguments) {
    Oid types[FUNC_MAX_ARGS];
    int count = 0;
    const ListCell *cell;
    foreach (cell, arguments)
        types[count++] = exprType(static_cast<Node *>(lfirst(cell)));
    oidvector *vector = buildoidvector(types, count);
    return GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid, CStringGetDatum(name), PointerGetDatum(vector),
                           ObjectIdGetDatum(schema));
}

bool may_execute(Oid function) { return execute_privilege(function) == ACLCHECK_OK; }

bool is_called_directly(Oid function, bool strict) {
    HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
    if (!HeapTupleIsValid(tuple))
        return false;
    const bool directly = is_called_directly(tuple) && ((Form_pg_proc)GETSTRUCT(tuple))->proisstrict == strict;
    ReleaseSysCache(tuple);
    return directly;
}

FuncExpr *make_call(const char *name, Oid schema, List *arguments, bool strict, const FuncExpr *like) {
    if (!OidIsValid(schema))
        return nullptr;
    Oid oid = function_oid(name, schema, arguments);
    if (!OidIsValid(oid) || !may_execute(oid) || !is_called_directly(oid, strict))
        return nullptr;
    FuncExpr *call = makeFuncExpr(oid, get_func_rettype(oid), arguments, InvalidOid, like->inputcollid,
                                  COERCE_EXPLICIT_CALL);
    call->funcretset = get_func_retset(oid);
    return call;
}

List *append_argument(List *arguments, const FuncExpr *call, int argument) {
    return argument < 0 ? arguments : lappend(arguments, list_nth(call->args, argument));
}

FuncExpr *probabilities_for(const FuncExpr *call, const BatchFunction &function) {
    List *arguments = append_argument(NIL, call, function.location);
    arguments = append_argument(arguments, call, function.features);
    arguments = append_argument(arguments, call, function.date);
    arguments = append_argument(arguments, call, function.model);
    const char *name = function.features < 0 ? "csp_probabilities" : "csp_fused_probabilities";
    return make_call(name, get_func_namespace(call->funcid), arguments, function.strict, call);
}

bool is_positive_constant(Node *k) {
    return IsA(k, Const) && !reinterpret_cast<Const *>(k)->constisnull &&
           DatumGetInt32(reinterpret_cast<Const *>(k)->constvalue) > 0;
}

Node *positive(Node *k) {
    Const *zero = makeConst(INT4OID, -1, InvalidOid, sizeof(int32), Int32GetDatum(0), false, true);
    auto *test = reinterpret_cast<OpExpr *>(make_opclause(int4_greater, BOOLOID, false,
                                                          static_cast<Expr *>(copyObjectImpl(k)),
                                                          reinterpret_cast<Expr *>(zero), InvalidOid, InvalidOid));
    set_opfuncid(test);
    return reinterpret_cast<Node *>(test);
}

// Whether no argument is NULL that the call cannot do without.
Node *all_known(const FuncExpr *call, const BatchFunction &function) {
    List *tests = NIL;
    const ListCell *cell;
    foreach (cell, call->args) {
        const int number = foreach_current_index(cell);
        if (!function.strict && number != function.k && number != function.model)
            continue;
        auto *argument = static_cast<Node *>(copyObjectImpl(lfirst(cell)));
        tests = lappend(tests, make_null_test(argument, IS_NOT_NULL));
    }
    return reinterpret_cast<Node *>(make_ands_explicit(tests));
}

// A wrong k is an error before anything is wrong with the other arguments, and at an empty place too:
// CASE WHEN k > 0 THEN probabilities WHEN all that have to be given are THEN any array END
Node *guarded_probabilities(const FuncExpr *call, const BatchFunction &function, FuncExpr *probabilities) {
    auto *k = function.k < 0 ? nullptr : static_cast<Node *>(list_nth(call->args, function.k));
    if (k == nullptr || is_positive_constant(k))
        return reinterpret_cast<Node *>(probabilities);
    Const *any = makeConst(FLOAT4ARRAYOID, -1, InvalidOid, -1, PointerGetDatum(construct_empty_array(FLOAT4OID)),
                           false, false);
    Const *null = makeNullConst(FLOAT4ARRAYOID, -1, InvalidOid);
    List *branches = list_make2(make_branch(positive(k), reinterpret_cast<Expr *>(probabilities)),
                                make_branch(all_known(call, function), reinterpret_cast<Expr *>(any)));
    return reinterpret_cast<Node *>(make_case(branches, reinterpret_cast<Expr *>(null)));
}

FuncExpr *classify_from(const FuncExpr *call, const BatchFunction &function, FuncExpr *probabilities) {
    List *arguments = list_make1(guarded_probabilities(call, function, probabilities));
    arguments = function.k >= 0 ? append_argument(arguments, call, function.k)
                                : lappend(arguments, makeConst(INT4OID, -1, InvalidOid, sizeof(int32),
                                                               Int32GetDatum(default_class_count), false, true));
    arguments = append_argument(arguments, call, function.model);
    FuncExpr *from = make_call("classify_probabilities", get_namespace_oid("csp", true), arguments, true, call);
    if (from != nullptr && !from->funcretset)
        return nullptr;
    return from;
}

}  // namespace

AclResult execute_privilege(Oid function) {
#if PG_VERSION_NUM >= 160000
    return object_aclcheck(ProcedureRelationId, function, GetUserId(), ACL_EXECUTE);
#else
    return pg_proc_aclcheck(function, GetUserId(), ACL_EXECUTE);
#endif
}

bool find_batch_function(Oid oid, BatchFunction *function) {
    if (oid < FirstNormalObjectId)
        return false;
    if (functions == nullptr)
        create_cache();
    bool found;
    auto *entry = static_cast<BatchFunction *>(hash_search(functions, &oid, HASH_FIND, &found));
    if (found) {
        *function = *entry;
        return function->known;
    }
    look_up(oid, function);  // an invalidation may drop the cache meanwhile
    if (functions == nullptr)
        create_cache();
    entry = static_cast<BatchFunction *>(hash_search(functions, &oid, HASH_ENTER, &found));
    function->oid = oid;
    *entry = *function;
    return function->known;
}

FuncExpr *open_classify(FuncExpr *call) {
    BatchFunction function;
    if (!find_batch_function(call->funcid, &function) || function.kind != CallKind::classify ||
        !may_execute(call->funcid))
        return nullptr;
    auto *arguments = reinterpret_cast<Node *>(call->args);
    if (contain_volatile_functions(arguments) || contain_subplans(arguments))
        return nullptr;  // some are evaluated twice
    FuncExpr *probabilities = probabilities_for(call, function);
    return probabilities ? classify_from(call, function, probabilities) : nullptr;
}

void register_function_callbacks() { CacheRegisterSyscacheCallback(PROCOID, forget_functions, Datum(0)); }

}  // namespace csp::server

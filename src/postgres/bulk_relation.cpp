// Tables and views as a bulk job sees them.
#include "bulk_relation.h"

#include "guard.h"

extern "C" {
#include "access/relation.h"
#include "access/stratnum.h"
#include "access/tableam.h"
#include "catalog/namespace.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "catalog/pg_inherits.h"
#include "optimizer/plancat.h"
#include "parser/parse_coerce.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/syscache.h"
#include "utils/typcache.h"
#include "utils/varlena.h"
}

#include <algorithm>

namespace csp::server {

namespace {

// May raise server errors, as all functions here without server_call.
const char *qualified_name(Oid relation) {
    return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relation)), get_rel_name(relation));
}

struct RawRelation {
    char kind;
    bool temporary;
    const char *name;
    TupleDesc descriptor;
    List *primary_key;  // attribute numbers
};

// Key columns of an index in their order.
List *key_columns(Oid index) {
    HeapTuple tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(index));
    if (!HeapTupleIsValid(tuple))
        return NIL;
    auto *form = (Form_pg_index)GETSTRUCT(tuple);
    List *columns = NIL;
    for (int i = 0; i < form->indnkeyatts; ++i)
        columns = lappend_int(columns, form->indkey.values[i]);
    ReleaseSysCache(tuple);
    return columns;
}

RawRelation read_relation(Oid oid) {
    Relation relation = relation_open(oid, AccessShareLock);
    RawRelation raw{relation->rd_rel->relkind, relation->rd_rel->relpersistence == RELPERSISTENCE_TEMP,
                    qualified_name(oid), CreateTupleDescCopy(RelationGetDescr(relation)),
                    key_columns(RelationGetPrimaryKeyIndex(relation))};
    relation_close(relation, NoLock);
    return raw;
}

// Is it unique for every row and at any time?
bool is_plainly_unique(Oid index) {
    HeapTuple tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(index));
    if (!HeapTupleIsValid(tuple))
        return false;
    auto *form = (Form_pg_index)GETSTRUCT(tuple);
    bool unique = form->indisunique && form->indimmediate && form->indisvalid &&
                  heap_attisnull(tuple, Anum_pg_index_indpred, nullptr) &&
                  heap_attisnull(tuple, Anum_pg_index_indexprs, nullptr);
    ReleaseSysCache(tuple);
    return unique;
}

bool may_update(Oid relation, const List *columns) {
    if (pg_class_aclcheck(relation, GetUserId(), ACL_UPDATE) == ACLCHECK_OK)
        return true;
    ListCell *cell;
    foreach (cell, columns) {
        AttrNumber number = get_attnum(relation, static_cast<char *>(lfirst(cell)));
        if (pg_attribute_aclcheck(relation, number, GetUserId(), ACL_UPDATE) != ACLCHECK_OK)
            return false;
    }
    return true;
}

// Why the rows of a table below `root` cannot be taken from it directly; null: they can.
const char *obstacle_of(Relation relation, Oid root, const List *updated) {
    Oid oid = RelationGetRelid(relation);
    if (relation->rd_rel->relkind == RELKIND_FOREIGN_TABLE)
        return "is a foreign table";
    if (relation->rd_tableam == nullptr || relation->rd_tableam->scan_set_tidrange == nullptr)
        return "has a storage without ranges of blocks";
    // Reading the system column ctid is a right on the whole table.
    if (pg_class_aclcheck(oid, GetUserId(), ACL_SELECT) != ACLCHECK_OK)
        return "may not be read by you as a whole";
    if (!may_update(oid, updated))
        return "may not be updated by you directly";
    if (oid != root && check_enable_rls(oid, InvalidOid, true) != RLS_NONE)
        return "has row-level security of its own";
    return nullptr;
}

struct RawLeaf {
    const char *name;
    BlockNumber blocks;
    double rows;
};

struct RawLeaves {
    RawLeaf *leaves;
    int count;
    const char *obstacle;
};

RawLeaves read_leaves(Oid root, const List *updated) {
    LockRelationOid(root, AccessShareLock);
    List *oids = find_all_inheritors(root, AccessShareLock, nullptr);
    RawLeaves raw{static_cast<RawLeaf *>(palloc0(sizeof(RawLeaf) * list_length(oids))), 0, nullptr};
    if (list_length(oids) > 1 && check_enable_rls(root, InvalidOid, true) != RLS_NONE)
        raw.obstacle = "Row-level security of the table would not hold for its partitions.";
    ListCell *cell;
    foreach (cell, oids) {
        Relation relation = relation_open(lfirst_oid(cell), NoLock);
        bool has_rows = relation->rd_rel->relkind != RELKIND_PARTITIONED_TABLE && !RELATION_IS_OTHER_TEMP(relation);
        const char *obstacle = has_rows ? obstacle_of(relation, root, updated) : nullptr;
        if (obstacle != nullptr && raw.obstacle == nullptr)
            raw.obstacle = psprintf("Table %s %s.", qualified_name(lfirst_oid(cell)), obstacle);
        if (has_rows && obstacle == nullptr) {
            RawLeaf &leaf = raw.leaves[raw.count++];
            double all_visible;
            leaf.name = qualified_name(lfirst_oid(cell));
            estimate_rel_size(relation, nullptr, &leaf.blocks, &leaf.rows, &all_visible);
            leaf.blocks = RelationGetNumberOfBlocks(relation);  // the estimate takes an empty table for ten blocks
        }
        relation_close(relation, NoLock);
    }
    return raw;
}

}  // namespace

const BulkColumn *BulkRelation::find(const std::string &column) const {
    auto found = std::find_if(columns.begin(), columns.end(), [&](const BulkColumn &c) { return c.name == column; });
    return found == columns.end() ? nullptr : &*found;
}

bool BulkRelation::is_table() const { return kind == RELKIND_RELATION || kind == RELKIND_PARTITIONED_TABLE; }

std::optional<BulkRelation> find_relation(const std::string &name) {
    Oid oid = server_call([&] {
        List *names = textToQualifiedNameList(cstring_to_text(name.c_str()));
        return RangeVarGetRelid(makeRangeVarFromNameList(names), AccessShareLock, true);
    });
    if (!OidIsValid(oid))
        return std::nullopt;
    return load_relation(oid);
}

BulkRelation load_relation(Oid oid) {
    RawRelation raw = server_call([oid] { return read_relation(oid); });
    BulkRelation relation;
    relation.oid = oid;
    relation.kind = raw.kind;
    relation.temporary = raw.temporary;
    relation.name = raw.name;
    for (int i = 0; i < raw.descriptor->natts; ++i) {
        Form_pg_attribute attribute = TupleDescAttr(raw.descriptor, i);
        if (attribute->attisdropped)
            continue;
        BulkColumn column;
        column.name = NameStr(attribute->attname);
        column.type = attribute->atttypid;
        column.typmod = column.base_typmod = attribute->atttypmod;
        column.base_type = server_call([&] { return getBaseTypeAndTypmod(column.type, &column.base_typmod); });
        column.collation = attribute->attcollation;
        column.number = attribute->attnum;
        relation.columns.push_back(std::move(column));
    }
    for (int i = 0; i < list_length(raw.primary_key); ++i)
        relation.primary_key.push_back(NameStr(TupleDescAttr(raw.descriptor, list_nth_int(raw.primary_key, i) - 1)->attname));
    return relation;
}

std::string new_relation_name(const std::string &name) {
    return server_call([&] {
        RangeVar *variable = makeRangeVarFromNameList(textToQualifiedNameList(cstring_to_text(name.c_str())));
        return quote_qualified_identifier(get_namespace_name(RangeVarGetCreationNamespace(variable)), variable->relname);
    });
}

bool has_unique_index(const BulkRelation &relation, const std::vector<std::string> &columns, UniqueOn what) {
    return server_call([&] {
        List *wanted = NIL;
        for (const std::string &column : columns)
            wanted = list_append_unique_int(wanted, get_attnum(relation.oid, column.c_str()));
        Relation opened = relation_open(relation.oid, AccessShareLock);
        List *indexes = RelationGetIndexList(opened);
        relation_close(opened, NoLock);
        ListCell *cell;
        foreach (cell, indexes) {
            if (!is_plainly_unique(lfirst_oid(cell)))
                continue;
            List *unique = key_columns(lfirst_oid(cell));
            bool within = list_difference_int(unique, wanted) == NIL;
            if (within && (what == UniqueOn::some || list_length(unique) == list_length(wanted)))
                return true;
        }
        return false;
    });
}

BulkLeaves find_leaves(const BulkRelation &relation, const std::vector<std::string> &updated_columns) {
    RawLeaves raw = server_call([&] {
        List *updated = NIL;
        for (const std::string &column : updated_columns)
            updated = lappend(updated, const_cast<char *>(column.c_str()));
        return read_leaves(relation.oid, updated);
    });
    BulkLeaves found;
    found.obstacle = raw.obstacle ? raw.obstacle : "";
    for (int i = 0; i < raw.count; ++i)
        found.leaves.push_back({raw.leaves[i].name, raw.leaves[i].blocks, raw.leaves[i].rows});
    return found;
}

bool row_security_applies(Oid relation) {
    return server_call([relation] { return check_enable_rls(relation, InvalidOid, true) == RLS_ENABLED; });
}

bool owns(Oid relation) {
    return server_call([relation] {
#if PG_VERSION_NUM >= 160000
        return object_ownercheck(RelationRelationId, relation, GetUserId());
#else
        return pg_class_ownercheck(relation, GetUserId());
#endif
    });
}

std::string quoted(const std::string &name) {
    return server_call([&] { return quote_identifier(name.c_str()); });
}

std::string quoted_literal(const std::string &value) {
    return server_call([&] { return quote_literal_cstr(value.c_str()); });
}

std::string type_name(const BulkColumn &column) {
    return server_call([&] { return format_type_with_typemod(column.type, column.typmod); });
}

std::string qualified_type(Oid type, int32 typmod) {
    return server_call([&] {
        return format_type_extended(type, typmod, FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY);
    });
}

std::string collation_clause(const BulkColumn &column) {
    if (!OidIsValid(column.collation) || column.collation == server_call([&] { return get_typcollation(column.type); }))
        return {};
    return server_call([&] {
        HeapTuple tuple = SearchSysCache1(COLLOID, ObjectIdGetDatum(column.collation));
        if (!HeapTupleIsValid(tuple))
            elog(ERROR, "cache lookup failed for collation %u", column.collation);
        auto *form = (Form_pg_collation)GETSTRUCT(tuple);
        char *clause = psprintf(" COLLATE %s", quote_qualified_identifier(get_namespace_name(form->collnamespace),
                                                                          NameStr(form->collname)));
        ReleaseSysCache(tuple);
        return clause;
    });
}

bool takes_embeddings(Oid base_type) {
    if (base_type == FLOAT4ARRAYOID)
        return true;
    return server_call([base_type] {
        Oid function;
        switch (find_coercion_pathway(base_type, FLOAT4ARRAYOID, COERCION_ASSIGNMENT, &function)) {
            case COERCION_PATH_FUNC:
            case COERCION_PATH_RELABELTYPE: return true;
            // An array of integers would take one too, and round it.
            case COERCION_PATH_ARRAYCOERCE: return get_element_type(base_type) == FLOAT8OID;
            default: return false;
        }
    });
}

std::vector<std::string> column_names(const std::vector<BulkColumn> &columns) {
    std::vector<std::string> names;
    for (const BulkColumn &column : columns)
        names.push_back(column.name);
    return names;
}

std::string order_operator(const BulkColumn &column, int strategy) {
    struct Operator {
        const char *schema, *name;
    };
    Operator found = server_call([&] {
        TypeCacheEntry *entry = lookup_type_cache(column.base_type, TYPECACHE_BTREE_OPFAMILY);
        Oid oid = OidIsValid(entry->btree_opf)
                      ? get_opfamily_member(entry->btree_opf, entry->btree_opintype, entry->btree_opintype, strategy)
                      : InvalidOid;
        HeapTuple tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(oid));
        if (!HeapTupleIsValid(tuple))
            return Operator{nullptr, nullptr};
        auto *form = (Form_pg_operator)GETSTRUCT(tuple);
        Operator result{quote_identifier(get_namespace_name(form->oprnamespace)), pstrdup(NameStr(form->oprname))};
        ReleaseSysCache(tuple);
        return result;
    });
    if (found.name == nullptr)
        throw SqlError(ERRCODE_DATATYPE_MISMATCH,
                       "key column \"" + column.name + "\" is of type " + type_name(column) + ", which has no order", {},
                       "Choose another column, or cast it in a view.");
    return std::string("OPERATOR(") + found.schema + "." + found.name + ")";
}

}  // namespace csp::server

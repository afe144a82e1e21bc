// Tables and views as a bulk job sees them: names, columns, keys, and the tables with storage below them.
#pragma once

#include "pg.h"

namespace csp::server {

struct BulkColumn {
    std::string name;
    Oid type = InvalidOid;       // as declared
    int32 typmod = -1;
    Oid base_type = InvalidOid;  // of a domain; otherwise the same
    int32 base_typmod = -1;
    Oid collation = InvalidOid;
    AttrNumber number = 0;
};

struct BulkRelation {
    Oid oid = InvalidOid;
    char kind = '\0';
    bool temporary = false;
    std::string name;  // qualified and quoted
    std::vector<BulkColumn> columns;
    std::vector<std::string> primary_key;  // in the order of its index

    // Null: no such column.
    const BulkColumn *find(const std::string &column) const;
    // Whether rows lie in blocks of its own or of tables below it.
    bool is_table() const;
};

// The relation of that name, as it would be written in SQL; nothing if there is none.
std::optional<BulkRelation> find_relation(const std::string &name);
BulkRelation load_relation(Oid oid);

// Qualified and quoted name that a new table of that name would have.
std::string new_relation_name(const std::string &name);

// Whether no two rows agree in the columns: a unique index on exactly them, or on some of them.
enum class UniqueOn { exactly, some };
bool has_unique_index(const BulkRelation &relation, const std::vector<std::string> &columns, UniqueOn what);

// A table with storage: the relation itself, a partition, or a child.
struct BulkLeaf {
    std::string name;
    uint32 blocks = 0;
    double rows = 0;  // an estimate
};

// Tables below the relation that can be read block by block, `writes` also updated in those columns; or why it must be
// taken as a whole.
struct BulkLeaves {
    std::vector<BulkLeaf> leaves;
    std::string obstacle;  // a sentence; empty: none
};
BulkLeaves find_leaves(const BulkRelation &relation, const std::vector<std::string> &updated_columns);

bool row_security_applies(Oid relation);
bool owns(Oid relation);

std::string quoted(const std::string &name);
std::string quoted_literal(const std::string &value);
std::string type_name(const BulkColumn &column);       // as in an error
std::string qualified_type(Oid type, int32 typmod);    // as in a statement
std::string collation_clause(const BulkColumn &column);  // " COLLATE ..." where it is not that of the type

// Whether a value of type real[] can be assigned to it without loss of what makes an embedding.
bool takes_embeddings(Oid base_type);

std::vector<std::string> column_names(const std::vector<BulkColumn> &columns);

// "OPERATOR(schema.=)": the operator of the type's default order, by its strategy in a btree. Throws
// SqlError(datatype_mismatch) for a type without order.
std::string order_operator(const BulkColumn &column, int strategy);

}  // namespace csp::server

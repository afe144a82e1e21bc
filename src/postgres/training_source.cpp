// From names of tables and columns to the query that is read.
#include "training_source.h"

#include "geometry.h"
#include "spi.h"

extern "C" {
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "parser/parse_coerce.h"
#include "parser/parser.h"
#include "utils/plancache.h"
#include "utils/varlena.h"
}

#include <strings.h>

namespace csp::server {

namespace {

struct Column {
    std::string name;
    Oid type;  // base type, for a domain
};

const char *const source_hint = "The source is the name of a table or view, schema-qualified if need be, or a SELECT.";

// A SELECT rather than the name of a relation? No unquoted relation name can begin so.
bool looks_like_query(const std::string &source) {
    std::size_t start = source.find_first_not_of(" \t\r\n(");
    if (start == std::string::npos)
        return false;
    if (source.compare(start, 2, "--") == 0 || source.compare(start, 2, "/*") == 0)
        return true;
    for (const char *word : {"select", "with", "values", "table"}) {
        std::size_t length = std::strlen(word);
        if (strncasecmp(source.c_str() + start, word, length) == 0 &&
            (start + length == source.size() || !(std::isalnum((unsigned char)source[start + length]) ||
                                                  source[start + length] == '_' || source[start + length] == '.')))
            return true;
    }
    return false;
}

// The one SELECT in the text, without a final semicolon.
std::string single_select(const std::string &source) {
    struct Extent {
        bool is_select;
        int statements, location, length;
    };
    auto parse = [&] {
        List *statements = raw_parser(source.c_str(), RAW_PARSE_DEFAULT);
        if (list_length(statements) != 1)
            return Extent{false, list_length(statements), 0, 0};
        auto *statement = linitial_node(RawStmt, statements);
        return Extent{IsA(statement->stmt, SelectStmt), 1, statement->stmt_location, statement->stmt_len};
    };
    Extent extent;
    try {
        extent = server_call(parse);
    } catch (const ServerError &error) {  // its cursor position would point into the CALL
        throw SqlError(error.data()->sqlerrcode, error.what(), "The SELECT given as source cannot be parsed.", source_hint);
    }
    if (!extent.is_select)
        throw SqlError(ERRCODE_SYNTAX_ERROR, "source must be a single SELECT",
                       extent.statements == 1 ? "It is a statement of another kind."
                                              : "It holds " + std::to_string(extent.statements) + " statements.",
                       source_hint);
    std::size_t length = extent.length > 0 ? std::size_t(extent.length) : std::string::npos;
    return source.substr(std::max(extent.location, 0), length);
}

std::string qualified_relation(const std::string &source) {
    struct Relation {
        Oid oid;
        char kind;
        const char *name;
    };
    Relation relation = server_call([&] {
        List *names = textToQualifiedNameList(cstring_to_text(source.c_str()));
        Oid oid = RangeVarGetRelid(makeRangeVarFromNameList(names), NoLock, true);
        if (!OidIsValid(oid))
            return Relation{InvalidOid, '\0', nullptr};
        const char *name = quote_qualified_identifier(get_namespace_name(get_rel_namespace(oid)), get_rel_name(oid));
        return Relation{oid, get_rel_relkind(oid), name};
    });
    if (!OidIsValid(relation.oid))
        throw SqlError(ERRCODE_UNDEFINED_TABLE, "relation \"" + source + "\" does not exist", {}, source_hint);
    const char readable_kinds[] = {RELKIND_RELATION, RELKIND_VIEW, RELKIND_MATVIEW, RELKIND_FOREIGN_TABLE,
                                   RELKIND_PARTITIONED_TABLE, '\0'};
    if (std::strchr(readable_kinds, relation.kind) == nullptr)
        throw SqlError(ERRCODE_WRONG_OBJECT_TYPE, "\"" + source + "\" is not a table or view", {}, source_hint);
    return relation.name;
}

// Columns of FROM item `from`, found by planning a query: nothing is executed.
std::vector<Column> columns_of(const std::string &from) {
    std::string sql = "SELECT * FROM " + from;
    TupleDesc descriptor = server_call([&] {
        SPIPlanPtr plan = SPI_prepare(sql.c_str(), 0, nullptr);
        if (plan == nullptr)
            elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
        auto *plan_source = static_cast<CachedPlanSource *>(linitial(SPI_plan_get_plan_sources(plan)));
        return plan_source->resultDesc;
    });
    std::vector<Column> columns;
    for (int i = 0; i < descriptor->natts; ++i) {
        Form_pg_attribute attribute = TupleDescAttr(descriptor, i);
        if (!attribute->attisdropped)
            columns.push_back({NameStr(attribute->attname), server_call([&] { return getBaseType(attribute->atttypid); })});
    }
    return columns;
}

std::string list_columns(const std::vector<Column> &columns) {
    std::string list = "Columns of the source: ";
    for (std::size_t i = 0; i < columns.size(); ++i)
        list += (i ? ", " : "") + ("\"" + columns[i].name + "\"");
    return list + ".";
}

const Column &find_column(const std::vector<Column> &columns, const std::string &name, const char *role) {
    const Column *found = nullptr;
    for (const Column &column : columns) {
        if (column.name != name)
            continue;
        if (found != nullptr)
            throw SqlError(ERRCODE_AMBIGUOUS_COLUMN, "column \"" + name + "\" of the source is ambiguous", {},
                           "Give the columns of the SELECT different names with AS.");
        found = &column;
    }
    if (found == nullptr)
        throw SqlError(ERRCODE_UNDEFINED_COLUMN, "column \"" + name + "\" does not exist in the source",
                       list_columns(columns),
                       std::string(role) + " is the name of a column; use a SELECT as source to compute one.");
    return *found;
}

std::string type_name(Oid type) {
    return server_call([type] { return static_cast<const char *>(format_type_be(type)); });
}

bool is_location_type(Oid type) { return type == postgis_geometry_type() || type == postgis_geography_type(); }

Column location_column(const std::vector<Column> &columns, const std::string &name) {
    if (!name.empty()) {
        Column column = find_column(columns, name, "Argument location");
        if (!is_location_type(column.type))
            throw SqlError(ERRCODE_DATATYPE_MISMATCH,
                           "column \"" + name + "\" is of type " + type_name(column.type) +
                               ", but location must be of type geometry or geography",
                           {}, "ST_SetSRID(ST_MakePoint(lon, lat), 4326) makes a point from two numbers.");
        return column;
    }
    std::vector<Column> candidates;
    for (const Column &column : columns)
        if (is_location_type(column.type))
            candidates.push_back(column);
    if (candidates.size() != 1)
        throw SqlError(candidates.empty() ? ERRCODE_UNDEFINED_COLUMN : ERRCODE_AMBIGUOUS_COLUMN,
                       candidates.empty() ? "the source has no column of type geometry or geography"
                                          : "the source has several columns of type geometry or geography",
                       list_columns(columns), "Name the column with the argument location.");
    return candidates[0];
}

// Text columns are left out on purpose: their cast to real[] would fail late, row by row.
void require_array_type(const Column &column, const char *what) {
    CoercionPathType path = server_call([&] {
        Oid function;
        return column.type == FLOAT4ARRAYOID
                   ? COERCION_PATH_RELABELTYPE
                   : find_coercion_pathway(FLOAT4ARRAYOID, column.type, COERCION_EXPLICIT, &function);
    });
    if (path == COERCION_PATH_NONE || path == COERCION_PATH_COERCEVIAIO)
        throw SqlError(ERRCODE_DATATYPE_MISMATCH,
                       "column \"" + column.name + "\" is of type " + type_name(column.type) +
                           ", but " + what + " must be of type real[] or have a cast to it",
                       {}, "Arrays of numbers and pgvector's vector and halfvec will do.");
}

void require_feature_type(const Column &column) { require_array_type(column, "features"); }

void require_probabilities_type(const Column &column) { require_array_type(column, "image_probabilities"); }

void require_date_type(const Column &column) {
    if (column.type != DATEOID && column.type != TIMESTAMPOID && column.type != TIMESTAMPTZOID)
        throw SqlError(ERRCODE_DATATYPE_MISMATCH,
                       "column \"" + column.name + "\" is of type " + type_name(column.type) +
                           ", but observed_at must be of type date or timestamp",
                       {}, "Cast it in a SELECT given as source.");
}

std::string quoted(const std::string &name) {
    return server_call([&] { return quote_identifier(name.c_str()); });
}

// Opening the query checks the privileges of the current user on all it touches.
void check_privileges(const std::string &sql) {
    server_call([&] {
        SPIPlanPtr plan = SPI_prepare(sql.c_str(), 0, nullptr);
        if (plan == nullptr)
            elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
        SPI_cursor_close(SPI_cursor_open(nullptr, plan, nullptr, nullptr, true));
    });
}

}  // namespace

TrainingQuery resolve_training_query(const std::string &source, const TrainingColumns &names) {
    std::string from = looks_like_query(source) ? "(" + single_select(source) + "\n) AS source"
                                                : qualified_relation(source) + " AS source";
    std::vector<Column> columns = columns_of(from);

    TrainingQuery query;
    query.has_features = !names.features.empty();
    query.has_label = !names.label.empty();
    query.has_date = !names.observed_at.empty();
    query.has_observer = !names.observer.empty();
    query.has_image_probabilities = !names.image_probabilities.empty();
    auto output = [&](const std::string &name, const char *role, void (*require)(const Column &), const char *type) {
        if (name.empty())
            return std::string(", NULL::") + type;
        const Column &column = find_column(columns, name, role);
        if (require != nullptr)
            require(column);
        return ", source." + quoted(column.name) + "::" + type;
    };
    query.sql = "SELECT source." + quoted(location_column(columns, names.location).name);
    query.sql += output(names.features, "Argument features", require_feature_type, "pg_catalog.float4[]");
    query.sql += output(names.label, "Argument label", nullptr, "pg_catalog.text");
    query.sql += output(names.observed_at, "Option observed_at", require_date_type, "pg_catalog.timestamptz");
    query.sql += output(names.observer, "Option observer", nullptr, "pg_catalog.text");
    query.sql += output(names.image_probabilities, "Argument image_probabilities", require_probabilities_type, "pg_catalog.float4[]");
    query.sql += " FROM " + from;
    check_privileges(query.sql);
    return query;
}

}  // namespace csp::server

// From arguments to a plan: every check comes before the first row is touched.
#include "bulk_plan.h"

#include "bulk_run.h"
#include "catalog.h"
#include "geometry.h"
#include "spi.h"

extern "C" {
#include "access/stratnum.h"
#include "catalog/pg_class.h"
}

#include <algorithm>

namespace csp::server {

const char *const target_location = "location";
const char *const target_observed_at = "observed_at";

namespace {

const char *const view_hint = "Give target the name of a table to keep the embeddings in.";

std::string list_columns(const BulkRelation &relation) {
    std::string list = "Columns of " + relation.name + ": ";
    for (std::size_t i = 0; i < relation.columns.size(); ++i)
        list += (i ? ", " : "") + ("\"" + relation.columns[i].name + "\"");
    return list + ".";
}

void notify(const std::string &message) {
    server_call([&] { ereport(NOTICE, (errmsg_internal("%s", message.c_str()))); });
}

// ---- source -------------------------------------------------------------------------------

BulkRelation find_source(const BulkRequest &request) {
    std::optional<BulkRelation> source = find_relation(request.source);
    if (!source)
        throw SqlError(ERRCODE_UNDEFINED_TABLE, "relation \"" + request.source + "\" does not exist", {},
                       "The source is the name of a table, or with target also of a view; schema-qualified if need be.");
    const bool readable = source->is_table() || source->kind == RELKIND_VIEW || source->kind == RELKIND_MATVIEW ||
                          source->kind == RELKIND_FOREIGN_TABLE;
    if (!readable)
        throw SqlError(ERRCODE_WRONG_OBJECT_TYPE, "\"" + request.source + "\" is not a table or view");
    if (request.target.empty() && !source->is_table())
        throw SqlError(ERRCODE_WRONG_OBJECT_TYPE, "\"" + request.source + "\" is not a table",
                       "Without target, the embeddings become a column of the source.", view_hint);
    return *source;
}

const BulkColumn &find_column(const BulkRelation &relation, const std::string &name, const char *argument) {
    const BulkColumn *column = relation.find(name);
    if (column == nullptr)
        throw SqlError(ERRCODE_UNDEFINED_COLUMN, "column \"" + name + "\" of " + relation.name + " does not exist",
                       list_columns(relation), std::string("Argument ") + argument + " is the name of a column.");
    return *column;
}

bool is_location_type(Oid type) { return type == postgis_geometry_type() || type == postgis_geography_type(); }

// What the type modifier of geometry and geography says: 0 anything, 1 points, ...
bool may_hold_points(const BulkColumn &column) {
    int subtype = column.base_typmod < 0 ? 0 : (column.base_typmod >> 2) & 0x3f;
    return subtype <= 1;
}

void require_location_type(const BulkColumn &column) {
    if (!is_location_type(column.base_type))
        throw SqlError(ERRCODE_DATATYPE_MISMATCH,
                       "column \"" + column.name + "\" is of type " + type_name(column) +
                           ", but location must be of type geometry or geography",
                       {}, "A view can make a point from two numbers: ST_SetSRID(ST_MakePoint(lon, lat), 4326).");
    if (!may_hold_points(column))
        throw SqlError(ERRCODE_DATATYPE_MISMATCH,
                       "column \"" + column.name + "\" is of type " + type_name(column) + ", but location must hold points",
                       {}, "A view can make points of it with ST_PointOnSurface or ST_Centroid.");
}

BulkColumn location_column(const BulkRelation &source, const std::string &name) {
    if (!name.empty()) {
        const BulkColumn &column = find_column(source, name, "location");
        require_location_type(column);
        return column;
    }
    std::vector<BulkColumn> candidates;
    for (const BulkColumn &column : source.columns)
        if (is_location_type(column.base_type) && may_hold_points(column))
            candidates.push_back(column);
    if (candidates.size() != 1)
        throw SqlError(candidates.empty() ? ERRCODE_UNDEFINED_COLUMN : ERRCODE_AMBIGUOUS_COLUMN,
                       candidates.empty() ? "the source has no column of points" : "the source has several columns of points",
                       list_columns(source), "Name a column of type geometry or geography with the argument location.");
    return candidates[0];
}

std::optional<BulkColumn> date_column(const BulkRelation &source, const std::string &name) {
    if (name.empty())
        return std::nullopt;
    const BulkColumn &column = find_column(source, name, "observed_at");
    Oid type = column.base_type;
    if (type != DATEOID && type != TIMESTAMPOID && type != TIMESTAMPTZOID)
        throw SqlError(ERRCODE_DATATYPE_MISMATCH,
                       "column \"" + name + "\" is of type " + type_name(column) +
                           ", but observed_at must be of type date or timestamp");
    return column;
}

// "a" or "a, b"; a column that is called "a, b" comes first.
std::vector<std::string> key_names(const BulkRelation &source, const std::string &key) {
    if (key.empty())
        return source.primary_key;
    if (source.find(key) != nullptr)
        return {key};
    std::vector<std::string> names;
    for (std::size_t start = 0; start <= key.size();) {
        std::size_t comma = std::min(key.find(',', start), key.size());
        std::string name = key.substr(start, comma - start);
        name.erase(0, name.find_first_not_of(' '));
        name.erase(name.find_last_not_of(' ') + 1);
        names.push_back(name);
        start = comma + 1;
    }
    return names;
}

std::vector<BulkColumn> key_columns(const BulkRelation &source, const BulkRequest &request) {
    std::vector<BulkColumn> columns;
    for (const std::string &name : key_names(source, request.key))
        columns.push_back(find_column(source, name, "key"));
    return columns;
}

void require_key(const BulkPlan &plan) {
    if (plan.keys.empty())
        throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "\"" + plan.request.source + "\" has no primary key",
                       "A row of the target is found by the key of its row in the source.",
                       "Name the unique column, or columns, of the source with the argument key.");
    for (const BulkColumn &key : plan.keys)
        order_operator(key, BTEqualStrategyNumber);  // or there is none, which is the error
    if (plan.source.is_table() && !has_unique_index(plan.source, column_names(plan.keys), UniqueOn::some))
        throw SqlError(ERRCODE_INVALID_COLUMN_REFERENCE, "the key is not unique in \"" + plan.request.source + "\"",
                       "There is no unique index on it.",
                       "Make one with CREATE UNIQUE INDEX, or name other columns with the argument key.");
}

// ---- model --------------------------------------------------------------------------------

BulkModel find_model(const BulkRequest &request) {
    BulkModel model;
    model.version = resolve_model(request.model ? request.model->c_str() : nullptr);
    SpiRows rows = spi_execute(
        "SELECT pg_catalog.concat(v.model, '@', v.version), v.configuration OPERATOR(pg_catalog.->>) 'dates' "
        "FROM csp.model_version v WHERE v.id OPERATOR(pg_catalog.=) $1",
        SpiArguments().add(model.version));
    if (rows.count() == 0)
        throw SqlError(ERRCODE_UNDEFINED_OBJECT, "the model has been dropped meanwhile");
    model.name = rows.text(0, 1);
    const bool dated = rows.text(0, 2) == "true";
    if (dated && request.observed_at.empty())
        throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "the model asks for the time of the observations",
                       "It was trained with the option observed_at.",
                       "Name the column of dates with the argument observed_at.");
    if (!dated && !request.observed_at.empty())
        throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "the model knows no dates",
                       "It was trained without the time of the observations.", "Leave out the argument observed_at.");
    return model;
}

// ---- columns that are written -------------------------------------------------------------

void require_embedding_columns(const BulkRelation &relation, const BulkPlan &plan) {
    const BulkColumn *embedding = relation.find(plan.embedding), *version = relation.find(plan.version);
    if (embedding != nullptr && !takes_embeddings(embedding->base_type))
        throw SqlError(ERRCODE_DATATYPE_MISMATCH,
                       "column \"" + plan.embedding + "\" of " + relation.name + " is of type " + type_name(*embedding) +
                           ", which holds no embeddings",
                       {}, "Use real[], double precision[], or pgvector's vector or halfvec; or name another column "
                           "with the argument embedding.");
    if (version != nullptr && version->base_type != INT8OID)
        throw SqlError(ERRCODE_DATATYPE_MISMATCH,
                       "column \"" + plan.version + "\" of " + relation.name + " is of type " + type_name(*version) +
                           ", but must be of type bigint",
                       "It holds the id of the version of the model, as in csp.models.",
                       "Rename it, or name another column with the argument embedding.");
}

void require_same_type(const BulkRelation &target, const char *name, const BulkColumn &source) {
    const BulkColumn *column = target.find(name);
    if (column != nullptr && column->base_type != source.base_type)
        throw SqlError(ERRCODE_DATATYPE_MISMATCH,
                       "column \"" + std::string(name) + "\" of " + target.name + " is of type " + type_name(*column) +
                           ", but column \"" + source.name + "\" of the source is of type " + type_name(source),
                       "It keeps what the embedding was computed from.", "Drop the column; it is then made anew.");
}

std::string column_definition(const std::string &name, const BulkColumn &like) {
    return quoted(name) + " " + qualified_type(like.type, like.typmod) + collation_clause(like);
}

// Definitions of the columns that the relation lacks.
std::vector<std::string> missing_columns(const BulkRelation &relation, const BulkPlan &plan, std::string &names) {
    std::vector<std::string> definitions;
    auto require = [&](const std::string &name, const std::string &definition) {
        if (relation.find(name) != nullptr)
            return;
        definitions.push_back(definition);
        names += (names.empty() ? "\"" : ", \"") + name + "\"";
    };
    if (!plan.request.target.empty()) {
        require(target_location, column_definition(target_location, plan.location));
        if (plan.observed_at)
            require(target_observed_at, column_definition(target_observed_at, *plan.observed_at));
    }
    require(plan.embedding, quoted(plan.embedding) + " pg_catalog.float4[]");
    require(plan.version, quoted(plan.version) + " pg_catalog.int8");
    return definitions;
}

BulkRelation with_missing_columns(const BulkRelation &relation, const BulkPlan &plan) {
    std::string names;
    std::vector<std::string> definitions = missing_columns(relation, plan, names);
    if (definitions.empty())
        return relation;
    if (!owns(relation.oid))
        throw SqlError(ERRCODE_INSUFFICIENT_PRIVILEGE, "must be owner of " + relation.name + " to add " + names,
                       "The table lacks columns that the embeddings need.", "Ask its owner to call csp_embed_table first, or "
                       "to add them; or give target the name of a table of your own.");
    std::string sql = "ALTER TABLE " + relation.name;
    for (std::size_t i = 0; i < definitions.size(); ++i)
        sql += (i ? ", ADD COLUMN " : " ADD COLUMN ") + definitions[i];
    spi_execute(sql.c_str());
    notify("added to " + relation.name + ": " + names);
    return load_relation(relation.oid);
}

// ---- target -------------------------------------------------------------------------------

BulkRelation create_target(const BulkPlan &plan) {
    std::string name = new_relation_name(plan.request.target), columns, keys, ignored;
    for (const BulkColumn &key : plan.keys) {
        columns += column_definition(key.name, key) + ", ";
        keys += (keys.empty() ? "" : ", ") + quoted(key.name);
    }
    for (const std::string &definition : missing_columns(BulkRelation(), plan, ignored))
        columns += definition + ", ";
    spi_execute(("CREATE TABLE " + name + " (" + columns + "PRIMARY KEY (" + keys + "))").c_str());
    notify("table " + name + " created");
    return *find_relation(name);
}

void check_target(const BulkRelation &target, const BulkPlan &plan) {
    if (!target.is_table())
        throw SqlError(ERRCODE_WRONG_OBJECT_TYPE, "\"" + plan.request.target + "\" is not a table");
    if (target.oid == plan.source.oid)
        throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "source and target are the same table", {},
                       "Leave out target to keep the embeddings in a column of the source.");
    for (const BulkColumn &key : plan.keys)
        if (target.find(key.name) == nullptr)
            throw SqlError(ERRCODE_UNDEFINED_COLUMN, "column \"" + key.name + "\" of " + target.name + " does not exist",
                           list_columns(target) + " The target has the key of the source.",
                           "Add it, or leave it to csp_embed_table to make the target.");
    if (!has_unique_index(target, column_names(plan.keys), UniqueOn::exactly))
        throw SqlError(ERRCODE_INVALID_COLUMN_REFERENCE, "the key is not unique in " + target.name,
                       "There is no unique index on exactly the columns of the key.",
                       "Add it with ALTER TABLE ... ADD PRIMARY KEY.");
    require_same_type(target, target_location, plan.location);
    if (plan.observed_at)
        require_same_type(target, target_observed_at, *plan.observed_at);
}

// The lock on the table that is written, until the end of the transaction.
void lock_written(const BulkRelation &relation) {
    if (!lock_bulk_table(relation.oid))
        throw SqlError(ERRCODE_OBJECT_IN_USE, "another csp_embed_table is filling " + relation.name, {},
                       "See csp.bulk_runs; wait for its end, or stop it with pg_cancel_backend.");
}

void prepare_written(BulkPlan &plan) {
    std::optional<BulkRelation> relation = plan.source;
    if (!plan.request.target.empty()) {
        require_key(plan);
        relation = find_relation(plan.request.target);
        if (relation)
            check_target(*relation, plan);
        else
            relation = create_target(plan);
    }
    lock_written(*relation);
    require_embedding_columns(*relation, plan);
    relation = with_missing_columns(*relation, plan);
    (plan.request.target.empty() ? plan.source : plan.target.emplace()) = *relation;
}

void check_pruning(const BulkPlan &plan) {
    if (!plan.request.prune)
        return;
    if (plan.request.target.empty())
        throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "prune needs a target", {},
                       "Without one, an embedding goes with its row.");
    if (row_security_applies(plan.source.oid))
        throw SqlError(ERRCODE_FEATURE_NOT_SUPPORTED, "cannot prune what row-level security may only hide",
                       "Rows of \"" + plan.request.source + "\" that you cannot see would be taken for deleted.",
                       "Prune as the owner of the source.");
}

std::string version_column(const std::string &embedding) {
    std::string name = embedding + "_version";
    if (name.size() >= NAMEDATALEN)
        throw SqlError(ERRCODE_NAME_TOO_LONG, "the name of the column \"" + embedding + "\" is too long",
                       "Beside it stands a column with \"_version\" behind the name.");
    return name;
}

std::string schema_of_function(Oid function) {
    return server_call([function] { return quote_identifier(get_namespace_name(get_func_namespace(function))); });
}

}  // namespace

BulkPlan make_plan(const BulkRequest &request, Oid function) {
    BulkPlan plan;
    plan.request = request;
    plan.functions = schema_of_function(function);
    plan.embedding = request.embedding;
    plan.version = version_column(request.embedding);
    plan.source = find_source(request);
    plan.location = location_column(plan.source, request.location);
    plan.observed_at = date_column(plan.source, request.observed_at);
    plan.keys = key_columns(plan.source, request);
    plan.model = with_spi([&] { return find_model(request); });
    check_pruning(plan);
    with_spi([&] { prepare_written(plan); });
    return plan;
}

}  // namespace csp::server

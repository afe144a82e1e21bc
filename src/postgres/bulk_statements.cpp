// The statements of a bulk job.
#include "bulk_statements.h"

extern "C" {
#include "access/stratnum.h"
}

#include <functional>

namespace csp::server {

namespace {

std::string join(const std::vector<std::string> &items, const char *separator) {
    std::string joined;
    for (std::size_t i = 0; i < items.size(); ++i)
        joined += (i ? separator : "") + items[i];
    return joined;
}

std::vector<std::string> key_columns(const BulkPlan &plan, const std::string &alias) {
    std::vector<std::string> columns;
    for (const BulkColumn &key : plan.keys)
        columns.push_back((alias.empty() ? "" : alias + ".") + quoted(key.name));
    return columns;
}

// A column with the type below its domain: what is compared must be of one type.
std::string plain(const std::string &alias, const std::string &name, const BulkColumn &column) {
    std::string reference = alias + "." + quoted(name);
    return column.base_type == column.type ? reference
                                           : reference + "::" + qualified_type(column.base_type, column.base_typmod);
}

std::string location_in(const BulkPlan &plan) { return plain("s", plan.location.name, plan.location); }

std::string date_in(const BulkPlan &plan) { return plain("s", plan.observed_at->name, *plan.observed_at); }

std::string version_literal(const BulkPlan &plan) {
    return "'" + std::to_string(plan.model.version) + "'::pg_catalog.int8";
}

// The date as csp_embed takes it; NULL for an infinite one, which is no time of the year.
std::string valid_date(const BulkPlan &plan) {
    std::string date = date_in(plan) + "::pg_catalog.timestamptz";
    return "CASE WHEN pg_catalog.isfinite(" + date + ") THEN " + date + " END";
}

std::string valid_location(const BulkPlan &plan) { return "csp.valid_location(" + location_in(plan) + ")"; }

std::string embedding_expression(const BulkPlan &plan) {
    return plan.functions + ".csp_embed(" + valid_location(plan) + (plan.observed_at ? ", " + valid_date(plan) : "") +
           ", " + quoted_literal(plan.model.name) + "::pg_catalog.text)";
}

// Can the row have an embedding at all?
std::string has_place(const BulkPlan &plan) {
    return valid_location(plan) + " IS NOT NULL" + (plan.observed_at ? " AND " + valid_date(plan) + " IS NOT NULL" : "");
}

std::string differs_from_version(const BulkPlan &plan, const std::string &version) {
    return version + " IS NULL OR " + version + " OPERATOR(pg_catalog.<>) " + version_literal(plan);
}

// What is wrong with the location of a row that was written without an embedding.
std::string problem(const BulkPlan &plan, const std::string &alias, const std::string &location) {
    return "CASE WHEN " + alias + "." + quoted(plan.embedding) + " IS NULL THEN " + plan.functions +
           ".csp_location_error(" + location + ") END";
}

std::string returning(const BulkPlan &plan, const std::string &alias, const std::string &location) {
    std::vector<std::string> label = plan.keys.empty() ? std::vector<std::string>{alias + ".ctid"} : key_columns(plan, alias);
    return " RETURNING " + problem(plan, alias, location) + ", " + join(label, ", ");
}

std::string equal_keys(const BulkPlan &plan, const std::string &left, const std::string &right) {
    std::vector<std::string> conditions;
    for (const BulkColumn &key : plan.keys)
        conditions.push_back(left + "." + quoted(key.name) + " " + order_operator(key, BTEqualStrategyNumber) + " " + right +
                             "." + quoted(key.name));
    return join(conditions, " AND ");
}

// ---- into columns of the source -----------------------------------------------------------

Statement update_statement(const BulkPlan &plan, const std::string &from) {
    std::string embedding = "s." + quoted(plan.embedding), version = "s." + quoted(plan.version);
    Statement statement;
    statement.before = "UPDATE " + from + " AS s SET " + quoted(plan.embedding) + " = " + embedding_expression(plan) + ", " +
                       quoted(plan.version) + " = " + version_literal(plan) + " WHERE ";
    statement.after = " AND (" + differs_from_version(plan, version) + " OR " + embedding + " IS NULL AND " +
                      has_place(plan) + ")" + returning(plan, "s", location_in(plan));
    return statement;
}

// ---- into a table beside the source -------------------------------------------------------

// The columns of a target, in the order in which they are inserted, after the keys.
std::vector<std::string> computed_columns(const BulkPlan &plan) {
    std::vector<std::string> columns = {quoted(target_location)};
    if (plan.observed_at)
        columns.push_back(quoted(target_observed_at));
    columns.push_back(quoted(plan.embedding));
    columns.push_back(quoted(plan.version));
    return columns;
}

// What the target has for a row of the source. LIMIT keeps the planner at looking it up row by row: a join of another
// kind would read the whole target for every piece.
std::string look_up(const BulkPlan &plan) {
    const BulkColumn *location = plan.target->find(target_location);
    std::string columns = "t." + quoted(plan.version) + " AS version, t." + quoted(plan.embedding) + " IS NULL AS missing, " +
                          plain("t", target_location, *location) + " AS location";
    if (plan.observed_at)
        columns += ", " + plain("t", target_observed_at, *plan.target->find(target_observed_at)) + " AS observed_at";
    return "LEFT JOIN LATERAL (SELECT " + columns + " FROM " + plan.target->name + " AS t WHERE " +
           equal_keys(plan, "t", "s") + " LIMIT 1) AS old ON true";
}

// Compared as records, and so as images: PostGIS has several equalities, some of them of bounding boxes.
std::string has_moved(const BulkPlan &plan) {
    std::string before = "old.location", now = location_in(plan);
    if (plan.observed_at) {
        before += ", old.observed_at";
        now += ", " + date_in(plan);
    }
    return "ROW(" + before + ")::pg_catalog.record OPERATOR(pg_catalog.*<>) ROW(" + now + ")::pg_catalog.record";
}

Statement insert_statement(const BulkPlan &plan, const std::string &from) {
    std::vector<std::string> keys = key_columns(plan, ""), computed = computed_columns(plan), assignments;
    for (const std::string &column : computed)
        assignments.push_back(column + " = EXCLUDED." + column);
    Statement statement;
    statement.before = "INSERT INTO " + plan.target->name + " AS e (" + join(keys, ", ") + ", " + join(computed, ", ") +
                       ") SELECT " + join(key_columns(plan, "s"), ", ") + ", " + location_in(plan) +
                       (plan.observed_at ? ", " + date_in(plan) : "") + ", " + embedding_expression(plan) + ", " +
                       version_literal(plan) + " FROM " + from + " AS s " + look_up(plan) + " WHERE ";
    statement.after = " AND (" + differs_from_version(plan, "old.version") + " OR " + has_moved(plan) +
                      " OR old.missing AND " + has_place(plan) + ") ON CONFLICT (" + join(keys, ", ") +
                      ") DO UPDATE SET " + join(assignments, ", ") +
                      returning(plan, "e", plain("e", target_location, *plan.target->find(target_location)));
    return statement;
}

std::string relation_item(const std::string &name, bool only) { return only ? "ONLY " + name : name; }

// ---- ranges of keys -----------------------------------------------------------------------

// The rows on one side of a bound, in the order of all keys: by the first, then the second ... The plain comparison of the
// first key comes first, so that an index on it can be used.
std::string beyond(const BulkPlan &plan, const std::vector<std::string> &bound, std::size_t key, int strict, int last) {
    const BulkColumn &column = plan.keys[key];
    std::string reference = "s." + quoted(column.name);
    std::string value = quoted_literal(bound[key]) + "::" + qualified_type(column.type, column.typmod);
    auto compare = [&](int strategy) { return reference + " " + order_operator(column, strategy) + " " + value; };
    if (key + 1 == plan.keys.size())
        return compare(last);
    int loose = strict == BTGreaterStrategyNumber ? BTGreaterEqualStrategyNumber : BTLessEqualStrategyNumber;
    return compare(loose) + " AND (" + compare(strict) + " OR " + compare(BTEqualStrategyNumber) + " AND " +
           beyond(plan, bound, key + 1, strict, last) + ")";
}

}  // namespace

std::vector<std::string> row_label(const BulkPlan &plan) {
    std::vector<std::string> names;
    for (const BulkColumn &key : plan.keys)
        names.push_back(key.name);
    return names.empty() ? std::vector<std::string>{"ctid"} : names;
}

Statement embedding_statement(const BulkPlan &plan, const std::string &from, bool only) {
    std::string item = relation_item(from, only);
    return plan.target ? insert_statement(plan, item) : update_statement(plan, item);
}

Statement pruning_statement(const BulkPlan &plan, const std::string &from, bool only) {
    return {"DELETE FROM " + relation_item(from, only) + " AS s WHERE ",
            " AND NOT EXISTS (SELECT FROM " + plan.source.name + " AS o WHERE " + equal_keys(plan, "o", "s") + ")"};
}

std::string key_bounds_query(const BulkPlan &plan) {
    std::string keys = join(key_columns(plan, "s"), ", "), bounds = join(key_columns(plan, "b"), ", ");
    std::string is_null;
    for (const std::string &key : key_columns(plan, "b"))
        is_null += " OR " + key + " IS NULL";
    return "SELECT " + bounds + " FROM (SELECT " + keys + ", pg_catalog.row_number() OVER (ORDER BY " + keys +
           ") AS csp_row FROM " + plan.source.name + " AS s) AS b WHERE b.csp_row OPERATOR(pg_catalog.%) " +
           std::to_string(plan.request.batch_rows) + " OPERATOR(pg_catalog.=) 0" + is_null + " ORDER BY b.csp_row";
}

std::string key_range(const BulkPlan &plan, const std::vector<std::string> &after, const std::vector<std::string> &upto) {
    std::string condition = "true";
    if (!after.empty())
        condition += " AND " + beyond(plan, after, 0, BTGreaterStrategyNumber, BTGreaterStrategyNumber);
    if (!upto.empty())
        condition += " AND " + beyond(plan, upto, 0, BTLessStrategyNumber, BTLessEqualStrategyNumber);
    return condition;
}

}  // namespace csp::server

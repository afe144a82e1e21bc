// How the work of a plan is split into pieces.
#include "bulk_split.h"

#include "bulk_statements.h"
#include "spi.h"

extern "C" {
#include "catalog/pg_class.h"
#include "storage/off.h"
}

#include <algorithm>

namespace csp::server {

namespace {

// Planning a statement and opening it checks every right that it needs; no row is read.
void check(const Statement &statement) {
    with_spi([&] { spi_execute(("EXPLAIN " + statement.where("false")).c_str()); });
}

void check(const BulkWork &work) {
    for (const BulkPart &part : work.parts)
        check(part.statement);
}

// Blocks that hold about `rows` rows.
uint32 blocks_for(const BulkLeaf &leaf, int rows) {
    double density = std::clamp(leaf.rows / std::max<double>(leaf.blocks, 1), 1.0, double(MaxOffsetNumber));
    return uint32(std::max(1.0, rows / density));
}

template <typename MakeStatement>
BulkWork by_blocks(const BulkLeaves &found, int batch_rows, MakeStatement &&make_statement) {
    BulkWork work;
    for (const BulkLeaf &leaf : found.leaves) {
        BulkPart part;
        part.statement = make_statement(leaf.name);
        part.blocks = leaf.blocks;
        part.step = blocks_for(leaf, batch_rows);
        work.parts.push_back(std::move(part));
        work.rows += leaf.rows;
    }
    return work;
}

using Bound = std::vector<std::string>;

[[noreturn]] void report_null_key(const BulkPlan &plan) {
    throw SqlError(ERRCODE_NOT_NULL_VIOLATION, "\"" + plan.request.source + "\" has rows whose key is NULL",
                   "A row of the target is found by the key of its row in the source.", "Leave such rows out in a view.");
}

std::vector<Bound> key_bounds(const BulkPlan &plan) {
    return with_spi([&] {
        SpiRows rows = spi_execute(key_bounds_query(plan).c_str());
        std::vector<Bound> bounds;
        for (uint64 i = 0; i < rows.count(); ++i) {
            Bound bound;
            for (std::size_t k = 0; k < plan.keys.size(); ++k) {
                if (rows.is_null(i, int(k) + 1))
                    report_null_key(plan);
                bound.push_back(rows.text(i, int(k) + 1));
            }
            bounds.push_back(std::move(bound));
        }
        return bounds;
    });
}

BulkWork by_keys(const BulkPlan &plan) {
    BulkWork work;
    BulkPart part;
    part.statement = embedding_statement(plan, plan.source.name, false);
    work.parts.push_back(std::move(part));
    Bound last;
    for (Bound &bound : key_bounds(plan)) {
        work.parts[0].conditions.push_back(key_range(plan, last, bound));
        last = std::move(bound);
    }
    work.rows = double(work.parts[0].conditions.size()) * plan.request.batch_rows;
    work.parts[0].conditions.push_back(key_range(plan, last, {}));
    return work;
}

bool has_storage(const BulkRelation &relation) { return relation.is_table() || relation.kind == RELKIND_MATVIEW; }

std::vector<std::string> updated_columns(const BulkPlan &plan) {
    return plan.target ? std::vector<std::string>{} : std::vector<std::string>{plan.embedding, plan.version};
}

}  // namespace

BulkWork split_embedding(const BulkPlan &plan) {
    check(embedding_statement(plan, plan.source.name, false));
    if (!has_storage(plan.source))
        return by_keys(plan);
    BulkLeaves found = find_leaves(plan.source, updated_columns(plan));
    if (!found.obstacle.empty() && !plan.keys.empty())
        return by_keys(plan);
    if (!found.obstacle.empty())
        throw SqlError(ERRCODE_FEATURE_NOT_SUPPORTED, "\"" + plan.request.source + "\" cannot be read in ranges of blocks",
                       found.obstacle, "Name a unique column with the argument key: the work is then split by it.");
    BulkWork work = by_blocks(found, plan.request.batch_rows,
                              [&](const std::string &leaf) { return embedding_statement(plan, leaf, true); });
    check(work);
    return work;
}

BulkWork split_pruning(const BulkPlan &plan) {
    BulkLeaves found = find_leaves(*plan.target, {});
    BulkWork work;
    if (found.obstacle.empty()) {
        work = by_blocks(found, plan.request.batch_rows,
                         [&](const std::string &leaf) { return pruning_statement(plan, leaf, true); });
    } else {
        BulkPart whole;
        whole.statement = pruning_statement(plan, plan.target->name, false);
        whole.conditions = {"true"};
        work.parts.push_back(std::move(whole));
    }
    check(work);
    return work;
}

}  // namespace csp::server

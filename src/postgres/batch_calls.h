// Calls of query functions, evaluated for many rows at once.
#pragma once

#include "batch_rows.h"
#include "model_cache.h"
#include "plan_expressions.h"

#include "../encoder/model.h"

extern "C" {
#include "nodes/execnodes.h"
}

namespace csp::server {

// An argument of a call: an expression over a row. Calls that share an argument share its evaluation.
class BatchInput {
public:
    BatchInput(Node *expression, PlanState *node);

    const Node *expression() const { return expression_; }
    // Evaluating it can neither fail nor do anything but compute.
    bool is_harmless() const { return column_ > 0 || constant_; }

    // Its value in the row of `context`; evaluated once a row.
    const NullableDatum &value(ExprContext *context, int row);
    void forget() { row_ = -1; }

private:
    Node *expression_;
    AttrNumber column_;  // of the row, if that is all it is; else 0
    bool constant_;
    ExprState *state_;
    NullableDatum value_{};
    int row_ = -1;  // whose value it is
};

using ModelPointer = std::shared_ptr<const Model>;

// The models that the rows of a batch name; they stay loaded until the next batch.
class BatchModels {
public:
    // Null: the model that is used when none is named. Errors as resolve_model and resolve_version.
    const Model &find(const NullableDatum *name, ModelNaming naming);
    void forget() {
        models_.clear();
        versions_.clear();
    }

private:
    struct Named {
        bool is_named;
        std::string name;
        ModelPointer model;
    };
    const Model &find_by_id(int64 version);

    std::vector<Named> models_;
    std::map<int64, ModelPointer> versions_;
};

// What happens where reading a row's arguments raises an error of the server.
enum class OnError {
    ask,   // it would end the query, although nobody has asked for the row yet: throw ProtectionNeeded before
    mark,  // it ends a subtransaction and marks the row
    raise  // it is raised: there are no subtransactions
};
struct ProtectionNeeded {};

// Rows of one model at one place of the plan: what is computed in one product.
struct BatchGroup {
    const Model *model = nullptr;
    std::size_t size = 0;
    std::vector<double> lonlat;
    std::vector<float> dates;
    ArrayRows embeddings;
};

// A location, date and model that one or several calls are about: the embedding is computed once for all of them.
// Without a location (csp_embed_image) it only sorts rows by model.
class BatchPlace {
public:
    BatchPlace(BatchInput *location, BatchInput *date, BatchInput *model, ModelNaming naming)
        : location_(location), date_(date), model_(model), naming_(naming) {}

    bool is(const BatchInput *location, const BatchInput *date, const BatchInput *model) const {
        return location_ == location && date_ == date && model_ == model;
    }

    struct Entry {
        int group;  // -1: the place is empty, and so are all answers about it
        std::size_t index;
    };

    // Where the row is among the groups; it is added to one the first time that a call asks.
    const Entry &enter(ExprContext *context, int row, BatchModels &models, OnError on_error);
    void begin_batch();
    void embed();

    const std::vector<BatchGroup> &groups() const { return groups_; }
    std::size_t group_count() const { return used_; }
    std::size_t row_memory() const;

private:
    Entry add(const Model &model, const double *lonlat, float date);

    BatchInput *location_, *date_, *model_;
    ModelNaming naming_;
    std::vector<BatchGroup> groups_;
    std::size_t used_ = 0;
    Entry entry_{};
    int row_ = -1;
};

// One call. It takes its rows first, then computes all of them.
class BatchCall {
public:
    // nowhere: a place without location, for rows of which only the image is known.
    BatchCall(const BatchFunction &function, BatchPlace *place, BatchPlace *nowhere, BatchInput *guard,
              std::vector<BatchInput *> arguments);

    // Reads the arguments of a row. Throws what the function would report; NULL arguments give NULL.
    void take(ExprContext *context, int row, BatchModels &models, OnError on_error);
    void begin_batch(int rows);
    void compute(std::vector<char> &marked);  // marks rows that it cannot answer
    const NullableDatum &value(int row) const { return values_[row]; }
    std::size_t row_memory() const;

private:
    // What the call itself asks of the rows of a group.
    struct Operands {
        std::vector<int> rows;  // -1: an answer about this place is not asked for
        std::vector<int> classes;
        std::vector<float> features;
        std::vector<char> has_image;
        std::size_t width = 0;  // of a row's features
        std::vector<float> numbers;
        ArrayRows arrays;
        std::string label;  // of the last row
        int label_class = -1;
    };

    bool is_asked_for(ExprContext *context, int row) const;
    bool is_null(int argument, ExprContext *context, int row) const;
    void take_fused(ExprContext *context, int row, BatchModels &models, OnError on_error);
    void take_into(std::vector<Operands> &groups, const BatchPlace &place, const BatchPlace::Entry &entry,
                   ExprContext *context, int row);
    void take_image(ExprContext *context, int row, const Model &model, Operands &operands, std::size_t index);
    void take_operands(ExprContext *context, int row, const Model &model, Operands &operands, std::size_t index);
    void take_class(ExprContext *context, int row, const Model &model, Operands &operands, std::size_t index);
    void take_features(ExprContext *context, int row, int width, Operands &operands, std::size_t index);
    void take_probabilities(ExprContext *context, int row, int width, Operands &operands, std::size_t index);
    void fuse_rows(const Model &model, Operands &operands, std::size_t first, std::size_t rows, bool places);
    void fuse_group(const BatchGroup &group, Operands &operands, bool places);
    void compute_group(const BatchGroup &group, Operands &operands);
    void set_arrays(const Operands &operands, const ArrayRows &arrays);
    void set_numbers(const Operands &operands);
    void mark(int row) { (*marked_)[static_cast<std::size_t>(row)] = true; }
    void mark_overflows(const Operands &operands, std::size_t width);

    BatchFunction function_;
    BatchPlace *place_, *nowhere_;
    BatchInput *guard_;  // null: always asked for
    std::vector<BatchInput *> arguments_;
    std::vector<Operands> operands_;         // of each group of place_
    std::vector<Operands> nowhere_operands_;  // and of nowhere_
    std::vector<NullableDatum> values_;
    std::vector<char> *marked_ = nullptr;  // of the rows that are computed
};

class BatchCalls {
public:
    // columns: target entries of the calls; guards: an expression for each; node: whose rows they are about.
    // chooses: calls without a guard may not be asked for either. Lives as long as `memory`. Errors: insufficient_privilege
    // for a function that the user may not execute.
    static BatchCalls *make(MemoryContext memory, const List *columns, const List *guards, PlanState *node, bool chooses);

    BatchCalls(const BatchCalls &) = delete;

    // Evaluates the calls for the rows; slot: for MinimalTuples of theirs. Rows for which a call would report an error
    // are marked, and a single row that takes a subtransaction. Errors: only such as concern no single row.
    void evaluate(const MinimalTuple *rows, int count, TupleTableSlot *slot);

    // Whether the row's values are of no use: it is marked, or what they depend on has changed since.
    bool is_marked(int row) { return marked_[row] || !are_current(); }

    // Whether arguments use a subquery that has not run yet. It runs when it is first asked for, which must not be ahead
    // of the row that asks, nor in a subtransaction that would end before it.
    bool wait_for_subquery() const;

    // Values of the calls in a row, valid until the next evaluate(); returns how many they are.
    int values_of(int row, Datum *values, bool *nulls) const {
        const int count = static_cast<int>(calls_.size());
        for (int i = 0; i < count; ++i) {
            values[i] = calls_[i].value(row).value;
            nulls[i] = calls_[i].value(row).isnull;
        }
        return count;
    }

    // Bytes that the values of a row took in the last batch.
    std::size_t row_memory() const { return row_memory_; }

    // Time that the encoder took so far.
    double milliseconds() const { return milliseconds_; }

private:
    BatchCalls() = default;
    void add(const FuncExpr *call, Node *guard, PlanState *node);
    BatchInput *input(Node *expression, PlanState *node);
    BatchPlace *place(BatchInput *location, BatchInput *date, BatchInput *model, ModelNaming naming);
    void begin_batch(int count);
    void take_all(const MinimalTuple *rows, int count, TupleTableSlot *slot);
    void take_row(const MinimalTuple *rows, int row, TupleTableSlot *slot, OnError on_error);
    int take_rows(const MinimalTuple *rows, int count, TupleTableSlot *slot, OnError on_error);
    void take_protected(const MinimalTuple *rows, int first, int count, TupleTableSlot *slot);
    void take_single_row(const MinimalTuple *rows, TupleTableSlot *slot);
    bool are_current();
    int take_until_error(const MinimalTuple *rows, int first, int count, TupleTableSlot *slot);
    void compute();

    PlanState *node_ = nullptr;
    std::vector<std::unique_ptr<BatchInput>> inputs_;
    std::vector<std::unique_ptr<BatchPlace>> places_;
    std::vector<BatchCall> calls_;
    BatchModels models_;
    std::vector<char> marked_;
    Bitmapset *parameters_ = nullptr;  // that the arguments use
    bool unnamed_ = false;             // a call names no model
    Oid user_ = InvalidOid;            // for whom the last batch was evaluated
    std::string setting_;              // and csp.model then
    uint64 setting_changes_ = 0;
    bool protect_ = false;             // reading a row's arguments can raise errors of the server
    bool guards_can_fail_ = false;
    std::size_t row_memory_ = 0;
    double milliseconds_ = 0;
};

}  // namespace csp::server

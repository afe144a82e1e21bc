// The CspBatch node: rows in, kept until a batch is full, and out again in their order with the values of the calls.
//
// An answer must be the same as without batches, and so must an error, or that there is none. So the node itself never
// reports what is wrong with a row: it marks the row, and when somebody asks for that row its expressions are evaluated
// as they were written, which raises what it has to.
#include "batch_node.h"

#include "batch_calls.h"
#include "batch_settings.h"
#include "guard.h"
#include "hooks.h"

extern "C" {
#include "access/parallel.h"
#include "commands/explain.h"
#if PG_VERSION_NUM >= 180000
#include "commands/explain_format.h"
#endif
#include "executor/executor.h"
#include "nodes/extensible.h"
#include "nodes/makefuncs.h"
#include "utils/ruleutils.h"
}

namespace csp::server {

namespace {

// What EXPLAIN ANALYZE counts.
struct Counters {
    uint64 rows;
    uint64 batches;
    double milliseconds;  // in the encoder
};

// In shared memory, so that the leader of a parallel query can add up its workers'.
struct SharedCounters {
    int workers;
    Counters of_worker[FLEXIBLE_ARRAY_MEMBER];
};

struct BatchState {
    CustomScanState scan;

    // The batch: rows [next, count) are still to be handed on.
    MemoryContext memory;
    MinimalTuple *rows;
    int capacity;
    int count;
    int next;
    int size;          // of the next batch
    bool input_ended;
    TupleTableSlot *row;

    // LIMIT and OFFSET of the parent, if it has any, and how many rows it may still ask for; -1: no bound.
    ExprState *limit;
    ExprState *offset;
    int64 left;
    bool bound_is_known;

    // Where the input's rows lie in their table, for WHERE CURRENT OF; null where it is no simple scan.
    ScanState *simple_scan;
    ItemPointerData *places;

    // Where the input is such a node, too: it is told that it is read ahead of what is asked for, and then rather ends
    // early than to raise the error of a marked row.
    BatchState *input;
    bool is_read_ahead;
    bool holds_back;  // it has ended early: there are more rows

    BatchCalls *calls;
    bool modifies;
    bool marks;
    AttrNumber passed;  // the column of the input that is the last of those scanned; 0: none

    // For marked rows: target list and filter with the calls in place.
    ProjectionInfo *plain_projection;
    ExprState *plain_filter;
    bool plain_ready;

    Counters counters;
    SharedCounters *shared;
};

extern const CustomExecMethods exec_methods;

BatchState *state_of(CustomScanState *node) { return reinterpret_cast<BatchState *>(node); }

CustomScan *plan_of(BatchState *state) { return reinterpret_cast<CustomScan *>(state->scan.ss.ps.plan); }

List *plain_target_list(CustomScan *plan) { return static_cast<List *>(lsecond(plan->custom_exprs)); }

List *plain_filter(CustomScan *plan) { return static_cast<List *>(lthird(plan->custom_exprs)); }

Node *limit_of(CustomScan *plan) { return static_cast<Node *>(lfourth(plan->custom_exprs)); }

Node *offset_of(CustomScan *plan) { return static_cast<Node *>(list_nth(plan->custom_exprs, 4)); }

List *guards_of(CustomScan *plan) { return static_cast<List *>(linitial(plan->custom_exprs)); }

// The column of the input that is the last of those scanned; 0: none.
AttrNumber passed_column(const CustomScan *plan) {
    if (plan->custom_scan_tlist == NIL)
        return 0;
    const Expr *last = llast_node(TargetEntry, plan->custom_scan_tlist)->expr;
    return IsA(last, Var) ? reinterpret_cast<const Var *>(last)->varattno : 0;
}

// ---- filling a batch -----------------------------------------------------------------------

template <typename Element>
Element *grown(BatchState *state, Element *array) {
    const std::size_t bytes = state->size * sizeof(Element);
    return static_cast<Element *>(array == nullptr ? MemoryContextAlloc(state->scan.ss.ps.state->es_query_cxt, bytes)
                                                   : repalloc(array, bytes));
}

void make_space(BatchState *state) {
    if (state->capacity >= state->size)
        return;
    state->rows = grown(state, state->rows);
    if (state->simple_scan != nullptr)
        state->places = grown(state, state->places);
    state->capacity = state->size;
}

// Reads rows until the batch is full or work_mem is used up.
void read_rows(BatchState *state) {
    PlanState *input = outerPlanState(state);
    const std::size_t limit = std::size_t(work_mem) * 1024;
    std::size_t used = 0;
    MemoryContextReset(state->memory);
    make_space(state);
    state->count = state->next = 0;
    while (state->count < state->size && used < limit) {
        if (state->input != nullptr)
            state->input->is_read_ahead = state->count > 0 || state->is_read_ahead;
        TupleTableSlot *slot = ExecProcNode(input);
        if (TupIsNull(slot)) {
            state->input_ended = state->input == nullptr || !state->input->holds_back;
            break;
        }
        MemoryContext old = MemoryContextSwitchTo(state->memory);
        MinimalTuple row = ExecCopySlotMinimalTuple(slot);
        MemoryContextSwitchTo(old);
        if (state->simple_scan != nullptr)
            state->places[state->count] = state->simple_scan->ss_ScanTupleSlot->tts_tid;
        state->rows[state->count++] = row;
        used += row->t_len + state->calls->row_memory();
    }
}

void evaluate_calls(BatchState *state) {
    guard([state] { state->calls->evaluate(state->rows, state->count, state->row); });
    state->counters.milliseconds = state->calls->milliseconds();
    state->counters.rows += state->count;
    state->counters.batches += 1;
}

// A bigint that may be NULL, or nonsense of which the parent complains.
bool evaluate_count(ExprState *expression, ExprContext *context, int64 *count) {
    bool is_null;
    const Datum value = ExecEvalExprSwitchContext(expression, context, &is_null);
    *count = is_null ? 0 : DatumGetInt64(value);
    return !is_null && *count >= 0;
}

// All rows that the parent's LIMIT lets through will be asked for: they make the first batch.
void set_bound(BatchState *state) {
    ExprContext *context = state->scan.ss.ps.ps_ExprContext;
    int64 limit, offset;
    state->bound_is_known = true;
    state->left = -1;
    if (!evaluate_count(state->limit, context, &limit))
        return;
    if (!evaluate_count(state->offset, context, &offset) && offset != 0)
        return;
    if (limit > INT_MAX - Min(offset, INT_MAX))
        return;
    state->left = limit + offset;
    state->size = Max(1, static_cast<int>(Min(state->left, csp_batch_size)));
}

// The next batch; false: there are no more rows.
bool fill(BatchState *state) {
    if (state->input_ended)
        return false;
    if (!state->bound_is_known)
        set_bound(state);
    const bool alone = state->calls->wait_for_subquery();
    const int size = state->size;
    if (alone)
        state->size = 1;
    else if (state->left > 0)
        state->size = static_cast<int>(Min(state->size, state->left));
    read_rows(state);
    if (state->left > 0)
        state->left = Max(0, state->left - state->count);
    if (state->count == 0)
        return false;
    evaluate_calls(state);
    if (alone)
        state->size = size;
    else if (!state->modifies || all_rows_are_asked_for(state->scan.ss.ps.state))
        state->size = Min(state->size * 4, csp_batch_size);
    return true;
}

// ---- handing rows on -----------------------------------------------------------------------

// The expressions as they were written; compiled when the first row needs them.
void make_plain_ready(BatchState *state) {
    if (state->plain_ready)
        return;
    PlanState *node = &state->scan.ss.ps;
    MemoryContext old = MemoryContextSwitchTo(node->state->es_query_cxt);
    state->plain_projection = ExecBuildProjectionInfo(plain_target_list(plan_of(state)), node->ps_ExprContext,
                                                      node->ps_ResultTupleSlot, node, nullptr);
    state->plain_filter = ExecInitQual(plain_filter(plan_of(state)), node);
    MemoryContextSwitchTo(old);
    state->plain_ready = true;
}

void set_values(BatchState *state, int row) {
    TupleTableSlot *values = state->scan.ss.ss_ScanTupleSlot;
    ExecClearTuple(values);
    int column = state->calls->values_of(row, values->tts_values, values->tts_isnull);
    if (state->marks) {
        values->tts_values[column] = BoolGetDatum(state->calls->is_marked(row));
        values->tts_isnull[column++] = false;
    }
    if (state->passed > 0)
        values->tts_values[column] = slot_getattr(state->row, state->passed, &values->tts_isnull[column]);
    ExecStoreVirtualTuple(values);
    if (state->simple_scan != nullptr) {
        values->tts_tid = state->places[row];
        values->tts_tableOid = RelationGetRelid(state->simple_scan->ss_currentRelation);
    }
}

TupleTableSlot *next_row(CustomScanState *node) {
    BatchState *state = state_of(node);
    ExprContext *context = node->ss.ps.ps_ExprContext;
    for (;;) {
        const bool has_row = state->next < state->count || fill(state);
        const int row = state->next;
        const bool plainly = has_row && state->calls->is_marked(row) && !state->marks;
        state->holds_back = has_row ? plainly && state->is_read_ahead : !state->input_ended;
        if (!has_row || state->holds_back)
            return ExecClearTuple(node->ss.ps.ps_ResultTupleSlot);
        ++state->next;
        ExecStoreMinimalTuple(state->rows[row], state->row, false);
        ResetExprContext(context);
        context->ecxt_outertuple = state->row;

        ExprState *filter = node->ss.ps.qual;
        ProjectionInfo *projection = node->ss.ps.ps_ProjInfo;
        set_values(state, row);
        context->ecxt_scantuple = node->ss.ss_ScanTupleSlot;
        if (plainly) {
            make_plain_ready(state);
            filter = state->plain_filter;
            projection = state->plain_projection;
        }
        if (!ExecQual(filter, context)) {
            InstrCountFiltered1(node, 1);
            CHECK_FOR_INTERRUPTS();
            continue;
        }
        return projection ? ExecProject(projection) : node->ss.ss_ScanTupleSlot;
    }
}

// ---- the node's life -----------------------------------------------------------------------

void start_over(BatchState *state) {
    state->count = state->next = 0;
    state->size = 1;
    state->input_ended = false;
    state->bound_is_known = false;
}

BatchState *as_batch_node(PlanState *input) {
    if (!IsA(input, CustomScanState) || reinterpret_cast<CustomScanState *>(input)->methods != &exec_methods)
        return nullptr;
    return state_of(reinterpret_cast<CustomScanState *>(input));
}

// A cursor over a simple scan may name its current row in UPDATE ... WHERE CURRENT OF. The server finds it by the scan's
// relation and the place of its tuple: here, those of the row that was handed on last rather than read.
ScanState *as_simple_scan(PlanState *input) {
    switch (nodeTag(input)) {
        case T_SeqScanState:
        case T_SampleScanState:
        case T_IndexScanState:
        case T_BitmapHeapScanState:
        case T_TidScanState:
        case T_TidRangeScanState: return reinterpret_cast<ScanState *>(input);
        case T_CustomScanState: {
            const BatchState *below = as_batch_node(input);
            return below != nullptr && below->simple_scan != nullptr ? reinterpret_cast<ScanState *>(input) : nullptr;
        }
        default: return nullptr;
    }
}

void begin(CustomScanState *node, EState *executor, int flags) {
    BatchState *state = state_of(node);
    CustomScan *plan = plan_of(state);
    outerPlanState(node) = ExecInitNode(outerPlan(plan), executor, flags & ~(EXEC_FLAG_BACKWARD | EXEC_FLAG_MARK));
    // Expressions see the rows of the batch, not those of the input as it makes them.
    node->ss.ps.outerops = &TTSOpsMinimalTuple;
    node->ss.ps.outeropsfixed = true;
    node->ss.ps.outeropsset = true;
    state->memory = AllocSetContextCreate(executor->es_query_cxt, "CspBatch rows", ALLOCSET_DEFAULT_SIZES);
    state->row = ExecInitExtraTupleSlot(executor, ExecGetResultType(outerPlanState(node)), &TTSOpsMinimalTuple);
    state->input = as_batch_node(outerPlanState(node));
    state->simple_scan = as_simple_scan(outerPlanState(node));
    if (state->simple_scan != nullptr)
        node->ss.ss_currentRelation = state->simple_scan->ss_currentRelation;
    const int node_flags = intVal(linitial(plan->custom_private));
    state->modifies = (node_flags & batch_node_modifies) != 0;
    state->marks = (node_flags & batch_node_marks) != 0;
    state->passed = passed_column(plan);
    state->limit = ExecInitExpr(reinterpret_cast<Expr *>(limit_of(plan)), &node->ss.ps);
    state->offset = ExecInitExpr(reinterpret_cast<Expr *>(offset_of(plan)), &node->ss.ps);
    start_over(state);
    guard([&] {
        state->calls = BatchCalls::make(executor->es_query_cxt, plan->custom_scan_tlist, guards_of(plan), &node->ss.ps,
                                        (node_flags & batch_node_chooses) != 0);
    });
}

void end(CustomScanState *node) { ExecEndNode(outerPlanState(node)); }

void rescan(CustomScanState *node) {
    start_over(state_of(node));
    if (outerPlanState(node)->chgParam == nullptr)
        ExecReScan(outerPlanState(node));
}

// ---- EXPLAIN -------------------------------------------------------------------------------

List *call_texts(CustomScanState *node, List *ancestors, ExplainState *explain) {
    auto *plan = reinterpret_cast<CustomScan *>(node->ss.ps.plan);
    List *context = set_deparse_context_plan(explain->deparse_cxt, &plan->scan.plan, ancestors);
    List *texts = NIL;
    const ListCell *cell, *guard;
    forboth (cell, plan->custom_scan_tlist, guard, guards_of(plan)) {
        auto *call = reinterpret_cast<Node *>(lfirst_node(TargetEntry, cell)->expr);
        texts = lappend(texts, deparse_expression(call, context, explain->verbose, false));
    }
    return texts;
}

Counters all_counters(BatchState *state) {
    Counters sum = state->counters;
    for (int i = 0; state->shared != nullptr && i < state->shared->workers; ++i) {
        sum.rows += state->shared->of_worker[i].rows;
        sum.batches += state->shared->of_worker[i].batches;
        sum.milliseconds += state->shared->of_worker[i].milliseconds;
    }
    return sum;
}

void explain_node(CustomScanState *node, List *ancestors, ExplainState *explain) {
    ExplainPropertyList("Calls", call_texts(node, ancestors, explain), explain);
    if (!explain->analyze)
        return;
    const Counters counters = all_counters(state_of(node));
    ExplainPropertyInteger("Batches", nullptr, static_cast<int64>(counters.batches), explain);
    ExplainPropertyInteger("Batched Rows", nullptr, static_cast<int64>(counters.rows), explain);
    if (explain->timing)
        ExplainPropertyFloat("Encoder Time", "ms", counters.milliseconds, 3, explain);
}

// ---- parallel queries ----------------------------------------------------------------------

Size estimate_shared(CustomScanState *, ParallelContext *context) {
    return offsetof(SharedCounters, of_worker) + std::size_t(context->nworkers) * sizeof(Counters);
}

void initialize_shared(CustomScanState *node, ParallelContext *context, void *shared) {
    auto *counters = static_cast<SharedCounters *>(shared);
    memset(shared, 0, estimate_shared(node, context));
    counters->workers = context->nworkers;
    state_of(node)->shared = counters;
}

void reinitialize_shared(CustomScanState *, ParallelContext *, void *) {}

void initialize_worker(CustomScanState *node, shm_toc *, void *shared) {
    state_of(node)->shared = static_cast<SharedCounters *>(shared);
}

// A worker adds its figures to what earlier scans of the same place counted; the leader takes a copy before the memory
// goes.
void shut_down(CustomScanState *node) {
    BatchState *state = state_of(node);
    if (state->shared == nullptr)
        return;
    if (IsParallelWorker()) {
        if (ParallelWorkerNumber < state->shared->workers) {
            Counters &mine = state->shared->of_worker[ParallelWorkerNumber];
            mine.rows += state->counters.rows;
            mine.batches += state->counters.batches;
            mine.milliseconds += state->counters.milliseconds;
        }
        state->shared = nullptr;
        return;
    }
    state->counters = all_counters(state);
    state->shared = nullptr;
}

const CustomExecMethods exec_methods = {
    "CspBatch",        begin, next_row,        end, rescan, nullptr, nullptr,
    estimate_shared, initialize_shared, reinitialize_shared, initialize_worker, shut_down, explain_node,
};

Node *create_state(CustomScan *) {
    auto *state = static_cast<BatchState *>(palloc0(sizeof(BatchState)));
    NodeSetTag(state, T_CustomScanState);
    state->scan.methods = &exec_methods;
    return reinterpret_cast<Node *>(state);
}

const CustomScanMethods scan_methods = {"CspBatch", create_state};

// ---- making one ----------------------------------------------------------------------------

List *guard_expressions(const Calls &calls) {
    List *guards = NIL;
    const ListCell *cell;
    foreach (cell, calls.guards)
        guards = lappend(guards, lfirst(cell) ? lfirst(cell) : makeBoolConst(true, false));
    return guards;
}

bool has_guards(const Calls &calls) {
    const ListCell *cell;
    foreach (cell, calls.guards)
        if (lfirst(cell) != nullptr)
            return true;
    return false;
}

List *as_scan_columns(const Calls &calls) {
    List *columns = NIL;
    const ListCell *cell;
    foreach (cell, calls.calls) {
        auto *call = lfirst_node(FuncExpr, cell);
        columns = lappend(columns, makeTargetEntry(reinterpret_cast<Expr *>(call),
                                                   static_cast<AttrNumber>(list_length(columns) + 1),
                                                   get_func_name(call->funcid), false));
    }
    return columns;
}

// Expressions over a node's columns in terms of its input's: possible where those columns are handed through.
struct Descent {
    List *target_list;
    bool possible;
};

Node *descend(Node *node, void *context) {
    if (node == nullptr || !IsA(node, Var))
        return node == nullptr ? nullptr : mutate_expression(node, descend, context);
    auto *descent = static_cast<Descent *>(context);
    auto *column = reinterpret_cast<Var *>(node);
    if (column->varno == OUTER_VAR && column->varattno > 0) {
        auto *source = list_nth_node(TargetEntry, descent->target_list, column->varattno - 1)->expr;
        if (IsA(source, Var))
            return static_cast<Node *>(copyObjectImpl(source));
    }
    descent->possible = false;
    return node;
}

// The server compares a scan's target list with the columns that it scans, here the values of the calls, and does without
// a projection where they are the same: by their numbers, whatever node they are columns of. So the first column of the
// input that it would compare is passed through as one more column that is scanned, whose number is never the same.
void pass_column_of_input(List *target_list, List **scan_columns) {
    const int columns = list_length(*scan_columns);
    const ListCell *cell;
    foreach (cell, target_list) {
        auto *entry = lfirst_node(TargetEntry, cell);
        const int position = foreach_current_index(cell) + 1;
        if (!IsA(entry->expr, Var) || position > columns)
            return;
        auto *column = reinterpret_cast<Var *>(entry->expr);
        if (column->varno != INDEX_VAR) {
            *scan_columns = lappend(*scan_columns, makeTargetEntry(entry->expr, static_cast<AttrNumber>(columns + 1),
                                                                   pstrdup("passed"), false));
            entry->expr = reinterpret_cast<Expr *>(
                make_reference(INDEX_VAR, columns + 1, reinterpret_cast<Node *>(column)));
            return;
        }
        if (column->varattno != position)
            return;
    }
}

FuncExpr *below(List *target_list, FuncExpr *call) {
    Descent descent{target_list, true};
    Node *result = descend(reinterpret_cast<Node *>(call), &descent);
    return descent.possible ? reinterpret_cast<FuncExpr *>(result) : nullptr;
}

TargetEntry *mark_column(int calls) {
    return makeTargetEntry(reinterpret_cast<Expr *>(makeBoolConst(false, false)), static_cast<AttrNumber>(calls + 1),
                           pstrdup("marked"), false);
}

List *values_in_place(List *expressions, const Calls &calls) {
    List *values = NIL;
    const ListCell *cell;
    foreach (cell, calls.calls)
        values = lappend(values, make_reference(INDEX_VAR, list_length(values) + 1, static_cast<Node *>(lfirst(cell))));
    return reinterpret_cast<List *>(
        replace_expressions(reinterpret_cast<Node *>(expressions), calls.calls, values));
}

CustomScan *make_node(Plan *input, List *target_list, List *filter, const Calls &calls, const Plan *like, int node_id,
                      int flags) {
    CustomScan *node = makeNode(CustomScan);
    Plan *plan = &node->scan.plan;
    plan->startup_cost = like->startup_cost;
    plan->total_cost = like->total_cost;
    plan->plan_rows = like->plan_rows;
    plan->plan_width = like->plan_width;
    plan->parallel_safe = like->parallel_safe;
    plan->plan_node_id = node_id;
    plan->extParam = bms_copy(like->extParam);
    plan->allParam = bms_copy(like->allParam);
    plan->lefttree = input;
    plan->targetlist = values_in_place(target_list, calls);
    plan->qual = values_in_place(filter, calls);
    node->custom_scan_tlist = as_scan_columns(calls);
    if ((flags & batch_node_marks) != 0)
        node->custom_scan_tlist = lappend(node->custom_scan_tlist, mark_column(list_length(calls.calls)));
    pass_column_of_input(plan->targetlist, &node->custom_scan_tlist);
    node->custom_exprs = list_make5(guard_expressions(calls), target_list, filter,
                                    makeNullConst(INT8OID, -1, InvalidOid), makeNullConst(INT8OID, -1, InvalidOid));
    node->custom_private = list_make1(makeInteger(flags));
    node->methods = &scan_methods;
    return node;
}

}  // namespace

CustomScan *make_batch_node(Plan *input, List *target_list, List *filter, const Plan *like, int node_id, int flags) {
    Calls calls;
    collect_calls(reinterpret_cast<Node *>(filter), calls);
    if (has_guards(calls))
        flags |= batch_node_chooses;
    collect_calls(reinterpret_cast<Node *>(target_list), calls);
    return make_node(input, target_list, filter, calls, like, node_id, flags);
}

CustomScan *make_marking_node(Plan *input, const Calls &calls, int node_id) {
    List *columns = make_references(input->targetlist);
    const auto add = [&](void *value) {
        columns = lappend(columns, makeTargetEntry(static_cast<Expr *>(value),
                                                   static_cast<AttrNumber>(list_length(columns) + 1), nullptr, true));
    };
    const ListCell *cell;
    foreach (cell, calls.calls)
        add(lfirst(cell));
    add(makeVar(INDEX_VAR, static_cast<AttrNumber>(list_length(calls.calls) + 1), BOOLOID, -1, InvalidOid, 0));
    return make_node(input, columns, NIL, calls, input, node_id, batch_node_marks);
}

CustomScan *with_more_values(const Plan *plan, const Calls &calls) {
    if (!is_batch_node(plan))
        return nullptr;
    auto *node = reinterpret_cast<CustomScan *>(const_cast<Plan *>(plan));
    if ((intVal(linitial(node->custom_private)) & batch_node_marks) != 0)
        return nullptr;
    Calls own;
    collect_calls(reinterpret_cast<Node *>(plain_filter(node)), own);
    collect_calls(reinterpret_cast<Node *>(plain_target_list(node)), own);
    List *columns = list_copy(plain_target_list(node));
    const ListCell *cell, *guard;
    forboth (cell, calls.calls, guard, calls.guards) {
        FuncExpr *call = below(plain_target_list(node), lfirst_node(FuncExpr, cell));
        if (lfirst(guard) != nullptr || call == nullptr || !comes_along(call, own))
            return nullptr;
        columns = lappend(columns, makeTargetEntry(reinterpret_cast<Expr *>(call),
                                                   static_cast<AttrNumber>(list_length(columns) + 1), nullptr, false));
    }
    CustomScan *more = make_batch_node(plan->lefttree, columns, plain_filter(node), plan, plan->plan_node_id,
                                       intVal(linitial(node->custom_private)));
    more->scan.plan.initPlan = plan->initPlan;
    return more;
}

void bound_batch_node(Plan *plan, Node *limit, Node *offset) {
    auto *node = reinterpret_cast<CustomScan *>(plan);
    if (limit != nullptr)
        lfirst(list_nth_cell(node->custom_exprs, 3)) = limit;
    if (offset != nullptr)
        lfirst(list_nth_cell(node->custom_exprs, 4)) = offset;
}

bool is_batch_node(const Plan *plan) {
    return plan != nullptr && IsA(plan, CustomScan) &&
           reinterpret_cast<const CustomScan *>(plan)->methods == &scan_methods;
}

void register_batch_node() { RegisterCustomScanMethods(&scan_methods); }

}  // namespace csp::server

// How many CspBatch nodes a filter and a target list take.
//
// Calls about one place share its embedding, so they belong into one node. Calls about another place wait until the
// clauses before them have thinned out the rows; calls that are arguments of others come first.
#include "batch_stages.h"

extern "C" {
#include "nodes/makefuncs.h"
}

namespace csp::server {

namespace {

bool all_come_along(Node *expression, const Calls &calls) {
    Calls others;
    collect_calls(expression, others);
    const ListCell *cell;
    foreach (cell, others.calls)
        if (!comes_along(lfirst_node(FuncExpr, cell), calls))
            return false;
    return true;
}

void replace_in_pipeline(Pipeline &pipeline, List *from, List *to) {
    pipeline.target_list =
        reinterpret_cast<List *>(replace_expressions(node_of(pipeline.target_list), from, to));
    pipeline.filter = reinterpret_cast<List *>(replace_expressions(node_of(pipeline.filter), from, to));
}

// Whether there are calls whose arguments are calls.
bool is_nested(Node *expression, const Calls &innermost) {
    if (innermost.calls == NIL)
        return false;
    return has_calls(replace_expressions(expression, innermost.calls, references_behind(0, innermost.calls)));
}

// Calls that are arguments of others: a node of their own computes them. They were found in what is evaluated next, and
// there alone their guards hold.
void add_inner_stage(Rewriter &rewriter, Pipeline &pipeline, const Calls &calls) {
    const int columns = list_length(pipeline.input->targetlist);
    pipeline.input = with_values(rewriter, pipeline.input, calls, pipeline.flags);
    List *values = references_behind(columns, calls.calls);
    if (pipeline.filter == NIL) {
        replace_in_pipeline(pipeline, calls.calls, values);
        return;
    }
    Node *next = replace_expressions(node_of(linitial(pipeline.filter)), calls.calls, values);
    List *always = NIL, *values_of_always = NIL;
    const ListCell *call, *guard, *value;
    forthree (call, calls.calls, guard, calls.guards, value, values)
        if (lfirst(guard) == nullptr) {
            always = lappend(always, lfirst(call));
            values_of_always = lappend(values_of_always, lfirst(value));
        }
    replace_in_pipeline(pipeline, always, values_of_always);
    linitial(pipeline.filter) = next;
}

// Takes the clauses that one stage can evaluate off the filter; `calls` becomes theirs.
List *take_stage(Pipeline &pipeline, Calls &calls) {
    List *stage = list_make1(linitial(pipeline.filter));
    collect_calls(node_of(linitial(pipeline.filter)), calls);
    pipeline.filter = list_delete_first(list_copy(pipeline.filter));
    while (pipeline.filter != NIL && all_come_along(node_of(linitial(pipeline.filter)), calls)) {
        stage = lappend(stage, linitial(pipeline.filter));
        pipeline.filter = list_delete_first(pipeline.filter);
    }
    return stage;
}

// Those of `calls` that are still needed after a stage: kept as columns. What the stage has not asked for in each row may
// not be asked for later either, and is left to whoever asks.
Calls needed_again(const Pipeline &pipeline, const Calls &calls) {
    Calls later, again;
    collect_calls(node_of(pipeline.target_list), later);
    collect_calls(node_of(pipeline.filter), later);
    const ListCell *cell, *guard;
    forboth (cell, calls.calls, guard, calls.guards)
        if (lfirst(guard) == nullptr && position_of(later.calls, lfirst(cell)) >= 0) {
            again.calls = lappend(again.calls, lfirst(cell));
            again.guards = lappend(again.guards, nullptr);
        }
    return again;
}

void add_filter_stage(Rewriter &rewriter, Pipeline &pipeline, List *stage, const Calls &calls) {
    const Calls again = needed_again(pipeline, calls);
    List *columns = make_references(pipeline.input->targetlist);
    const int before = list_length(columns);
    const ListCell *cell;
    foreach (cell, again.calls)
        columns = lappend(columns, makeTargetEntry(static_cast<Expr *>(lfirst(cell)),
                                                   static_cast<AttrNumber>(list_length(columns) + 1), nullptr, false));
    pipeline.input = add_batch_node(rewriter, pipeline.input, columns, stage, pipeline.like, pipeline.flags);
    replace_in_pipeline(pipeline, again.calls, references_behind(before, again.calls));
}

}  // namespace

Plan *build_stages(Rewriter &rewriter, Pipeline pipeline) {
    for (;;) {
        auto *next = pipeline.filter != NIL ? node_of(linitial(pipeline.filter)) : node_of(pipeline.target_list);
        Calls innermost;
        collect_calls(next, innermost);
        if (is_nested(next, innermost)) {
            add_inner_stage(rewriter, pipeline, innermost);
            continue;
        }
        Calls calls;
        List *stage = pipeline.filter != NIL ? take_stage(pipeline, calls) : NIL;
        const bool last = pipeline.filter == NIL && (stage == NIL || all_come_along(node_of(pipeline.target_list), calls));
        if (last)
            return add_batch_node(rewriter, pipeline.input, pipeline.target_list, stage, pipeline.like,
                                  pipeline.flags);
        add_filter_stage(rewriter, pipeline, stage, calls);
    }
}

}  // namespace csp::server

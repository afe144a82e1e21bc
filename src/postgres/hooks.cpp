// Hooks of planner and executor: the planner's, and what makes it work for the very query whose planning loads the library.
//
// The planner asks the support function of every function in a query. So a query without calls costs nothing here: its
// plan is not even looked at. The support function of a session's first call loads the library, in the middle of a
// planning that the hook can no longer reach: until that transaction ends, plans are looked at when they are started
// instead, and all cached ones are made anew.
#include "hooks.h"

#include "batch_plan.h"
#include "batch_settings.h"

extern "C" {
#include "access/parallel.h"
#include "executor/executor.h"
#include "optimizer/planner.h"
#include "storage/proc.h"
#include "utils/plancache.h"
}

namespace csp::server {

namespace {

planner_hook_type next_planner = nullptr;
ExecutorStart_hook_type next_executor_start = nullptr;

bool call_in_planning = false;

LocalTransactionId loading_transaction = InvalidLocalTransactionId;

ExecutorRun_hook_type next_executor_run = nullptr;

// Of the executor that was started or continued last, and how many rows of it are wanted; 0: all.
const EState *running = nullptr;
uint64 running_limit = 0;

LocalTransactionId current_transaction() {
#if PG_VERSION_NUM >= 170000
    return MyProc->vxid.lxid;
#else
    return MyProc->lxid;
#endif
}

PlannedStmt *plan(Query *query, const char *text, int cursor_options, ParamListInfo parameters) {
    const bool outer = call_in_planning;
    call_in_planning = false;
    PlannedStmt *statement = next_planner ? next_planner(query, text, cursor_options, parameters)
                                          : standard_planner(query, text, cursor_options, parameters);
    const bool has_call = call_in_planning;
    call_in_planning = outer;
    if (has_call && csp_enable_batch)
        batch_calls_of_plan(statement, cursor_options);
    return statement;
}

// A plan from before the hook. It may be in the plan cache, so a copy is changed.
void batch_calls_of_query(QueryDesc *query, int flags) {
    MemoryContext old = MemoryContextSwitchTo(GetMemoryChunkContext(query));
    PlannedStmt *statement = copy_node(query->plannedstmt);
    batch_calls_of_plan(statement, (flags & EXEC_FLAG_BACKWARD) ? CURSOR_OPT_SCROLL : 0);
    query->plannedstmt = statement;
    MemoryContextSwitchTo(old);
}

void start_executor(QueryDesc *query, int flags) {
    if (loading_transaction != InvalidLocalTransactionId) {
        if (current_transaction() != loading_transaction)
            loading_transaction = InvalidLocalTransactionId;
        else if (csp_enable_batch && !IsParallelWorker() && query->plannedstmt->commandType != CMD_UTILITY)
            batch_calls_of_query(query, flags);
    }
    if (next_executor_start)
        next_executor_start(query, flags);
    else
        standard_ExecutorStart(query, flags);
}

void run_executor(QueryDesc *query, ScanDirection direction, uint64 limit, bool once) {
    const EState *outer = running;
    const uint64 outer_limit = running_limit;
    running = query->estate;
    running_limit = limit;
    if (next_executor_run)
        next_executor_run(query, direction, limit, once);
    else
        standard_ExecutorRun(query, direction, limit, once);
    running = outer;
    running_limit = outer_limit;
}

}  // namespace

void note_call_in_planning() { call_in_planning = true; }

// After an error nobody is known to run, and that is taken as a no.
bool all_rows_are_asked_for(const EState *executor) { return executor == running && running_limit == 0; }

void install_hooks() {
    next_planner = planner_hook;
    planner_hook = plan;
    next_executor_run = ExecutorRun_hook;
    ExecutorRun_hook = run_executor;
    if (!IsTransactionState())
        return;  // preloaded: no planning is under way
    next_executor_start = ExecutorStart_hook;
    ExecutorStart_hook = start_executor;
    loading_transaction = current_transaction();
    ResetPlanCache();
}

}  // namespace csp::server

// The queue of training runs.
#include "training_queue.h"

#include "catalog_version.h"
#include "spi.h"
#include "subscription.h"
#include "training_run.h"
#include "training_settings.h"
#include "training_worker.h"
#include "tune_search.h"

extern "C" {
#include "access/xlog.h"
#include "catalog/pg_authid.h"
#include "storage/lock.h"
#include "utils/syscache.h"
}

#include <csignal>

namespace csp::server {

int csp_max_training_workers = 2;
int csp_keep_runs = 1000;

namespace {

constexpr uint16 queue_lock_class = 0x6374;  // beside that of the runs
constexpr int most_launches = 5;             // workers of a run that ended before they could say anything
constexpr int64 wake_interval_ms = 1000;

// A worker that was started so long ago and has not been heard of is not waited for.
#define RECENTLY_LAUNCHED "r.launched OPERATOR(pg_catalog.>) (pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) '5 s'::pg_catalog.interval)"

// Queued, and nobody is about to start it.
#define WAITS_FOR_A_START "r.state OPERATOR(pg_catalog.=) 'queued' AND (" RECENTLY_LAUNCHED ") IS NOT TRUE "

// Also without a word, by a crash.
#define HAS_ENDED \
    "(r.state OPERATOR(pg_catalog.<>) ALL ('{queued, running}'::csp.run_state[]) OR " \
    "r.state OPERATOR(pg_catalog.=) 'running' AND NOT csp.run_is_alive(r.id))"

// What came of the trials of a search is told by their runs until it ends.
#define NOT_OF_A_RUNNING_SEARCH \
    "NOT EXISTS (SELECT FROM csp.search s WHERE s.id OPERATOR(pg_catalog.=) r.search AND s.state OPERATOR(pg_catalog.=) 'running')"

// False if it is taken and wait is false.
bool lock_queue(bool wait = true) {
    LOCKTAG tag;
    SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, 0, 0, queue_lock_class);
    return server_call([&] { return LockAcquire(&tag, ExclusiveLock, false, !wait) != LOCKACQUIRE_NOT_AVAIL; });
}

int64 runs_going_on() {
    return spi_execute("SELECT pg_catalog.count(*) FROM csp.run r WHERE r.state OPERATOR(pg_catalog.=) 'running' AND csp.run_is_alive(r.id)")
        .bigint(0, 1);
}

int64 runs_about_to_begin() {
    return spi_execute("SELECT pg_catalog.count(*) FROM csp.run r WHERE r.state OPERATOR(pg_catalog.=) 'queued' AND " RECENTLY_LAUNCHED).bigint(0, 1);
}

struct QueuedRun {
    int64 id;
    std::string model;
    Oid owner;
    int32 launches;
};

// Of those that nobody is about to start, in order. A run that another transaction is changing is left to it.
std::vector<QueuedRun> lock_queued_runs() {
    SpiRows rows = spi_execute("SELECT r.id, r.model, r.owner::pg_catalog.oid, r.launches FROM csp.run r "
                               "WHERE " WAITS_FOR_A_START
                               "ORDER BY r.queued, r.id FOR UPDATE SKIP LOCKED");
    std::vector<QueuedRun> runs;
    bool is_null;
    for (uint64 i = 0; i < rows.count(); ++i)
        runs.push_back({rows.bigint(i, 1), rows.text(i, 2), DatumGetObjectId(rows.datum(i, 3, is_null)), rows.integer(i, 4)});
    return runs;
}

bool role_may_log_in(Oid role) {
    return server_call([role] {
        HeapTuple tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(role));
        bool may = HeapTupleIsValid(tuple) && ((Form_pg_authid)GETSTRUCT(tuple))->rolcanlogin;
        if (HeapTupleIsValid(tuple))
            ReleaseSysCache(tuple);
        return may;
    });
}

// A run that cannot begin must not hold up those behind it.
bool fails_at_once(const QueuedRun &run) {
    RunFailure failure{"failed", "28000", "the role that owns the training run may not log in or does not exist", "", ""};
    if (role_may_log_in(run.owner)) {
        if (run.launches < most_launches)
            return false;
        failure = {"failed", "57P03", "the worker of training run " + std::to_string(run.id) + " could not start",
                   std::to_string(run.launches) + " have ended before they began.", "The server log says why."};
    }
    mark_failed(run.id, failure);
    return true;
}

void note_launch(int64 run) {
    spi_execute("UPDATE csp.run SET launched = pg_catalog.clock_timestamp(), launches = launches OPERATOR(pg_catalog.+) 1 "
                "WHERE id OPERATOR(pg_catalog.=) $1",
                SpiArguments().add(run));
}

// The run began or was told to wait: no launch of its worker has failed.
void forget_launches(int64 run) {
    spi_execute("UPDATE csp.run SET launched = NULL, launches = 0 WHERE id OPERATOR(pg_catalog.=) $1",
                SpiArguments().add(run));
}

// The first of those that nobody is about to start. A hint: it may be too early for it, or the second.
void start_first_queued_run() {
    SpiRows rows = spi_execute("SELECT r.id, r.model, r.owner::pg_catalog.oid FROM csp.run r WHERE " WAITS_FOR_A_START
                               "ORDER BY r.queued, r.id LIMIT 1");
    if (rows.count() == 0)
        return;
    bool is_null;
    start_training_worker(rows.bigint(0, 1), rows.text(0, 2), DatumGetObjectId(rows.datum(0, 3, is_null)));
}

bool a_run_waits_in_vain() {
    SpiRows rows = spi_execute("SELECT FROM csp.run r WHERE " WAITS_FOR_A_START "LIMIT 1");
    return rows.count() > 0 && runs_going_on() + runs_about_to_begin() < csp_max_training_workers;
}

QueueStarts start_runs_in_order(int64 own) {
    CatalogOwnerIdentity owner;
    QueueStarts starts;
    starts.under_way = runs_going_on() + runs_about_to_begin();
    if (starts.under_way >= csp_max_training_workers)
        return starts;
    for (const QueuedRun &run : lock_queued_runs()) {
        if (starts.under_way >= csp_max_training_workers)
            break;
        if (fails_at_once(run))
            continue;
        BackgroundWorkerHandle *worker = start_training_worker(run.id, run.model, run.owner);
        starts.no_worker_free = worker == nullptr;
        if (starts.no_worker_free)
            break;
        note_launch(run.id);
        ++starts.under_way;
        if (run.id == own)
            starts.own_worker = worker;
    }
    return starts;
}

// At most once in a while for each session, and where somebody could be started.
bool is_time_to_look() {
    static TimestampTz last = 0;
    if (RecoveryInProgress() || IsInParallelMode() || !TimestampDifferenceExceeds(last, GetCurrentTimestamp(), wake_interval_ms))
        return false;
    last = GetCurrentTimestamp();
    return catalog_is_current() && !is_subscribed("run");
}

}  // namespace

QueueStarts start_queued_runs(int64 own) {
    lock_queue();
    return start_runs_in_order(own);
}

void start_queued_runs_unless_busy() {
    if (lock_queue(false))
        start_runs_in_order(0);
}

bool begin_run(int64 run) {
    lock_queue();
    CatalogOwnerIdentity owner;
    SpiRows rows = spi_execute("SELECT FROM csp.run r WHERE r.id OPERATOR(pg_catalog.=) $1 AND r.state OPERATOR(pg_catalog.=) 'queued' "
                               "FOR UPDATE SKIP LOCKED",
                               SpiArguments().add(run));
    if (rows.count() == 0)
        return false;
    forget_launches(run);
    // Not free is the lock of a run that bore this number before the extension was dropped and made again.
    if (runs_going_on() >= csp_max_training_workers || !lock_run(run))
        return false;
    mark_running(run);
    return true;
}

void delete_old_runs() {
    if (csp_keep_runs < 0)
        return;
    CatalogOwnerIdentity owner;
    spi_execute("DELETE FROM csp.run d WHERE d.id OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT r.id FROM csp.run r WHERE " HAS_ENDED
                " AND " NOT_OF_A_RUNNING_SEARCH " ORDER BY COALESCE(r.finished, r.started) DESC, r.id DESC OFFSET $1)) "
                // Asked again: by now it may have been resumed.
                "AND d.state OPERATOR(pg_catalog.<>) 'queued' AND NOT csp.run_is_alive(d.id)",
                SpiArguments().add(int64(csp_keep_runs)));
    spi_execute("DELETE FROM csp.search s WHERE s.state OPERATOR(pg_catalog.<>) 'running' AND NOT EXISTS "
                "(SELECT FROM csp.run r WHERE r.search OPERATOR(pg_catalog.=) s.id)");
}

int64 queue_position(int64 run) {
    CatalogOwnerIdentity owner;
    SpiRows rows = spi_execute(
        "SELECT pg_catalog.count(*) FROM csp.run r, csp.run b WHERE r.id OPERATOR(pg_catalog.=) $1 "
        "AND r.state OPERATOR(pg_catalog.=) 'queued' AND b.state OPERATOR(pg_catalog.=) 'queued' "
        "AND (b.queued OPERATOR(pg_catalog.<) r.queued OR b.queued OPERATOR(pg_catalog.=) r.queued AND b.id OPERATOR(pg_catalog.<=) r.id)",
        SpiArguments().add(run));
    return rows.bigint(0, 1);
}

bool queue_needs_attention() {
    if (!is_time_to_look())
        return false;
    CatalogOwnerIdentity owner;
    return a_run_waits_in_vain();
}

void wake_queue() {
    static bool starter_was_last = false;
    if (!is_time_to_look())
        return;
    CatalogOwnerIdentity owner;
    if (!a_run_waits_in_vain() && !a_search_stands_still())
        return;
    // Where a single worker of max_worker_processes is free the starter takes it, and cannot start another: so every second
    // time the run's own is started.
    starter_was_last = !starter_was_last;
    if (starter_was_last)
        start_queue_starter();
    else
        start_first_queued_run();
}

bool cancel_run(int64 run) {
    require_own_runs("csp_cancel");
    CatalogOwnerIdentity owner;
    SpiRows queued = spi_execute(
        "UPDATE csp.run SET state = 'cancelled', sqlstate = '57014', message = 'training run was cancelled while it was queued', "
        "finished = pg_catalog.clock_timestamp() WHERE id OPERATOR(pg_catalog.=) $1 AND state OPERATOR(pg_catalog.=) 'queued'",
        SpiArguments().add(run));
    if (queued.count() > 0)
        return true;
    // The state says running only while a worker holds the run's lock, so the pid is its.
    SpiRows running = spi_execute("SELECT r.pid FROM csp.run r WHERE r.id OPERATOR(pg_catalog.=) $1 AND r.state OPERATOR(pg_catalog.=) 'running' "
                                  "AND csp.run_is_alive(r.id)",
                                  SpiArguments().add(run));
    return running.count() > 0 && kill(running.integer(0, 1), SIGINT) == 0;
}

}  // namespace csp::server

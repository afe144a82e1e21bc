// Reading and writing of csp.bulk_run, and the locks of a bulk job.
#include "bulk_run.h"

#include "advisory_lock.h"
#include "bulk_transaction.h"
#include "spi.h"
#include "subscription.h"
#include "training_run.h"

extern "C" {
#include "access/xlog.h"
#include "storage/lock.h"
}

namespace csp::server {

namespace {

// Fourth field of the advisory lock tag; training runs have one of their own.
constexpr uint16 table_lock_class = 0x6362;
constexpr uint16 run_lock_class = 0x6272;

const char *to_string(BulkPhase phase) {
    switch (phase) {
        case BulkPhase::embedding: return "embedding";
        case BulkPhase::checking: return "checking";
        case BulkPhase::pruning: return "pruning";
    }
    return "";
}

void write(const char *sql, SpiArguments arguments) {
    with_spi([&] {
        CatalogOwnerIdentity owner;
        spi_execute(sql, std::move(arguments));
    });
}

const char *null_if_empty(const std::string &text) { return text.empty() ? nullptr : text.c_str(); }

// Refreshes that run every minute should not fill the table.
void drop_oldest(const BulkPlan &plan) {
    SpiArguments arguments;
    arguments.add(OIDOID, ObjectIdGetDatum(GetUserId())).add(plan.source.name);
    arguments.add(plan.target ? plan.target->name.c_str() : nullptr).add(plan.embedding);
    write("DELETE FROM csp.bulk_run WHERE id OPERATOR(pg_catalog.=) ANY (SELECT r.id FROM csp.bulk_run r "
          "WHERE r.owner OPERATOR(pg_catalog.=) $1 AND r.source OPERATOR(pg_catalog.=) $2 "
          "AND (r.target OPERATOR(pg_catalog.=) $3 OR r.target IS NULL AND $3 IS NULL) "
          "AND r.embedding OPERATOR(pg_catalog.=) $4 ORDER BY r.id DESC OFFSET 19)",
          std::move(arguments));
}

}  // namespace

int64 insert_bulk_run(const BulkPlan &plan) {
    drop_oldest(plan);
    return with_spi([&] {
        SpiArguments arguments;
        arguments.add(OIDOID, ObjectIdGetDatum(GetUserId())).add(plan.source.name);
        arguments.add(plan.target ? plan.target->name.c_str() : nullptr).add(plan.embedding);
        arguments.add(plan.model.version).add(int32(MyProcPid));
        CatalogOwnerIdentity owner;
        return spi_execute("INSERT INTO csp.bulk_run (owner, source, target, embedding, version, pid) "
                           "VALUES ($1, $2, $3, $4, $5, $6) RETURNING id",
                           std::move(arguments))
            .bigint(0, 1);
    });
}

void begin_phase(int64 run, BulkPhase phase, uint32 pieces) {
    write("UPDATE csp.bulk_run SET phase = $2, pieces = $3, pieces_done = 0, updated = pg_catalog.clock_timestamp() "
          "WHERE id OPERATOR(pg_catalog.=) $1",
          SpiArguments().add(run).add(to_string(phase)).add(int64(pieces)));
}

void record_workers(int64 run, int workers) {
    write("UPDATE csp.bulk_run SET workers = GREATEST(workers, $2) WHERE id OPERATOR(pg_catalog.=) $1",
          SpiArguments().add(run).add(int32(workers)));
}

void record_piece(int64 run, BulkPhase phase, const BulkTally &tally) {
    const bool pruning = phase == BulkPhase::pruning;
    write("UPDATE csp.bulk_run SET pieces_done = pieces_done OPERATOR(pg_catalog.+) 1, "
          "rows_done = rows_done OPERATOR(pg_catalog.+) $2, rows_invalid = rows_invalid OPERATOR(pg_catalog.+) $3, "
          "rows_pruned = rows_pruned OPERATOR(pg_catalog.+) $4, updated = pg_catalog.clock_timestamp() "
          "WHERE id OPERATOR(pg_catalog.=) $1",
          SpiArguments().add(run).add(pruning ? int64(0) : tally.rows).add(tally.invalid).add(pruning ? tally.rows : int64(0)));
}

void mark_succeeded(int64 run, const std::string &detail) {
    write("UPDATE csp.bulk_run SET state = 'succeeded', detail = $2, updated = pg_catalog.clock_timestamp(), "
          "finished = pg_catalog.clock_timestamp() WHERE id OPERATOR(pg_catalog.=) $1",
          SpiArguments().add(run).add(null_if_empty(detail)));
}

void record_bulk_failure(int64 run) {
    RunFailure failure = describe_failure();
    HOLD_INTERRUPTS();  // a second cancel must not keep the first from being recorded
    session_transactions.roll_back();
    prepare_transaction();
    SpiArguments arguments;
    arguments.add(run).add(failure.state).add(failure.sqlstate).add(failure.message);
    arguments.add(null_if_empty(failure.detail)).add(null_if_empty(failure.hint));
    write("UPDATE csp.bulk_run SET state = $2::csp.run_state, sqlstate = $3, message = $4, detail = $5, hint = $6, "
          "updated = pg_catalog.clock_timestamp(), finished = pg_catalog.clock_timestamp() "
          "WHERE id OPERATOR(pg_catalog.=) $1",
          std::move(arguments));
    session_transactions.commit();
    RESUME_INTERRUPTS();
}

bool lock_bulk_table(Oid table) {
    LOCKTAG tag = advisory_lock(table, table_lock_class);
    return server_call([&] { return LockAcquire(&tag, ExclusiveLock, false, true) != LOCKACQUIRE_NOT_AVAIL; });
}

BulkLocks::BulkLocks(Oid table, int64 run) : table_(table), run_(run) {
    LOCKTAG table_tag = advisory_lock(table, table_lock_class), run_tag = advisory_lock(uint64(run), run_lock_class);
    server_call([&] {
        LockAcquire(&table_tag, ExclusiveLock, true, false);
        LockAcquire(&run_tag, ExclusiveLock, true, false);
    });
}

BulkLocks::~BulkLocks() {
    LOCKTAG table_tag = advisory_lock(table_, table_lock_class), run_tag = advisory_lock(uint64(run_), run_lock_class);
    auto release = [&] {
        LockRelease(&run_tag, ExclusiveLock, true);
        LockRelease(&table_tag, ExclusiveLock, true);
    };
    try {
        server_call(release);
    } catch (const ServerError &) {  // the session's end releases them too
    }
}

bool bulk_run_is_alive(int64 run) {
    if (RecoveryInProgress())
        return true;
    return is_held_by_another(advisory_lock(uint64(run), run_lock_class)) || is_subscribed("bulk_run");
}

}  // namespace csp::server

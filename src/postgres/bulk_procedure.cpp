// csp_embed_table: the caller's side.
#include "bulk_crew.h"
#include "bulk_plan.h"
#include "bulk_split.h"
#include "bulk_statements.h"
#include "procedure_result.h"
#include "session_settings.h"
#include "spi.h"
#include "text_argument.h"

extern "C" {
#include "access/xlog.h"
}

#include <algorithm>

using namespace csp;
using namespace csp::server;

namespace {

constexpr int most_passes = 3;
constexpr int most_batch_rows = 10000000;
constexpr double rows_worth_a_worker = 20000;
constexpr uint32 pieces_a_participant = 4;  // so that nobody waits long for the last
constexpr double notice_interval_seconds = 2;

// ---- what must hold before anything is done ---------------------------------------------

void require_session_that_can_write(FunctionCallInfo fcinfo) {
    if (RecoveryInProgress())
        throw SqlError(ERRCODE_READ_ONLY_SQL_TRANSACTION, "cannot execute csp_embed_table during recovery",
                       "This server is a standby.", "Call it on the primary; the embeddings will arrive here by replication.");
    auto *context = reinterpret_cast<CallContext *>(fcinfo->context);
    if (context == nullptr || !IsA(context, CallContext) || context->atomic)
        throw SqlError(ERRCODE_ACTIVE_SQL_TRANSACTION, "csp_embed_table cannot run inside a transaction block",
                       "It commits in between.",
                       "CALL csp_embed_table outside BEGIN ... COMMIT, functions, and procedures with a SET clause.");
    if (XactReadOnly)
        throw SqlError(ERRCODE_READ_ONLY_SQL_TRANSACTION, "cannot execute csp_embed_table in a read-only transaction", {},
                       "SET default_transaction_read_only = off.");
}

enum EmbedTableArgument {
    arg_source,
    arg_key,
    arg_location,
    arg_target,
    arg_model,
    arg_embedding,
    arg_observed_at,
    arg_batch_rows,
    arg_workers,
    arg_prune
};

BulkRequest request_from_arguments(FunctionCallInfo fcinfo) {
    BulkRequest request;
    request.source = text_or_empty(fcinfo, arg_source);
    request.key = text_or_empty(fcinfo, arg_key);
    request.location = text_or_empty(fcinfo, arg_location);
    request.target = text_or_empty(fcinfo, arg_target);
    if (!PG_ARGISNULL(arg_model))
        request.model = text_or_empty(fcinfo, arg_model);
    request.embedding = text_or_empty(fcinfo, arg_embedding);
    request.observed_at = text_or_empty(fcinfo, arg_observed_at);
    request.batch_rows = PG_ARGISNULL(arg_batch_rows) ? 0 : PG_GETARG_INT32(arg_batch_rows);
    request.workers = PG_ARGISNULL(arg_workers) ? -1 : PG_GETARG_INT32(arg_workers);
    request.prune = !PG_ARGISNULL(arg_prune) && PG_GETARG_BOOL(arg_prune);

    if (request.source.empty())
        throw SqlError(ERRCODE_NULL_VALUE_NOT_ALLOWED, "source must name a table or view");
    if (request.embedding.empty())
        throw SqlError(ERRCODE_NULL_VALUE_NOT_ALLOWED, "embedding must name a column");
    if (request.batch_rows < 1 || request.batch_rows > most_batch_rows)
        throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE,
                       "batch_rows must be between 1 and " + std::to_string(most_batch_rows), {},
                       "It is about how many rows are computed between two commits.");
    if (!PG_ARGISNULL(arg_workers) && request.workers < 0)
        throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "workers must not be negative", {},
                       "0 works without any, NULL takes as many as are worth it.");
    return request;
}

// ---- the job -----------------------------------------------------------------------------

// A short transaction of its own. What fails in it leaves one in which the failure can be recorded.
template <typename Body>
void in_transaction(Body &&body) {
    prepare_transaction();
    in_subtransaction(body);
    session_transactions.commit();
}

double now_seconds() { return double(GetCurrentTimestamp()) * 1e-6; }

// A line for the user every now and then.
class ProgressNotices {
public:
    explicit ProgressNotices(const std::string &table) : table_(table) {}

    void report(BulkPhase phase, double share, int64 rows) {
        double now = now_seconds();
        if (now - last_ < notice_interval_seconds)
            return;
        last_ = now;
        const char *what = phase == BulkPhase::embedding ? "read" : "looked at again";
        int percent = int(share * 100);
        double rate = double(rows) / (now - started_);
        server_call([&] {
            ereport(NOTICE, (errmsg_internal("%s: %d %% %s, %lld rows embedded, %.0f rows/s", table_.c_str(), percent, what,
                                             (long long)rows, rate)));
        });
    }

private:
    std::string table_;
    double started_ = now_seconds();
    double last_ = started_;
};

// How many workers a job of that size may have.
int workers_wanted(const BulkPlan &plan, const BulkWork &work) {
    if (plan.source.temporary || plan.written().temporary)
        return 0;  // another process does not see the rows
    if (plan.request.workers >= 0)
        return plan.request.workers;
    return std::min(max_parallel_maintenance_workers, int(std::min(work.rows / rows_worth_a_worker, 1e6)));
}

class BulkEmbedding {
public:
    BulkEmbedding(const BulkPlan &plan, int64 run) : plan_(plan), run_(run), notices_(plan.written().name) {}

    BulkTally execute(BulkWork work) {
        embed(std::move(work));
        if (plan_.request.prune)
            prune();
        warn_of_invalid_rows();
        in_transaction([this] { mark_succeeded(run_, examples_); });
        return total_;
    }

private:
    // Rows that another session updates lie elsewhere afterwards, perhaps where we have been: so we look again until
    // nothing is found, though not for ever.
    void embed(BulkWork work) {
        work_through(std::move(work), BulkPhase::embedding);
        for (int pass = 2; pass <= most_passes && found_ > 0; ++pass) {
            BulkWork work_left;
            in_transaction([&] { work_left = split_embedding(plan_); });
            work_through(std::move(work_left), BulkPhase::checking);
        }
    }

    void work_through(BulkWork work, BulkPhase phase) {
        int workers = 0;
        in_transaction([&] {
            workers = share_out(work);
            begin_phase(run_, phase, work.piece_count());
        });
        BulkJob job{run_, std::move(work), row_label(plan_), session_role(), session_settings(PGC_SUSET)};
        BulkCrew crew(job, workers);
        crew.start_workers();
        try {
            take_pieces(crew, job, phase);
        } catch (const ServerError &) {
            crew.check();  // it may have been a worker's failure that cancelled our statement
            throw;
        }
        add_up(crew);
    }

    void take_pieces(BulkCrew &crew, const BulkJob &job, BulkPhase phase) {
        int workers_seen = 0;
        while (std::optional<uint32> piece = crew.take_piece()) {
            crew.add(execute_piece(job.work.piece(*piece), job.label, run_, phase, session_transactions));
            crew.check();
            note_workers(crew.workers_at_work(), workers_seen);
            notices_.report(phase, crew.progress(), total_.rows + crew.tally().rows);
            check_for_interrupts();
        }
        crew.wait();
        note_workers(crew.workers_at_work(), workers_seen);
    }

    // Makes pieces for as many workers as there will be, if all come.
    int share_out(BulkWork &work) {
        if (workers_wanted_ < 0)
            workers_wanted_ = workers_that_may_connect(workers_wanted(plan_, work));
        int workers = workers_available(workers_wanted_);
        if (workers > 0)
            work.refine(uint32(workers + 1) * pieces_a_participant);
        return std::clamp(int(work.piece_count()) - 1, 0, workers);
    }

    void note_workers(int workers, int &seen) const {
        if (workers == seen)
            return;
        seen = workers;
        in_transaction([&] { record_workers(run_, workers); });
    }

    void add_up(const BulkCrew &crew) {
        BulkTally tally = crew.tally();
        found_ = tally.rows;
        total_.rows += tally.rows;
        total_.invalid += tally.invalid;
        if (examples_.empty())
            examples_ = crew.examples();
    }

    void prune() {
        BulkWork work;
        in_transaction([&] {
            work = split_pruning(plan_);
            begin_phase(run_, BulkPhase::pruning, work.piece_count());
        });
        for (uint32 piece = 0; piece < work.piece_count(); ++piece) {
            execute_piece(work.piece(piece), {}, run_, BulkPhase::pruning, session_transactions);
            check_for_interrupts();
        }
    }

    void warn_of_invalid_rows() const {
        if (total_.invalid == 0)
            return;
        server_call([this] {
            ereport(WARNING,
                    (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
                     errmsg_plural("%lld row has no valid location and was left without an embedding",
                                   "%lld rows have no valid location and were left without an embedding",
                                   (unsigned long)total_.invalid, (long long)total_.invalid),
                     errdetail_internal("%s", examples_.c_str()),
                     errhint("csp_location_error(location) says what is wrong with each. Correct them and call "
                             "csp_embed_table again.")));
        });
    }

    const BulkPlan &plan_;
    int64 run_;
    ProgressNotices notices_;
    BulkTally total_;
    int64 found_ = 0;  // in the last pass
    int workers_wanted_ = -1;
    std::string examples_;
};

int64 embed_table(FunctionCallInfo fcinfo) {
    require_session_that_can_write(fcinfo);
    BulkRequest request = request_from_arguments(fcinfo);
    server_call([] { SPI_connect_ext(SPI_OPT_NONATOMIC); });
    BulkPlan plan = make_plan(request, fcinfo->flinfo->fn_oid);
    BulkWork work = split_embedding(plan);
    int64 run = insert_bulk_run(plan);
    BulkTally tally;
    {
        BulkLocks locks(plan.written().oid, run);
        try {
            session_transactions.commit();
            tally = BulkEmbedding(plan, run).execute(std::move(work));
        } catch (...) {
            record_bulk_failure(run);
            throw;
        }
    }
    server_call([] { SPI_finish(); });
    return tally.rows;
}

}  // namespace

extern "C" {

PG_FUNCTION_INFO_V1(csp_embed_table);
PG_FUNCTION_INFO_V1(csp_bulk_run_is_alive);

// csp_embed_table(source, key, location, target, model, embedding, observed_at, batch_rows, workers, prune, INOUT rows)
Datum csp_embed_table(PG_FUNCTION_ARGS) {
    return guard([&] { return bigint_record(fcinfo, embed_table(fcinfo)); });
}

// csp.bulk_run_is_alive(run) -> boolean
Datum csp_bulk_run_is_alive(PG_FUNCTION_ARGS) {
    return guard([&]() -> Datum { PG_RETURN_BOOL(bulk_run_is_alive(PG_GETARG_INT64(0))); });
}

}  // extern "C"

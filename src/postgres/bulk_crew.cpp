// The caller's side of a bulk job's workers.
#include "bulk_crew.h"

#include "background_worker.h"
#include "shared_text.h"
#include "spi.h"
#include "training_wait.h"

extern "C" {
#include "catalog/pg_authid.h"
#include "storage/ipc.h"
#include "utils/syscache.h"
#include "utils/timeout.h"
}

#include <algorithm>

namespace csp::server {

namespace {

constexpr long poll_milliseconds = 100;
constexpr long end_poll_milliseconds = 20;
constexpr int end_polls = 500;
constexpr int watch_milliseconds = 500;

const char *const worker_type = "csp_ext bulk worker";

// The crew at work, for what interrupts this session.
BulkCrew *current_crew = nullptr;

// A session that exits does not unwind its stack, and must not leave workers behind.
void dismiss_crew(int, Datum) {
    if (current_crew != nullptr)
        current_crew->dismiss();
}

// A signal handler: the statement that this session executes may take long, or wait for a lock; if a worker has failed it
// is cancelled, and then check() says why.
void look_after_crew() {
    if (current_crew != nullptr && current_crew->has_stopped()) {
        InterruptPending = true;
        QueryCancelPending = true;
    }
}

TimeoutId watch_timeout() {
    static const TimeoutId timeout = [] {
        before_shmem_exit(dismiss_crew, Datum(0));
        return RegisterTimeout(USER_TIMEOUT, look_after_crew);
    }();
    return timeout;
}

void begin_watch(BulkCrew *crew) {
    TimeoutId timeout = server_call([] { return watch_timeout(); });
    current_crew = crew;
    if (crew->places() > 0)
        enable_timeout_every(timeout, TimestampTzPlusMilliseconds(GetCurrentTimestamp(), watch_milliseconds),
                             watch_milliseconds);
}

void end_watch() { disable_timeout(watch_timeout(), false); }

BackgroundWorkerHandle *start_worker(dsm_segment *segment, int number) {
    return register_worker("csp_bulk_worker_main", worker_type,
                           std::string(worker_type) + " for PID " + std::to_string(MyProcPid),
                           BulkWorkerArguments{MyDatabaseId, GetSessionUserId(), dsm_segment_handle(segment), number});
}

// Workers of bulk jobs that run in this server. Who may not see other sessions must know too.
int workers_in_use() {
    return with_spi([] {
        CatalogOwnerIdentity owner;
        return int(spi_execute("SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity a "
                               "WHERE a.backend_type OPERATOR(pg_catalog.=) $1",
                               SpiArguments().add(worker_type))
                       .bigint(0, 1));
    });
}

bool session_user_may_log_in() {
    return server_call([] {
        HeapTuple tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(GetSessionUserId()));
        if (!HeapTupleIsValid(tuple))
            return false;
        bool may = ((Form_pg_authid)GETSTRUCT(tuple))->rolcanlogin;
        ReleaseSysCache(tuple);
        return may;
    });
}

}  // namespace

std::optional<uint32> BulkShared::take_piece() {
    if (pg_atomic_read_u32(&stop) != 0 || pg_atomic_read_u32(&next_piece) >= pieces)
        return std::nullopt;
    uint32 piece = pg_atomic_fetch_add_u32(&next_piece, 1);
    return piece < pieces ? std::optional<uint32>(piece) : std::nullopt;
}

void BulkShared::add(int number, const PieceResult &result) {
    pg_atomic_fetch_add_u64(&rows, result.tally.rows);
    pg_atomic_fetch_add_u64(&invalid, result.tally.invalid);
    if (participant[number].examples[0] == '\0')
        copy_text(participant[number].examples, sizeof(BulkParticipant::examples), result.examples);
}

void BulkShared::fail(int number, int sqlstate, const std::string &message, const std::string &detail,
                      const std::string &hint) {
    BulkParticipant &failed = participant[number];
    failed.sqlstate = sqlstate;
    copy_text(failed.message, sizeof(failed.message), message);
    copy_text(failed.detail, sizeof(failed.detail), detail);
    copy_text(failed.hint, sizeof(failed.hint), hint);
    pg_write_barrier();
    pg_atomic_write_u32(&failed.state, participant_failed);
    pg_atomic_write_u32(&stop, 1);
}

BulkCrew::BulkCrew(const BulkJob &job, int workers) {
    share(job, workers);
    begin_watch(this);
}

void BulkCrew::share(const BulkJob &job, int workers) {
    std::string bytes = workers > 0 ? to_bytes(job) : std::string();
    std::size_t size = BulkShared::size(workers + 1, bytes.size());
    shared_ = server_call([&]() -> BulkShared * {
        if (workers > 0 && (segment_ = dsm_create(size, DSM_CREATE_NULL_IF_MAXSEGMENTS)) != nullptr) {
            dsm_pin_mapping(segment_);  // beyond this transaction
            return static_cast<BulkShared *>(dsm_segment_address(segment_));
        }
        return static_cast<BulkShared *>(MemoryContextAlloc(TopMemoryContext, size));
    });
    std::memset(static_cast<void *>(shared_), 0, size);
    pg_atomic_init_u32(&shared_->next_piece, 0);
    pg_atomic_init_u32(&shared_->stop, 0);
    pg_atomic_init_u64(&shared_->rows, 0);
    pg_atomic_init_u64(&shared_->invalid, 0);
    shared_->pieces = job.work.piece_count();
    shared_->participants = workers + 1;
    for (int i = 0; i <= workers; ++i)
        pg_atomic_init_u32(&shared_->participant[i].state, participant_absent);
    shared_->job_size = bytes.size();
    std::memcpy(shared_->job(), bytes.data(), bytes.size());
}

int BulkCrew::places() const { return segment_ != nullptr ? shared_->participants - 1 : 0; }

void BulkCrew::start_workers() {
    handles_.reserve(std::size_t(places()));
    for (int i = 1; i <= places(); ++i) {
        BackgroundWorkerHandle *handle = start_worker(segment_, i);
        if (handle == nullptr)
            return;
        handles_.push_back(handle);
    }
}

bool BulkCrew::has_stopped() const { return pg_atomic_read_u32(&shared_->stop) != 0; }

void BulkCrew::dismiss() const {
    pg_atomic_write_u32(&shared_->stop, 1);
    for (BackgroundWorkerHandle *handle : handles_)
        TerminateBackgroundWorker(handle);
}

BulkCrew::~BulkCrew() {
    auto all_ended = [this] { return std::all_of(handles_.begin(), handles_.end(), worker_has_stopped); };
    end_watch();
    try {
        HOLD_INTERRUPTS();
        if (!all_ended())
            dismiss();
        for (int i = 0; i < end_polls && !all_ended(); ++i)
            sleep_on_latch(end_poll_milliseconds);
        RESUME_INTERRUPTS();
    } catch (const ServerError &) {  // the postmaster has died: the workers end as we do
    }
    current_crew = nullptr;
    for (BackgroundWorkerHandle *handle : handles_)
        pfree(handle);
    if (segment_ != nullptr)
        dsm_detach(segment_);
    else
        pfree(shared_);
}

int BulkCrew::workers_at_work() const {
    int count = 0;
    for (int i = 1; i <= workers(); ++i)
        count += pg_atomic_read_u32(&shared_->participant[i].state) >= participant_working;
    return count;
}

void BulkCrew::check() const {
    for (int i = 1; i <= workers(); ++i) {
        bool ended = worker_has_stopped(handles_[i - 1]);  // asked first: a worker says how it went, then ends
        BulkParticipant &worker = shared_->participant[i];
        uint32 state = pg_atomic_read_u32(&worker.state);
        pg_read_barrier();
        if (state == participant_failed)
            throw SqlError(worker.sqlstate, worker.message, worker.detail, worker.hint);
        if (state == participant_working && ended)
            throw SqlError(ERRCODE_CRASH_SHUTDOWN, "a worker of csp_embed_table ended unexpectedly",
                           "What had been committed stays.", "The server log says why. Call csp_embed_table again to go on.");
    }
}

void BulkCrew::wait() const {
    // Who has not come by now has nothing to do any more.
    for (int i = 1; i <= workers(); ++i)
        if (shared_->leave_absence(i, participant_dismissed))
            TerminateBackgroundWorker(handles_[i - 1]);
    while (!std::all_of(handles_.begin(), handles_.end(), worker_has_stopped)) {
        check();
        sleep_on_latch(poll_milliseconds);
        check_for_interrupts();
    }
    check();
}

double BulkCrew::progress() const {
    uint32 taken = std::min(pg_atomic_read_u32(&shared_->next_piece), shared_->pieces);
    return shared_->pieces == 0 ? 1 : double(taken) / shared_->pieces;
}

BulkTally BulkCrew::tally() const {
    return {int64(pg_atomic_read_u64(&shared_->rows)), int64(pg_atomic_read_u64(&shared_->invalid))};
}

std::string BulkCrew::examples() const {
    std::string all;
    for (int i = 0; i <= workers(); ++i)
        if (shared_->participant[i].examples[0] != '\0')
            all += (all.empty() ? "" : "; ") + std::string(shared_->participant[i].examples);
    return all;
}

std::string session_role() {
    if (GetUserId() == GetSessionUserId())
        return {};
    return server_call([] { return GetUserNameFromId(GetUserId(), false); });
}

int workers_that_may_connect(int wanted) {
    if (wanted == 0 || session_user_may_log_in())
        return wanted;
    server_call([] {
        ereport(NOTICE, (errmsg("csp_embed_table works without parallel workers"),
                         errdetail("They would connect as role \"%s\", which is not permitted to log in.",
                                   GetUserNameFromId(GetSessionUserId(), false))));
    });
    return 0;
}

int workers_available(int wanted) {
    return wanted == 0 ? 0 : std::clamp(max_parallel_workers - workers_in_use(), 0, wanted);
}

}  // namespace csp::server

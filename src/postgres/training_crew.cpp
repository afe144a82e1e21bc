// The leader's side of a run with several workers.
#include "training_crew.h"

#include "background_worker.h"
#include "training_library.h"
#include "training_wait.h"

extern "C" {
#include "common/file_perm.h"
#include "common/file_utils.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "storage/pmsignal.h"
#include "utils/memutils.h"
}

#include <unistd.h>

#include <algorithm>

namespace csp::server {

namespace {

constexpr long poll_milliseconds = 20;
constexpr double arrival_seconds = 30;
constexpr double reason_seconds = 2;  // a worker that ends says why before its connections close, but not long before
constexpr double end_seconds = 2;

const char *const worker_type = "csp_ext training worker";
const char *const resume_hint = "The server log may say why. csp_resume goes on with the run.";

TrainingCrew *current_crew = nullptr;

// A process that exits does not unwind its stack, and must not leave workers behind.
void dismiss_crew(int, Datum) {
    if (current_crew != nullptr)
        current_crew->dismiss();
}

// Looks every so often until there is something, or for so many seconds. In no need of signals.
template <typename Look>
bool wait_until(double seconds, Look &&look) {
    for (double waited = 0; !look(); waited += poll_milliseconds * 1e-3) {
        if (waited >= seconds)
            return false;
        usleep(poll_milliseconds * 1000);
    }
    return true;
}

// Among the server's temporary files, where nobody else can write, and whence a restart removes it by its name.
std::string new_meeting_point(int64 run) {
    static int count = 0;
    server_call([] {
        if (MakePGDirectory("base/" PG_TEMP_FILES_DIR) < 0 && errno != EEXIST)
            ereport(ERROR, (errcode_for_file_access(), errmsg("could not create directory \"%s\": %m", "base/" PG_TEMP_FILES_DIR)));
    });
    return "base/" PG_TEMP_FILES_DIR "/" PG_TEMP_FILE_PREFIX "_csp_run_" + std::to_string(run) + "." +
           std::to_string(MyProcPid) + "." + std::to_string(++count);
}

}  // namespace

// By way of another constructor: if something is thrown here, the crew is dismissed.
TrainingCrew::TrainingCrew(int64 run, int workers) : TrainingCrew() {
    if (workers == 1)
        return;
    share(workers);
    if (shared_ == nullptr)
        return;
    static bool registered = false;
    if (!registered)
        server_call([] { before_shmem_exit(dismiss_crew, Datum(0)); });
    registered = true;
    current_crew = this;
    start_heartbeat(workers);
    start(run, workers);
    wait_for_arrival();
    begin(run);
    if (size() < workers)
        server_call([&] {
            ereport(LOG, (errmsg("training run %lld goes on with %d of %d workers", (long long)run, size(), workers),
                          errhint("Others were refused for want of free slots of max_worker_processes.")));
        });
}

// Without a segment left the run goes on in this process alone.
void TrainingCrew::share(int workers) {
    const std::size_t size = CrewShared::bytes(workers);
    segment_ = server_call([&] {
        dsm_segment *segment = dsm_create(size, DSM_CREATE_NULL_IF_MAXSEGMENTS);
        if (segment != nullptr)
            dsm_pin_mapping(segment);  // beyond this transaction
        return segment;
    });
    if (segment_ == nullptr)
        return;
    shared_ = static_cast<CrewShared *>(dsm_segment_address(segment_));
    std::memset(static_cast<void *>(shared_), 0, size);
    pg_atomic_init_u32(&shared_->begun, 0);
    pg_atomic_init_u32(&shared_->ended, 0);
    for (int i = 0; i < workers; ++i) {
        pg_atomic_init_u32(&shared_->member[i].state, crew_absent);
        pg_atomic_init_u32(&shared_->member[i].beats, 0);
    }
}

// Before any worker is there to miss it.
void TrainingCrew::start_heartbeat(int workers) {
    std::vector<pg_atomic_uint32 *> beats;
    for (int number = 1; number < workers; ++number)
        beats.push_back(&shared_->member[number].beats);
    heartbeat_.emplace(&shared_->member[0].beats, std::move(beats));
}

void TrainingCrew::start(int64 run, int workers) {
    handles_.reserve(std::size_t(workers));
    const std::string name = "csp_ext training run " + std::to_string(run) + " worker ";
    for (int number = 1; number < workers; ++number) {
        BackgroundWorkerHandle *handle = register_worker(
            "csp_crew_member_main", worker_type, name + std::to_string(number + 1),
            CrewMemberArguments{MyDatabaseId, GetSessionUserId(), run, dsm_segment_handle(segment_), number});
        if (handle == nullptr)
            return;  // those there are do it
        handles_.push_back(handle);
    }
}

void TrainingCrew::wait_for_arrival() {
    const TimestampTz deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), int64(arrival_seconds * 1000));
    for (std::size_t i = 0; i < handles_.size(); ++i) {
        CrewMember &member = shared_->member[i + 1];
        while (pg_atomic_read_u32(&member.state) == crew_absent && !worker_has_stopped(handles_[i]) &&
               GetCurrentTimestamp() < deadline) {
            sleep_on_latch(poll_milliseconds);
            check_for_interrupts();
        }
        if (!member.leave_absence(crew_dismissed) && pg_atomic_read_u32(&member.state) == crew_working)
            at_work_.push_back(int(i) + 1);
    }
}

void TrainingCrew::begin(int64 run) {
    shared_->size = int(at_work_.size()) + 1;
    for (std::size_t i = 0; i < at_work_.size(); ++i)
        shared_->member[at_work_[i]].rank = int(i) + 1;
    const std::string meeting_point = new_meeting_point(run);
    snprintf(shared_->meeting_point, sizeof(shared_->meeting_point), "%s", meeting_point.c_str());
    pg_write_barrier();
    pg_atomic_write_u32(&shared_->begun, 1);
}

GroupMember TrainingCrew::leader() const {
    GroupMember member;
    if (size() == 1)
        return member;
    member.size = size();
    member.meeting_point = shared_->meeting_point;
    member.watch = [this](const char *broken) { watch(broken); };
    return member;
}

void TrainingCrew::check() const {
    for (int number : at_work_) {
        const std::string name = "worker " + std::to_string(number + 1) + " of the training run";
        const bool ended = worker_has_stopped(handles_[number - 1]);  // asked first: a worker says how it went, then ends
        CrewMember &member = shared_->member[number];
        const uint32 state = pg_atomic_read_u32(&member.state);
        pg_read_barrier();
        if (state == crew_failed)
            throw LostWorker(pack_sqlstate(member.sqlstate), name + " failed: " + member.message, member.detail,
                             member.hint[0] != '\0' ? member.hint : resume_hint);
        if (ended)
            throw LostWorker(ERRCODE_CRASH_SHUTDOWN, name + " ended unexpectedly", {}, resume_hint);
        if (heartbeat_->is_silent(number - 1))
            throw LostWorker(ERRCODE_CRASH_SHUTDOWN, name + " does not answer",
                             "It has not been heard of for " + std::to_string(int(Heartbeat::silence_seconds)) + " s.",
                             resume_hint);
    }
    if (!at_work_.empty() && !PostmasterIsAlive())
        throw LostWorker(ERRCODE_ADMIN_SHUTDOWN, "the server has ended", {}, {});
}

// Within the trainer: signals are blocked.
void TrainingCrew::watch(const char *broken) const {
    let_signals_in();
    check();
    if (broken == nullptr)
        return;
    wait_until(reason_seconds, [this] {
        let_signals_in();
        check();
        return false;
    });
    throw LostWorker(ERRCODE_CONNECTION_FAILURE, "the connection between the workers of the training run broke", broken,
                     resume_hint);
}

void TrainingCrew::dismiss() const {
    if (shared_ == nullptr)
        return;
    pg_atomic_write_u32(&shared_->ended, 1);
    for (BackgroundWorkerHandle *handle : handles_)
        TerminateBackgroundWorker(handle);
}

bool TrainingCrew::all_ended() const { return std::all_of(handles_.begin(), handles_.end(), worker_has_stopped); }

TrainingCrew::~TrainingCrew() {
    if (shared_ == nullptr)
        return;
    dismiss();
    // One that is stopped ends when it goes on.
    wait_until(end_seconds, [this] { return all_ended(); });
    heartbeat_.reset();
    current_crew = nullptr;
    if (shared_->meeting_point[0] != '\0')
        unlink(shared_->meeting_point);
    for (BackgroundWorkerHandle *handle : handles_)
        pfree(handle);
    dsm_detach(segment_);
}

}  // namespace csp::server

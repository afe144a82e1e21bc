// A further worker of a training run: it takes its share of every batch until the run ends.
//
// It connects as the run's owner, so that he sees it in pg_stat_activity and may end it, and reads the run's options;
// then it is in no transaction any more. What goes wrong is told to the leader, which records it.
#include "background_worker.h"
#include "heartbeat.h"
#include "shared_text.h"
#include "training_crew_shared.h"
#include "training_library.h"
#include "training_run.h"
#include "training_wait.h"
#include "training_worker.h"
#include "worker_transactions.h"

extern "C" {
#include "storage/ipc.h"
#include "storage/pmsignal.h"
}

#include <unistd.h>

namespace csp::server {

namespace {

constexpr double slice_seconds = 0.05;
constexpr long poll_milliseconds = 20;
constexpr double reason_seconds = 2;

// There is nothing to tell: the leader wants it so, or is gone.
class Dismissed : public SqlError {
public:
    Dismissed() : SqlError(ERRCODE_QUERY_CANCELED, "the training run has ended") {}
};

class Member {
public:
    Member(CrewShared &shared, int number)
        : shared_(shared), own_(shared.member[number]), heartbeat_(&own_.beats, {&shared.member[0].beats}) {}

    void work(int64 run) {
        wait_until([this] { return pg_atomic_read_u32(&shared_.begun) != 0; });
        pg_read_barrier();
        std::optional<StoredRun> stored;
        write_transaction([&] { stored = load_run(run); });
        if (!stored)
            throw Dismissed();
        train(stored->request.options);
        // Connections stay open until nobody needs them.
        wait_until([] { return false; });
    }

private:
    void train(const TrainingOptions &options) {
        std::unique_ptr<Trainer> trainer = make_trainer(options);
        Progress progress;
        while (advance(*trainer, progress)) {
            require_leader();
            check_for_interrupts();
        }
        // Not unwound: the leader may still be in the last step.
        trainer_ = std::move(trainer);
    }

    std::unique_ptr<Trainer> make_trainer(const TrainingOptions &options) {
        const TrainingLibrary &library = training_library();
        SignalBlock no_signals;  // LibTorch starts threads
        const GroupMember member{own_.rank, shared_.size, shared_.meeting_point, [this](const char *broken) { watch(broken); }};
        return library.make_trainer(options, {}, {}, member);
    }

    static bool advance(Trainer &trainer, Progress &progress) {
        SignalBlock no_signals;
        return trainer.advance(slice_seconds, progress);
    }

    void require_leader() const {
        if (pg_atomic_read_u32(&shared_.ended) != 0 || heartbeat_.is_silent(0) || !PostmasterIsAlive())
            throw Dismissed();
    }

    // While this process waits for others within the trainer. Nothing may be raised here but csp::Error.
    void watch(const char *broken) const {
        let_signals_in();
        if (QueryCancelPending || ProcDiePending)
            throw SqlError(ERRCODE_QUERY_CANCELED, "canceling training due to user request");
        require_leader();
        if (broken == nullptr)
            return;
        // Another worker has gone, or the leader: it will know.
        for (double waited = 0; waited < reason_seconds; waited += poll_milliseconds * 1e-3) {
            usleep(poll_milliseconds * 1000);
            let_signals_in();
            require_leader();
        }
        throw SqlError(ERRCODE_CONNECTION_FAILURE, "the connection between the workers of the training run broke", broken);
    }

    template <typename Condition>
    void wait_until(Condition &&condition) const {
        while (!condition()) {
            require_leader();
            sleep_on_latch(poll_milliseconds);
            check_for_interrupts();
        }
    }

    CrewShared &shared_;
    CrewMember &own_;
    Heartbeat heartbeat_;
    std::unique_ptr<Trainer> trainer_;
};

void report_failure(CrewMember &member, const RunFailure &failure) {
    copy_text(member.sqlstate, failure.sqlstate);
    copy_text(member.message, failure.message);
    copy_text(member.detail, failure.detail);
    copy_text(member.hint, failure.hint);
    pg_write_barrier();
    pg_atomic_write_u32(&member.state, crew_failed);
}

void execute_member(const CrewMemberArguments &arguments) {
    dsm_segment *segment = server_call([&] {
        dsm_segment *found = dsm_attach(arguments.segment);
        if (found != nullptr)
            dsm_pin_mapping(found);
        return found;
    });
    if (segment == nullptr)
        return;  // the run has ended
    auto &shared = *static_cast<CrewShared *>(dsm_segment_address(segment));
    CrewMember &member = shared.member[arguments.number];
    RunFailure failure;
    try {
        Member worker(shared, arguments.number);
        if (member.leave_absence(crew_working))
            worker.work(arguments.run);
        return;
    } catch (const Dismissed &) {
        return;
    } catch (...) {
        failure = describe_failure();
    }
    if (pg_atomic_read_u32(&shared.ended) != 0)
        return;  // a request to end came from the leader
    if (termination_was_requested())
        failure = {"failed", "57P01", "terminating training worker due to administrator command", "", ""};
    report_failure(member, failure);
    server_call([] { AbortOutOfAnyTransaction(); });
}

}  // namespace

}  // namespace csp::server

extern "C" {

PGDLLEXPORT void csp_crew_member_main(Datum);

void csp_crew_member_main(Datum) {
    using namespace csp::server;
    CrewMemberArguments arguments;
    std::memcpy(&arguments, MyBgworkerEntry->bgw_extra, sizeof(arguments));
    guard([&] {
        set_up_training_process(arguments.database, arguments.user, MyBgworkerEntry->bgw_name);
        execute_member(arguments);
    });
    proc_exit(0);
}

}  // extern "C"

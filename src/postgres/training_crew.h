// The workers of one training run (option workers), as its own worker leads them.
//
// Further workers are given their rows over a connection and write nothing to the database: what is recorded and
// published is the leader's. It watches over them; whoever is lost ends the run for all, at once where a process ends,
// after some seconds where one is stopped.
#pragma once

#include "heartbeat.h"
#include "training_crew_shared.h"

#include "../training/trainer.h"
#include "guard.h"

extern "C" {
#include "postmaster/bgworker.h"
}

namespace csp::server {

// One of the workers is gone. The run can be resumed from where it stands.
class LostWorker : public SqlError {
public:
    using SqlError::SqlError;
};

class TrainingCrew {
public:
    // Starts workers beside this one, as many as are wanted and find a free slot, and returns when they have come.
    TrainingCrew(int64 run, int workers);
    // Ends them.
    ~TrainingCrew();
    TrainingCrew(const TrainingCrew &) = delete;
    TrainingCrew &operator=(const TrainingCrew &) = delete;

    int size() const { return shared_ != nullptr ? shared_->size : 1; }

    // This process as the first of the group.
    GroupMember leader() const;

    // Throws LostWorker if a worker has failed, ended, or not been heard of for some seconds.
    void check() const;

    // Tells the workers to end, without waiting.
    void dismiss() const;

private:
    TrainingCrew() = default;
    void share(int workers);
    void start_heartbeat(int workers);
    void start(int64 run, int workers);
    void wait_for_arrival();
    void begin(int64 run);
    void watch(const char *broken) const;
    bool all_ended() const;

    dsm_segment *segment_ = nullptr;
    CrewShared *shared_ = nullptr;  // null if this process works alone
    std::vector<BackgroundWorkerHandle *> handles_;  // of members 1, 2, ...
    std::vector<int> at_work_;                       // members but the leader, by their rank less 1
    std::optional<Heartbeat> heartbeat_;
};

}  // namespace csp::server

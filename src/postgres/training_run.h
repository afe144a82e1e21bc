// A training run as the catalogue knows it (csp.run): written as the owner of the extension,
// read by whoever owns the run. Functions here need an active transaction and snapshot.
#pragma once

#include "pg.h"

#include "../training/trainer.h"
#include "process_memory.h"
#include "spi.h"
#include "training_rows.h"

namespace csp::server {

// What csp_train was asked for, in the words of the caller.
struct RunRequest {
    std::string model;
    std::string source;
    TrainingQuery query;
    TrainingOptions options;
};

// Adds a queued run owned by the current user; its settings are those of this session.
int64 insert_run(const RunRequest &request);

// A text[] of what a worker must set to see the source as this session does.
Datum settings_of_session();

// JSON text of the options, as csp.run and csp.model_version store them; and options from rows of a name, a jsonb_typeof and a text.
std::string options_to_json(const TrainingOptions &options);
TrainingOptions options_from_rows(const SpiRows &rows);

// The run, its options and the settings to apply; nothing if it does not exist.
struct StoredRun {
    RunRequest request;
    Oid owner = InvalidOid;
    std::vector<std::string> settings;  // name=value
    int64 search = 0;                   // of which the run is a trial; 0: of none
};
std::optional<StoredRun> load_run(int64 run);

void delete_run(int64 run);
void mark_running(int64 run);
void mark_phase(int64 run, const char *phase);
void record_rows(int64 run, const TrainingRows &rows, int64 memory_estimate);
void record_device(int64 run, const std::string &device, int workers);
// Throws SqlError(undefined_object) if the run is no longer there, or no longer this process's.
void record_progress(int64 run, const Progress &progress, const ProcessMemory &memory);
void record_metrics(int64 run, const EpochMetrics &metrics);

// Of all epochs.
void delete_metrics(int64 run);

// Makes a run that has ended badly a queued one again. Throws
// SqlError(object_not_in_prerequisite_state) for any other.
struct RunToResume {
    std::string model;
    Oid owner;
};
RunToResume queue_again(int64 run);

// How a run ended, if not well.
struct RunFailure {
    const char *state;  // failed, cancelled or crashed
    std::string sqlstate;
    std::string message, detail, hint;
};
void mark_failed(int64 run, const RunFailure &failure);

// Whether the run is there and says that this process works on it.
bool is_own_run(int64 run);

// Within a catch block: what the exception says, as strings.
RunFailure describe_failure();

// Stores a trained model as a new version and deploys it, or as the model of a trial, and marks the run as succeeded, all in
// the current transaction.
struct TrainedVersion {
    TrainedModel model;
    double seconds = 0;
    std::string device, torch_version, blas_name;
};
void publish(int64 run, const StoredRun &stored, const TrainingRows &rows, const TrainedVersion &trained);

// Throws SqlError(invalid_name) for a name that no model can have.
void require_valid_model_name(const std::string &model);

// Throws SqlError(insufficient_privilege) if a model of that name exists and `role` is not a
// member of its owner; invalid_name for a name that no model can have.
void require_model_rights(const std::string &model, Oid role);

// The lock that a training worker holds until the end of its run is recorded, and whether somebody holds it. lock_run: false
// if another does.
bool lock_run(int64 run);
void unlock_run(int64 run);
bool run_is_alive(int64 run);

}  // namespace csp::server

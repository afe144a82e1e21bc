// A search for good options as the catalogue knows it (csp.search, csp.search_trial): written as the owner of the
// extension. Functions here need an active transaction and an active SPI connection.
//
// A trial in a rung is a row: waiting; started, which is to say that its run tells; or how its run has ended. The trials
// of the first rung are drawn when the search begins, those of the next are written when a rung has ended.
#pragma once

#include "pg.h"

#include "training_run.h"

namespace csp::server {

// What csp_tune was asked for.
struct SearchRequest {
    RunRequest run;  // model, source and query; the options are those that all trials share
    std::string search, options;  // JSON
    std::string method, metric;
    int32 parallel = 0, reduction = 0;
    std::vector<int> rungs;           // trials in each
    std::vector<std::string> trials;  // options of each, JSON
};

// Adds a search owned by the current user, whose first rung is waiting; its settings are those of this session.
int64 insert_search(const SearchRequest &request);

// With its trials and their runs.
void delete_search(int64 search);

struct RunningSearch {
    int64 id = 0;
    std::string model;
    Oid owner = InvalidOid;
    std::string metric;
    int32 parallel = 0, reduction = 0;
    std::vector<int> rungs;
    int32 rung = 0;  // from 1
    int32 best_trial = 0, best_rung = 0;  // 0: none yet
};

// Waits for whoever else goes on with it, and locks it until the end of the transaction. Nothing if it is no longer
// running, or if somebody is about to end it: he is not waited for.
std::optional<RunningSearch> lock_running_search(int64 search);

// Those that are running, or have trials whose end has not been seen.
std::vector<int64> searches_to_go_on_with();

// Whether a search is running, none of whose trials is queued or alive.
bool a_search_stands_still();

// A run for a waiting trial: queued, with its options at the budget of its rung.
int64 insert_trial_run(const RunningSearch &search, int32 trial);

// How a search ends that somebody has cancelled.
RunFailure search_cancellation();

// Ends a running search and tells the runs of its trials to end. False if it was not running.
bool end_search(int64 search, const RunFailure &failure);

// A trial of the rung that is started, and its run as it stands.
struct StartedTrial {
    int32 trial = 0, rung = 0;
    int64 run = 0;           // 0: it has been deleted
    std::string state;       // of the run; crashed if it says running and nobody works on it
    std::string sqlstate;
    int32 resumed = 0;

    bool goes_on() const { return state == "queued" || state == "running"; }
};
std::vector<StartedTrial> started_trials(int64 search);

void record_trial_state(int64 search, const StartedTrial &trial, const std::string &state);

// Of a search that has ended: writes down how its trials have, and deletes the models that they have left.
void settle_trials(int64 search);

}  // namespace csp::server

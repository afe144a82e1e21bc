// A search for good options as the catalogue knows it (csp.search): written as the owner of the extension. Functions here
// need an active transaction and an active SPI connection.
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
    int64 seed = 0;
    std::vector<int> rungs;           // trials in each
    std::vector<std::string> trials;  // options of each, JSON
};

// Adds a search owned by the current user, whose first rung is waiting; its settings are those of this session.
int64 insert_search(const SearchRequest &request);

// With its trials and their runs.
void delete_search(int64 search);

struct Search {
    int64 id = 0;
    bool is_running = false;
    std::string model;
    Oid owner = InvalidOid;
    std::string metric;
    int32 parallel = 0, reduction = 0;
    std::vector<int> rungs;
    int32 rung = 0;  // from 1
};

// Waits for whoever else goes on with it, and locks it until the end of the transaction. Nothing if it is no longer there, or if
// somebody is about to end it: his transaction is not waited for.
std::optional<Search> lock_search(int64 search);

// Those that are running, or have trials whose end has not been seen.
std::vector<int64> searches_to_go_on_with();

// Makes a search that has ended badly a running one again, whose trials of the rung that it was in are tried again if they
// have not succeeded. Throws SqlError(object_not_in_prerequisite_state) for any other, while its trials are still ending, and if
// the model of the best trial has gone with its run.
struct SearchToResume {
    std::string model;
    Oid owner;
};
SearchToResume reopen_search(int64 search);

// Whether a search is running, none of whose trials is queued or alive.
bool a_search_stands_still();

// How a search ends that somebody has cancelled.
RunFailure search_cancellation();

// Ends a running search and tells the runs of its trials to end. False if it was not running.
bool end_search(int64 search, const RunFailure &failure);

}  // namespace csp::server

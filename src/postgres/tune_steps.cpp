// The steps of searches.
//
// A step may be done by any process and at any time; the lock on the search has one done after the other, and each leaves
// a state from which the next can go on.
#include "tune_steps.h"

#include "spi.h"
#include "tune_trials.h"
#include "tune_winner.h"
#include "worker_transactions.h"

#include <algorithm>

namespace csp::server {

namespace {

constexpr int32 most_resumes = 3;  // of a trial that was interrupted: one that always brings down the server must end

// By a kill, a crash or a shutdown, not by its user or an error.
bool was_interrupted(const StartedTrial &trial) { return trial.state == "crashed" || trial.sqlstate == "57P01"; }

// True if it goes on.
bool look_after(int64 search, const StartedTrial &trial) {
    if (trial.goes_on())
        return true;
    if (was_interrupted(trial) && trial.resumed < most_resumes) {
        queue_again(trial.run);
        return true;
    }
    record_end(search, trial);
    return false;
}

// How many go on.
int32 look_after_started_trials(int64 search) {
    int32 going_on = 0;
    for (const StartedTrial &trial : started_trials(search))
        going_on += look_after(search, trial);
    return going_on;
}

// With the error of the first trial that has one.
RunFailure failure_of_all(const Search &search) {
    const std::string message = "no trial of the search has a " + search.metric;
    SpiRows rows = spi_execute("SELECT r.sqlstate, pg_catalog.format('Trial %s: %s.', t.trial, r.message), r.hint "
                               "FROM csp.search_trial t "
                               "JOIN csp.run r ON r.id OPERATOR(pg_catalog.=) t.run WHERE t.search OPERATOR(pg_catalog.=) $1 "
                               "AND r.message IS NOT NULL ORDER BY t.rung, t.trial LIMIT 1",
                               SpiArguments().add(search.id));
    if (rows.count() == 1)
        return {"failed", rows.text(0, 1), message, rows.text(0, 2), rows.text(0, 3)};
    return {"failed", "22000", message, "All have ended, and no rows were held out to validate.",
            "Give more rows, or raise validation_fraction."};
}

void finish(const Search &search) {
    SpiRows best = spi_execute("SELECT t.run FROM csp.search_trial t, csp.search s WHERE s.id OPERATOR(pg_catalog.=) $1 "
                               "AND t.search OPERATOR(pg_catalog.=) s.id AND t.trial OPERATOR(pg_catalog.=) s.best_trial "
                               "AND t.rung OPERATOR(pg_catalog.=) s.best_rung",
                               SpiArguments().add(search.id));
    if (best.count() == 1)
        publish_winner(search, best.bigint(0, 1));
    else
        end_search(search.id, failure_of_all(search));
}

}  // namespace

void go_on_with_search(int64 id) {
    std::optional<Search> search = lock_search(id);
    if (!search)
        return;
    if (!search->is_running)
        return settle_trials(id);
    CatalogOwnerIdentity owner;
    int32 going_on = look_after_started_trials(id);
    find_best(id);
    do
        going_on += queue_waiting_trials(*search, std::max(search->parallel - going_on, 0));
    while (going_on == 0 && begin_next_rung(*search));
    if (going_on == 0)
        finish(*search);
}

namespace {

// What went wrong, if something did; the transaction is over.
template <typename Body>
std::optional<RunFailure> failure_of(Body &&body) {
    std::optional<RunFailure> failure;
    try {
        write_transaction(body);
    } catch (...) {
        failure = describe_failure();
    }
    if (failure)
        server_call([] { AbortOutOfAnyTransaction(); });
    return failure;
}

void log_failure(const std::string &what, const RunFailure &failure) {
    server_call([&] { ereport(LOG, (errmsg("%s: %s", what.c_str(), failure.message.c_str()))); });
}

}  // namespace

void go_on_with_searches() {
    std::vector<int64> searches;
    write_transaction([&] { searches = searches_to_go_on_with(); });
    for (int64 search : searches) {
        std::optional<RunFailure> failure = failure_of([&] { go_on_with_search(search); });
        if (!failure)
            continue;
        log_failure("search " + std::to_string(search) + " failed", *failure);
        failure->state = "failed";
        if (std::optional<RunFailure> again = failure_of([&] { end_search(search, *failure); }))
            log_failure("could not record the end of search " + std::to_string(search), *again);
    }
}

}  // namespace csp::server

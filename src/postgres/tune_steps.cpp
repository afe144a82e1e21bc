// The steps of searches.
//
// A step may be done by any process and at any time; the lock on the search has one done after the other, and each leaves
// a state from which the next can go on.
#include "tune_steps.h"

#include "spi.h"
#include "tune_search.h"
#include "tune_winner.h"
#include "worker_transactions.h"

namespace csp::server {

namespace {

constexpr int32 most_resumes = 3;  // of a trial that was interrupted: one that always brings down the server must end

// The order of trials: the best first, from columns of csp.search_trial t and csp.search s. Of equal ones that of more
// epochs, then the earlier one: so it does not depend on which has ended first.
#define BEST_FIRST \
    "CASE s.metric WHEN 'validation_top1' THEN OPERATOR(pg_catalog.-) t.value ELSE t.value END, t.validation_loss NULLS LAST, " \
    "t.rung DESC, t.trial"

// By a kill, a crash or a shutdown, not by its user or an error.
bool was_interrupted(const StartedTrial &trial) { return trial.state == "crashed" || trial.sqlstate == "57P01"; }

// The figures of the weights that the trial has ended with. NULL where no rows were held out.
void record_value(int64 search, const StartedTrial &trial) {
    spi_execute("UPDATE csp.search_trial t SET value = (m.metrics OPERATOR(pg_catalog.->>) s.metric)::pg_catalog.float8, "
                "validation_loss = (m.metrics OPERATOR(pg_catalog.->>) 'validation_loss')::pg_catalog.float8 "
                "FROM csp.search s, csp.trial_model m WHERE s.id OPERATOR(pg_catalog.=) $1 AND m.run OPERATOR(pg_catalog.=) $4 "
                "AND t.search OPERATOR(pg_catalog.=) $1 AND t.trial OPERATOR(pg_catalog.=) $2 AND t.rung OPERATOR(pg_catalog.=) $3",
                SpiArguments().add(search).add(trial.trial).add(trial.rung).add(trial.run));
}

// True if it goes on.
bool look_after(int64 search, const StartedTrial &trial) {
    if (trial.goes_on())
        return true;
    if (was_interrupted(trial) && trial.resumed < most_resumes) {
        queue_again(trial.run);
        return true;
    }
    if (trial.state == "succeeded")
        record_value(search, trial);
    record_trial_state(search, trial, trial.state);
    return false;
}

// How many go on.
int32 look_after_started_trials(int64 search) {
    int32 going_on = 0;
    for (const StartedTrial &trial : started_trials(search))
        going_on += look_after(search, trial);
    return going_on;
}

// Keeps the model of the best trial so far and no other.
void find_best(int64 search) {
    spi_execute("UPDATE csp.search u SET (best_trial, best_rung) = (SELECT t.trial, t.rung FROM csp.search_trial t, csp.search s "
                "WHERE s.id OPERATOR(pg_catalog.=) $1 AND t.search OPERATOR(pg_catalog.=) s.id AND t.value IS NOT NULL "
                "ORDER BY " BEST_FIRST " LIMIT 1) WHERE u.id OPERATOR(pg_catalog.=) $1",
                SpiArguments().add(search));
    spi_execute("DELETE FROM csp.trial_model m USING csp.search_trial t, csp.search s WHERE s.id OPERATOR(pg_catalog.=) $1 "
                "AND t.search OPERATOR(pg_catalog.=) s.id AND t.run OPERATOR(pg_catalog.=) m.run "
                "AND t.state OPERATOR(pg_catalog.<>) 'started' AND (t.trial OPERATOR(pg_catalog.=) s.best_trial "
                "AND t.rung OPERATOR(pg_catalog.=) s.best_rung) IS NOT TRUE",
                SpiArguments().add(search));
}

// As many as may be under way; how many there were to begin.
int32 queue_waiting_trials(const RunningSearch &search, int32 most) {
    SpiRows rows = spi_execute("SELECT t.trial FROM csp.search_trial t WHERE t.search OPERATOR(pg_catalog.=) $1 "
                               "AND t.rung OPERATOR(pg_catalog.=) $2 AND t.state OPERATOR(pg_catalog.=) 'waiting' "
                               "ORDER BY t.trial LIMIT $3",
                               SpiArguments().add(search.id).add(search.rung).add(int64(most)));
    std::vector<int32> trials;
    for (uint64 i = 0; i < rows.count(); ++i)
        trials.push_back(rows.integer(i, 1));
    for (int32 trial : trials)
        insert_trial_run(search, trial);
    return int32(trials.size());
}

// The best trials of a rung that has ended begin anew in the next, with its number of epochs: schedules, warm-up and the
// order of rows depend on that number, so one that went on from its weights would not be the run of those options. False if there is
// no next rung, or nobody to reach it.
bool begin_next_rung(RunningSearch &search) {
    if (search.rung == int32(search.rungs.size()))
        return false;
    SpiRows promoted = spi_execute(
        "INSERT INTO csp.search_trial (search, trial, rung, options) "
        "SELECT t.search, t.trial, t.rung OPERATOR(pg_catalog.+) 1, t.options FROM csp.search_trial t, csp.search s "
        "WHERE s.id OPERATOR(pg_catalog.=) $1 AND t.search OPERATOR(pg_catalog.=) s.id AND t.rung OPERATOR(pg_catalog.=) s.rung "
        "AND t.value IS NOT NULL ORDER BY " BEST_FIRST " LIMIT $2",
        SpiArguments().add(search.id).add(int64(search.rungs[search.rung])));
    if (promoted.count() == 0)
        return false;
    spi_execute("UPDATE csp.search SET rung = $2 WHERE id OPERATOR(pg_catalog.=) $1",
                SpiArguments().add(search.id).add(++search.rung));
    return true;
}

// What the first run said that did not end well.
std::string first_failure(int64 search) {
    SpiRows rows = spi_execute("SELECT pg_catalog.format('Trial %s: %s.', t.trial, r.message) FROM csp.search_trial t "
                               "JOIN csp.run r ON r.id OPERATOR(pg_catalog.=) t.run WHERE t.search OPERATOR(pg_catalog.=) $1 "
                               "AND r.message IS NOT NULL ORDER BY t.rung, t.trial LIMIT 1",
                               SpiArguments().add(search));
    return rows.count() == 0 ? std::string() : rows.text(0, 1);
}

void finish(const RunningSearch &search) {
    SpiRows best = spi_execute("SELECT t.run FROM csp.search_trial t, csp.search s WHERE s.id OPERATOR(pg_catalog.=) $1 "
                               "AND t.search OPERATOR(pg_catalog.=) s.id AND t.trial OPERATOR(pg_catalog.=) s.best_trial "
                               "AND t.rung OPERATOR(pg_catalog.=) s.best_rung",
                               SpiArguments().add(search.id));
    if (best.count() == 1)
        return publish_winner(search, best.bigint(0, 1));
    std::string why = first_failure(search.id);
    end_search(search.id, {"failed", "22000", "no trial of the search has a " + search.metric,
                           why.empty() ? "All have ended, and no rows were held out to validate." : why,
                           why.empty() ? "Give more rows, or raise validation_fraction." : ""});
}

}  // namespace

void go_on_with_search(int64 id) {
    std::optional<RunningSearch> search = lock_running_search(id);
    if (!search) {
        settle_trials(id);
        return;
    }
    CatalogOwnerIdentity owner;
    int32 going_on = look_after_started_trials(id);
    find_best(id);
    do
        going_on += queue_waiting_trials(*search, search->parallel - going_on);
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

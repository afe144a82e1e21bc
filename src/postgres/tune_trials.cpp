// Reading and writing of csp.search_trial.
#include "tune_trials.h"

#include "spi.h"

#include "../training/options_halving.h"

namespace csp::server {

namespace {

// The order of trials: the best first, from columns of csp.search_trial t and csp.search s. Of equal ones that of more
// epochs, then the earlier one: so it does not depend on which has ended first.
#define BEST_FIRST \
    "CASE WHEN s.metric OPERATOR(pg_catalog.=) 'validation_top1' THEN OPERATOR(pg_catalog.-) t.value ELSE t.value END, " \
    "t.validation_loss NULLS LAST, " \
    "t.rung DESC, t.trial"

TrainingOptions trial_options(const Search &search, int32 trial) {
    TrainingOptions options = options_from_rows(spi_execute(
        "SELECT o.key, pg_catalog.jsonb_typeof(o.value), o.value OPERATOR(pg_catalog.#>>) '{}' FROM csp.search s "
        "JOIN csp.search_trial t ON t.search OPERATOR(pg_catalog.=) s.id AND t.trial OPERATOR(pg_catalog.=) $2 "
        "AND t.rung OPERATOR(pg_catalog.=) $3, LATERAL pg_catalog.jsonb_each(s.options OPERATOR(pg_catalog.||) t.options) o "
        "WHERE s.id OPERATOR(pg_catalog.=) $1",
        SpiArguments().add(search.id).add(trial).add(search.rung)));
    scale_to_rung(options, search.rung - 1, int(search.rungs.size()), search.reduction);
    return options;
}

// The figures of the weights that the trial has ended with. NULL where no rows were held out.
void record_value(int64 search, const StartedTrial &trial) {
    spi_execute("UPDATE csp.search_trial t SET value = (m.metrics OPERATOR(pg_catalog.->>) s.metric)::pg_catalog.float8, "
                "validation_loss = (m.metrics OPERATOR(pg_catalog.->>) 'validation_loss')::pg_catalog.float8 "
                "FROM csp.search s, csp.trial_model m WHERE s.id OPERATOR(pg_catalog.=) $1 AND m.run OPERATOR(pg_catalog.=) $4 "
                "AND t.search OPERATOR(pg_catalog.=) $1 AND t.trial OPERATOR(pg_catalog.=) $2 AND t.rung OPERATOR(pg_catalog.=) $3",
                SpiArguments().add(search).add(trial.trial).add(trial.rung).add(trial.run));
}

std::vector<StartedTrial> look_at_started_trials(int64 search) {
    SpiRows rows = spi_execute("SELECT t.trial, t.rung, r.id, CASE WHEN r.id IS NULL THEN 'failed' "
                               "WHEN r.state OPERATOR(pg_catalog.=) 'running' AND NOT csp.run_is_alive(r.id) THEN 'crashed' "
                               "ELSE r.state::pg_catalog.text END, r.sqlstate, r.resumed "
                               "FROM csp.search_trial t LEFT JOIN csp.run r ON r.id OPERATOR(pg_catalog.=) t.run "
                               "WHERE t.search OPERATOR(pg_catalog.=) $1 AND t.state OPERATOR(pg_catalog.=) 'started' "
                               "ORDER BY t.rung, t.trial",
                               SpiArguments().add(search));
    std::vector<StartedTrial> trials;
    for (uint64 i = 0; i < rows.count(); ++i)
        trials.push_back({rows.integer(i, 1), rows.integer(i, 2), rows.bigint(i, 3), rows.text(i, 4), rows.text(i, 5),
                          rows.integer(i, 6)});
    return trials;
}

// Queues the run that the trial had before, if it has one.
bool queue_run_again(const Search &search, int32 trial) {
    SpiRows rows = spi_execute("SELECT t.run FROM csp.search_trial t WHERE t.search OPERATOR(pg_catalog.=) $1 "
                               "AND t.trial OPERATOR(pg_catalog.=) $2 AND t.rung OPERATOR(pg_catalog.=) $3 AND t.run IS NOT NULL",
                               SpiArguments().add(search.id).add(trial).add(search.rung));
    if (rows.count() == 0)
        return false;
    queue_again(rows.bigint(0, 1));
    spi_execute("UPDATE csp.search_trial SET state = 'started' WHERE search OPERATOR(pg_catalog.=) $1 "
                "AND trial OPERATOR(pg_catalog.=) $2 AND rung OPERATOR(pg_catalog.=) $3",
                SpiArguments().add(search.id).add(trial).add(search.rung));
    return true;
}

void insert_trial_run(const Search &search, int32 trial) {
    std::string options = options_to_json(trial_options(search, trial));
    int64 run = spi_execute("INSERT INTO csp.run (model, owner, source, query, has_features, has_label, options, settings, search) "
                            "SELECT s.model, s.owner, s.source, s.query, s.has_features, s.has_label, $2::pg_catalog.jsonb, "
                            "s.settings, s.id FROM csp.search s WHERE s.id OPERATOR(pg_catalog.=) $1 RETURNING id",
                            SpiArguments().add(search.id).add(options))
                    .bigint(0, 1);
    spi_execute("UPDATE csp.search_trial SET state = 'started', run = $4 WHERE search OPERATOR(pg_catalog.=) $1 "
                "AND trial OPERATOR(pg_catalog.=) $2 AND rung OPERATOR(pg_catalog.=) $3",
                SpiArguments().add(search.id).add(trial).add(search.rung).add(run));
}

}  // namespace

// Between the statement's snapshot and its look at a run's lock the worker may have ended: a second look tells.
std::vector<StartedTrial> started_trials(int64 search) {
    CatalogOwnerIdentity owner;
    std::vector<StartedTrial> trials = look_at_started_trials(search);
    for (const StartedTrial &trial : trials)
        if (trial.state == "crashed")
            return look_at_started_trials(search);
    return trials;
}

void record_end(int64 search, const StartedTrial &trial) {
    CatalogOwnerIdentity owner;
    if (trial.state == "succeeded")
        record_value(search, trial);
    spi_execute("UPDATE csp.search_trial SET state = $4 WHERE search OPERATOR(pg_catalog.=) $1 "
                "AND trial OPERATOR(pg_catalog.=) $2 AND rung OPERATOR(pg_catalog.=) $3",
                SpiArguments().add(search).add(trial.trial).add(trial.rung).add(trial.state));
}

void find_best(int64 search) {
    CatalogOwnerIdentity owner;
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

int32 queue_waiting_trials(const Search &search, int32 most) {
    CatalogOwnerIdentity owner;
    SpiRows rows = spi_execute("SELECT t.trial FROM csp.search_trial t WHERE t.search OPERATOR(pg_catalog.=) $1 "
                               "AND t.rung OPERATOR(pg_catalog.=) $2 AND t.state OPERATOR(pg_catalog.=) 'waiting' "
                               "ORDER BY t.trial LIMIT $3",
                               SpiArguments().add(search.id).add(search.rung).add(int64(most)));
    std::vector<int32> trials;
    for (uint64 i = 0; i < rows.count(); ++i)
        trials.push_back(rows.integer(i, 1));
    for (int32 trial : trials)
        if (!queue_run_again(search, trial))
            insert_trial_run(search, trial);
    return int32(trials.size());
}

bool begin_next_rung(Search &search) {
    if (search.rung == int32(search.rungs.size()))
        return false;
    CatalogOwnerIdentity owner;
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

void settle_trials(int64 search) {
    for (const StartedTrial &trial : started_trials(search))
        if (!trial.goes_on())
            record_end(search, trial);
    find_best(search);
}

void wait_for_trials_again(int64 search) {
    settle_trials(search);
    CatalogOwnerIdentity owner;
    if (!started_trials(search).empty())
        throw SqlError(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                       "trials of search " + std::to_string(search) + " have not ended yet", {},
                       "Wait a moment: view csp.trials tells.");
    spi_execute("UPDATE csp.search_trial t SET state = 'waiting' FROM csp.search s WHERE s.id OPERATOR(pg_catalog.=) $1 "
                "AND t.search OPERATOR(pg_catalog.=) s.id AND t.rung OPERATOR(pg_catalog.=) s.rung "
                "AND t.state OPERATOR(pg_catalog.<>) 'succeeded'",
                SpiArguments().add(search));
}

}  // namespace csp::server

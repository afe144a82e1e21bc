// Reading and writing of csp.search and csp.search_trial.
#include "tune_search.h"

#include "advisory_lock.h"
#include "spi.h"
#include "training_queue.h"

#include "../training/options_halving.h"

namespace csp::server {

namespace {

constexpr uint16 search_lock_class = 0x6375;  // beside those of runs and of their queue

// An integer[] as text, {3,1}.
std::vector<int> integers_of(const std::string &array) {
    std::vector<int> values;
    for (std::size_t begin = 1; begin < array.size(); begin = array.find_first_of(",}", begin) + 1)
        values.push_back(std::stoi(array.substr(begin)));
    return values;
}

std::string array_of(const std::vector<int> &values) {
    std::string text;
    for (int value : values)
        text += (text.empty() ? "{" : ",") + std::to_string(value);
    return text + "}";
}

void insert_trial(int64 search, int32 trial, const std::string &options) {
    spi_execute("INSERT INTO csp.search_trial (search, trial, rung, options) VALUES ($1, $2, 1, $3::pg_catalog.jsonb)",
                SpiArguments().add(search).add(trial).add(options));
}

TrainingOptions trial_options(const RunningSearch &search, int32 trial) {
    TrainingOptions options = options_from_rows(spi_execute(
        "SELECT o.key, pg_catalog.jsonb_typeof(o.value), o.value #>> '{}' FROM csp.search s "
        "JOIN csp.search_trial t ON t.search OPERATOR(pg_catalog.=) s.id AND t.trial OPERATOR(pg_catalog.=) $2 "
        "AND t.rung OPERATOR(pg_catalog.=) $3, LATERAL pg_catalog.jsonb_each(s.options OPERATOR(pg_catalog.||) t.options) o "
        "WHERE s.id OPERATOR(pg_catalog.=) $1",
        SpiArguments().add(search.id).add(trial).add(search.rung)));
    scale_to_rung(options, search.rung - 1, int(search.rungs.size()), search.reduction);
    return options;
}

std::vector<int64> ids(const SpiRows &rows) {
    std::vector<int64> list;
    for (uint64 i = 0; i < rows.count(); ++i)
        list.push_back(rows.bigint(i, 1));
    return list;
}

}  // namespace

int64 insert_search(const SearchRequest &request) {
    SpiArguments arguments;
    arguments.add(request.run.model).add(OIDOID, ObjectIdGetDatum(GetUserId())).add(request.run.source);
    arguments.add(request.run.query.sql).add(request.run.query.has_features).add(request.run.query.has_label);
    arguments.add(request.search).add(request.options).add(TEXTARRAYOID, session_settings());
    arguments.add(request.method).add(request.metric).add(request.parallel).add(int32(request.trials.size()));
    arguments.add(request.reduction).add(array_of(request.rungs));
    CatalogOwnerIdentity owner;
    int64 search =
        spi_execute("INSERT INTO csp.search (model, owner, source, query, has_features, has_label, search, options, settings, "
                    "method, metric, parallel, trials, reduction, rungs) VALUES ($1, $2, $3, $4, $5, $6, $7::pg_catalog.jsonb, "
                    "$8::pg_catalog.jsonb, $9, $10, $11, $12, $13, $14, $15::pg_catalog.int4[]) RETURNING id",
                    std::move(arguments))
            .bigint(0, 1);
    for (std::size_t i = 0; i < request.trials.size(); ++i)
        insert_trial(search, int32(i + 1), request.trials[i]);
    return search;
}

void delete_search(int64 search) {
    CatalogOwnerIdentity owner;
    spi_execute("DELETE FROM csp.search WHERE id OPERATOR(pg_catalog.=) $1", SpiArguments().add(search));
}

std::optional<RunningSearch> lock_running_search(int64 search) {
    LOCKTAG tag = advisory_lock(uint64(search), search_lock_class);
    server_call([&] { LockAcquire(&tag, ExclusiveLock, false, false); });
    CatalogOwnerIdentity owner;
    SpiRows rows = spi_execute("SELECT s.model, s.owner::pg_catalog.oid, s.metric, s.parallel, s.reduction, s.rungs::pg_catalog.text, "
                               "s.rung, s.best_trial, s.best_rung FROM csp.search s "
                               "WHERE s.id OPERATOR(pg_catalog.=) $1 AND s.state OPERATOR(pg_catalog.=) 'running' "
                               "FOR UPDATE SKIP LOCKED",
                               SpiArguments().add(search));
    if (rows.count() == 0)
        return std::nullopt;
    RunningSearch found;
    bool is_null;
    found.id = search;
    found.model = rows.text(0, 1);
    found.owner = DatumGetObjectId(rows.datum(0, 2, is_null));
    found.metric = rows.text(0, 3);
    found.parallel = rows.integer(0, 4);
    found.reduction = rows.integer(0, 5);
    found.rungs = integers_of(rows.text(0, 6));
    found.rung = rows.integer(0, 7);
    found.best_trial = rows.integer(0, 8);
    found.best_rung = rows.integer(0, 9);
    return found;
}

std::vector<int64> searches_to_go_on_with() {
    CatalogOwnerIdentity owner;
    return ids(spi_execute("SELECT s.id FROM csp.search s WHERE s.state OPERATOR(pg_catalog.=) 'running' OR EXISTS "
                           "(SELECT FROM csp.search_trial t WHERE t.search OPERATOR(pg_catalog.=) s.id "
                           "AND t.state OPERATOR(pg_catalog.=) 'started') ORDER BY s.id"));
}

bool a_search_stands_still() {
    CatalogOwnerIdentity owner;
    SpiRows rows = spi_execute("SELECT FROM csp.search s WHERE s.state OPERATOR(pg_catalog.=) 'running' AND NOT EXISTS "
                               "(SELECT FROM csp.search_trial t JOIN csp.run r ON r.id OPERATOR(pg_catalog.=) t.run "
                               "WHERE t.search OPERATOR(pg_catalog.=) s.id AND t.state OPERATOR(pg_catalog.=) 'started' "
                               "AND (r.state OPERATOR(pg_catalog.=) 'queued' OR csp.run_is_alive(r.id))) LIMIT 1");
    return rows.count() > 0;
}

int64 insert_trial_run(const RunningSearch &search, int32 trial) {
    CatalogOwnerIdentity owner;
    std::string options = options_to_json(trial_options(search, trial));
    int64 run = spi_execute("INSERT INTO csp.run (model, owner, source, query, has_features, has_label, options, settings, search) "
                            "SELECT s.model, s.owner, s.source, s.query, s.has_features, s.has_label, $2::pg_catalog.jsonb, "
                            "s.settings, s.id FROM csp.search s WHERE s.id OPERATOR(pg_catalog.=) $1 RETURNING id",
                            SpiArguments().add(search.id).add(options))
                    .bigint(0, 1);
    spi_execute("UPDATE csp.search_trial SET state = 'started', run = $4 WHERE search OPERATOR(pg_catalog.=) $1 "
                "AND trial OPERATOR(pg_catalog.=) $2 AND rung OPERATOR(pg_catalog.=) $3",
                SpiArguments().add(search.id).add(trial).add(search.rung).add(run));
    return run;
}

RunFailure search_cancellation() { return {"cancelled", "57014", "search was cancelled", "", ""}; }

bool end_search(int64 search, const RunFailure &failure) {
    CatalogOwnerIdentity owner;
    SpiArguments arguments;
    arguments.add(search).add(failure.state).add(failure.sqlstate).add(failure.message);
    arguments.add(failure.detail.empty() ? nullptr : failure.detail.c_str());
    arguments.add(failure.hint.empty() ? nullptr : failure.hint.c_str());
    SpiRows ended = spi_execute("UPDATE csp.search SET state = $2::csp.run_state, sqlstate = $3, message = $4, detail = $5, "
                                "hint = $6, finished = pg_catalog.clock_timestamp() "
                                "WHERE id OPERATOR(pg_catalog.=) $1 AND state OPERATOR(pg_catalog.=) 'running'",
                                std::move(arguments));
    if (ended.count() == 0)
        return false;
    spi_execute("UPDATE csp.search_trial SET state = 'cancelled' WHERE search OPERATOR(pg_catalog.=) $1 "
                "AND state OPERATOR(pg_catalog.=) 'waiting'",
                SpiArguments().add(search));
    for (int64 run : ids(spi_execute("SELECT t.run FROM csp.search_trial t WHERE t.search OPERATOR(pg_catalog.=) $1 "
                                     "AND t.state OPERATOR(pg_catalog.=) 'started' AND t.run IS NOT NULL ORDER BY t.run",
                                     SpiArguments().add(search))))
        cancel_run(run);
    settle_trials(search);
    return true;
}

namespace {

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

void record_trial_state(int64 search, const StartedTrial &trial, const std::string &state) {
    CatalogOwnerIdentity owner;
    spi_execute("UPDATE csp.search_trial SET state = $4 WHERE search OPERATOR(pg_catalog.=) $1 "
                "AND trial OPERATOR(pg_catalog.=) $2 AND rung OPERATOR(pg_catalog.=) $3",
                SpiArguments().add(search).add(trial.trial).add(trial.rung).add(state));
}

void settle_trials(int64 search) {
    for (const StartedTrial &trial : started_trials(search))
        if (!trial.goes_on())
            record_trial_state(search, trial, trial.state);
    CatalogOwnerIdentity owner;
    spi_execute("DELETE FROM csp.trial_model m USING csp.run r WHERE r.id OPERATOR(pg_catalog.=) m.run "
                "AND r.search OPERATOR(pg_catalog.=) $1",
                SpiArguments().add(search));
}

}  // namespace csp::server

// Reading and writing of csp.search.
#include "tune_search.h"

#include "advisory_lock.h"
#include "spi.h"
#include "training_queue.h"
#include "tune_trials.h"

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
    arguments.add(request.search).add(request.options).add(TEXTARRAYOID, settings_of_session());
    arguments.add(request.method).add(request.metric).add(request.parallel).add(int32(request.trials.size()));
    arguments.add(request.reduction).add(array_of(request.rungs)).add(request.seed);
    CatalogOwnerIdentity owner;
    int64 search =
        spi_execute("INSERT INTO csp.search (model, owner, source, query, has_features, has_label, search, options, settings, "
                    "method, metric, parallel, trials, reduction, rungs, seed) VALUES ($1, $2, $3, $4, $5, $6, $7::pg_catalog.jsonb, "
                    "$8::pg_catalog.jsonb, $9, $10, $11, $12, $13, $14, $15::pg_catalog.int4[], $16) RETURNING id",
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

std::optional<Search> lock_search(int64 search) {
    LOCKTAG tag = advisory_lock(uint64(search), search_lock_class);
    server_call([&] { LockAcquire(&tag, ExclusiveLock, false, false); });
    CatalogOwnerIdentity owner;
    SpiRows rows = spi_execute("SELECT s.model, s.owner::pg_catalog.oid, s.metric, s.parallel, s.reduction, s.rungs::pg_catalog.text, "
                               "s.rung, s.state OPERATOR(pg_catalog.=) 'running' FROM csp.search s "
                               "WHERE s.id OPERATOR(pg_catalog.=) $1 FOR UPDATE SKIP LOCKED",
                               SpiArguments().add(search));
    if (rows.count() == 0)
        return std::nullopt;
    Search found;
    bool is_null;
    found.id = search;
    found.model = rows.text(0, 1);
    found.owner = DatumGetObjectId(rows.datum(0, 2, is_null));
    found.metric = rows.text(0, 3);
    found.parallel = rows.integer(0, 4);
    found.reduction = rows.integer(0, 5);
    found.rungs = integers_of(rows.text(0, 6));
    found.rung = rows.integer(0, 7);
    found.is_running = DatumGetBool(rows.datum(0, 8, is_null));
    return found;
}

std::vector<int64> searches_to_go_on_with() {
    CatalogOwnerIdentity owner;
    return ids(spi_execute("SELECT s.id FROM csp.search s WHERE s.state OPERATOR(pg_catalog.=) 'running' OR EXISTS "
                           "(SELECT FROM csp.search_trial t WHERE t.search OPERATOR(pg_catalog.=) s.id "
                           "AND t.state OPERATOR(pg_catalog.=) 'started') ORDER BY s.id"));
}

namespace {

void require_best_model(int64 search) {
    SpiRows rows = spi_execute("SELECT FROM csp.search s JOIN csp.search_trial t ON t.search OPERATOR(pg_catalog.=) s.id "
                               "AND t.trial OPERATOR(pg_catalog.=) s.best_trial AND t.rung OPERATOR(pg_catalog.=) s.best_rung "
                               "WHERE s.id OPERATOR(pg_catalog.=) $1 AND NOT EXISTS "
                               "(SELECT FROM csp.trial_model m WHERE m.run OPERATOR(pg_catalog.=) t.run)",
                               SpiArguments().add(search));
    if (rows.count() > 0)
        throw SqlError(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, "search " + std::to_string(search) + " cannot be resumed any more",
                       "The model of its best trial has been deleted with the trial's run: see csp.keep_runs.",
                       "Begin a new one with csp_tune.");
}

}  // namespace

SearchToResume reopen_search(int64 search) {
    CatalogOwnerIdentity owner;
    SpiRows rows = spi_execute("SELECT s.model, s.owner::pg_catalog.oid, s.state::pg_catalog.text FROM csp.search s "
                               "WHERE s.id OPERATOR(pg_catalog.=) $1 FOR UPDATE",
                               SpiArguments().add(search));
    if (rows.count() == 0)
        throw SqlError(ERRCODE_UNDEFINED_OBJECT, "search " + std::to_string(search) + " has been deleted");
    bool is_null;
    SearchToResume found{rows.text(0, 1), DatumGetObjectId(rows.datum(0, 2, is_null))};
    std::string state = rows.text(0, 3);
    if (state == "running" || state == "succeeded")
        throw SqlError(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                       "search " + std::to_string(search) + (state == "running" ? " is " : " has ") + state,
                       "Only a search that has failed or been cancelled can be resumed.");
    spi_execute("UPDATE csp.search SET state = 'running', finished = NULL, sqlstate = NULL, message = NULL, detail = NULL, hint = NULL "
                "WHERE id OPERATOR(pg_catalog.=) $1",
                SpiArguments().add(search));
    wait_for_trials_again(search);
    require_best_model(search);
    return found;
}

bool a_search_stands_still() {
    CatalogOwnerIdentity owner;
    SpiRows rows = spi_execute("SELECT FROM csp.search s WHERE s.state OPERATOR(pg_catalog.=) 'running' AND NOT EXISTS "
                               "(SELECT FROM csp.search_trial t JOIN csp.run r ON r.id OPERATOR(pg_catalog.=) t.run "
                               "WHERE t.search OPERATOR(pg_catalog.=) s.id AND t.state OPERATOR(pg_catalog.=) 'started' "
                               "AND (r.state OPERATOR(pg_catalog.=) 'queued' OR csp.run_is_alive(r.id))) LIMIT 1");
    return rows.count() > 0;
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

}  // namespace csp::server

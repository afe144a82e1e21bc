// The caller's side of a search.
#include "tune_wait.h"

#include "model_publication.h"
#include "spi.h"
#include "training_queue.h"
#include "training_wait.h"
#include "tune_search.h"

namespace csp::server {

namespace {

constexpr long poll_milliseconds = 100;
constexpr long cancel_poll_milliseconds = 20;
constexpr int cancel_polls = 500;

struct SearchState {
    std::string state, sqlstate, message, detail, hint;
    std::string progress;  // a line for the user
    bool has_trials_going_on = false;
};

SearchState look_at(int64 search) {
    SpiRows rows = spi_execute(
        "SELECT s.state::pg_catalog.text, s.sqlstate, s.message, s.detail, s.hint, "
        "pg_catalog.format('search %s: %s of %s runs have ended', s.id, "
        "(SELECT pg_catalog.count(*) FROM csp.search_trial t WHERE t.search OPERATOR(pg_catalog.=) s.id "
        "AND t.state OPERATOR(pg_catalog.<>) ALL ('{waiting, started}'::pg_catalog.text[])), "
        "(SELECT pg_catalog.sum(n) FROM pg_catalog.unnest(s.rungs) n)) OPERATOR(pg_catalog.||) "
        "COALESCE((SELECT pg_catalog.format(', best %s %s in trial %s: %s', s.metric, "
        "pg_catalog.round(b.value::pg_catalog.numeric, 4), b.trial, b.options) FROM csp.search_trial b WHERE b.search OPERATOR(pg_catalog.=) s.id "
        "AND b.trial OPERATOR(pg_catalog.=) s.best_trial AND b.rung OPERATOR(pg_catalog.=) s.best_rung), ''), "
        "EXISTS (SELECT FROM csp.search_trial t JOIN csp.run r ON r.id OPERATOR(pg_catalog.=) t.run "
        "WHERE t.search OPERATOR(pg_catalog.=) s.id AND r.state OPERATOR(pg_catalog.=) 'running' "
        "AND csp.run_is_alive(r.id))::pg_catalog.text "
        "FROM csp.search s WHERE s.id OPERATOR(pg_catalog.=) $1",
        SpiArguments().add(search));
    if (rows.count() == 0)
        return {};
    return {rows.text(0, 1), rows.text(0, 2), rows.text(0, 3), rows.text(0, 4), rows.text(0, 5), rows.text(0, 6),
            rows.text(0, 7) == "true"};
}

// One look and the end of its transaction; interrupts wait meanwhile: see training_wait.cpp.
SearchState look_in_transaction(int64 search) {
    InterruptsHeld held;
    SearchState state = look_at(search);
    if (state.state == "running")
        wake_queue();
    finish_transaction();
    return state;
}

// Whoever is interrupted while he waits ends the search; wait for that.
void cancel_and_wait(int64 search) {
    server_call([] { SPI_rollback(); });
    InterruptsHeld held;
    XactIsoLevel = XACT_READ_COMMITTED;  // a new transaction has begun, and no snapshot been taken
    end_search(search, search_cancellation());
    finish_transaction();
    for (int i = 0; i < cancel_polls && look_in_transaction(search).has_trials_going_on; ++i)
        sleep_on_latch(cancel_poll_milliseconds);
}

[[noreturn]] void report_failure(const SearchState &state) {
    if (state.sqlstate.size() != 5)
        throw SqlError(ERRCODE_UNDEFINED_OBJECT, "search is no longer there",
                       "It has been deleted while it went on, or given to another role.");
    throw SqlError(pack_sqlstate(state.sqlstate.c_str()), state.message, state.detail, state.hint);
}

// The version that the search made, as a last line for the user.
void announce_result(int64 search) {
    SpiRows rows = spi_execute(
        "SELECT pg_catalog.format('model \"%s\" version %s is %s: trial %s of %s, %s %s', v.model, v.version, "
        DEPLOYED_OR_TRAINED ", s.best_trial, "
        "s.trials, s.metric, pg_catalog.round(b.value::pg_catalog.numeric, 4)) "
        "FROM csp.search s JOIN csp.model_version v ON v.id OPERATOR(pg_catalog.=) s.version "
        "JOIN csp.search_trial b ON b.search OPERATOR(pg_catalog.=) s.id AND b.trial OPERATOR(pg_catalog.=) s.best_trial "
        "AND b.rung OPERATOR(pg_catalog.=) s.best_rung WHERE s.id OPERATOR(pg_catalog.=) $1",
        SpiArguments().add(search));
    if (rows.count() == 1)
        emit_notice(rows.text(0, 1));
}

// A line whenever a run has ended.
SearchState poll_to_end(int64 search) {
    std::string last;
    for (;;) {
        SearchState state = look_in_transaction(search);
        if (state.progress != last && !state.progress.empty())
            emit_notice(state.progress);
        last = state.progress;
        if (state.state != "running")
            return state;
        sleep_on_latch(poll_milliseconds);
        check_for_interrupts();
    }
}

}  // namespace

void wait_for_search(int64 search) {
    try {
        SearchState state = poll_to_end(search);
        if (state.state != "succeeded")
            report_failure(state);
    } catch (const ServerError &error) {
        if (is_interrupt(error))
            cancel_and_wait(search);
        throw;
    }
    announce_result(search);
}

}  // namespace csp::server

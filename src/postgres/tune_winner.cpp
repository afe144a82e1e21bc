// Publishing the best trial of a search.
#include "tune_winner.h"

#include "model_publication.h"
#include "spi.h"

namespace csp::server {

namespace {

int64 insert_version(const Search &search, int64 run) {
    SpiRows rows = spi_execute(
        "INSERT INTO csp.model_version (model, version, options, configuration, metrics, provenance) "
        "SELECT s.model, " NEXT_VERSION("s.model") ", r.options, m.configuration, m.metrics, m.provenance OPERATOR(pg_catalog.||) "
        "pg_catalog.jsonb_build_object('search', pg_catalog.jsonb_build_object('id', s.id, 'trial', t.trial, 'rung', t.rung, "
        "'options', t.options, 'trials', s.trials, 'method', s.method, 'metric', s.metric, 'value', t.value)) "
        "FROM csp.search s, csp.search_trial t, csp.run r, csp.trial_model m WHERE s.id OPERATOR(pg_catalog.=) $1 "
        "AND r.id OPERATOR(pg_catalog.=) $2 AND m.run OPERATOR(pg_catalog.=) r.id AND t.search OPERATOR(pg_catalog.=) s.id "
        "AND t.run OPERATOR(pg_catalog.=) r.id RETURNING id",
        SpiArguments().add(search.id).add(run));
    if (rows.count() != 1)
        throw SqlError(ERRCODE_UNDEFINED_OBJECT, "the best trial of search " + std::to_string(search.id) + " has been deleted");
    return rows.bigint(0, 1);
}

void copy_weights(int64 run, int64 version) {
    spi_execute("INSERT INTO csp.model_weights (version, part, data) SELECT $2, w.part, w.data FROM csp.trial_weights w "
                "WHERE w.run OPERATOR(pg_catalog.=) $1",
                SpiArguments().add(run).add(version));
    spi_execute("INSERT INTO csp.model_class (version, class, label, rows) "
                "SELECT $2, (c.number OPERATOR(pg_catalog.-) 1)::pg_catalog.int4, c.label, c.rows FROM csp.trial_model m, "
                "LATERAL ROWS FROM (pg_catalog.unnest(m.labels), pg_catalog.unnest(m.label_rows)) WITH ORDINALITY "
                "c (label, rows, number) WHERE m.run OPERATOR(pg_catalog.=) $1",
                SpiArguments().add(run).add(version));
}

bool is_to_be_deployed(int64 version) {
    SpiRows rows = spi_execute("SELECT FROM csp.model_version v WHERE v.id OPERATOR(pg_catalog.=) $1 AND " DEPLOYS("v.options"),
                               SpiArguments().add(version));
    return rows.count() > 0;
}

}  // namespace

void publish_winner(const Search &search, int64 run) {
    CatalogOwnerIdentity owner;
    claim_model_name(search.model, search.owner);
    int64 version = insert_version(search, run);
    copy_weights(run, version);
    if (is_to_be_deployed(version))
        deploy_version(search.model, version);
    spi_execute("UPDATE csp.run SET version = $2 WHERE id OPERATOR(pg_catalog.=) $1", SpiArguments().add(run).add(version));
    spi_execute("UPDATE csp.search SET state = 'succeeded', version = $2, finished = pg_catalog.clock_timestamp() "
                "WHERE id OPERATOR(pg_catalog.=) $1",
                SpiArguments().add(search.id).add(version));
    spi_execute("DELETE FROM csp.trial_model WHERE run OPERATOR(pg_catalog.=) $1", SpiArguments().add(run));
}

}  // namespace csp::server

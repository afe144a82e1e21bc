// A trained model becomes a version of the catalogue, in one transaction.
#include "model_publication.h"

#include "spi.h"
#include "training_checkpoint.h"
#include "training_run.h"

#include "../encoder/model.h"

#include <limits>

namespace csp::server {

namespace {

constexpr std::size_t weights_part_size = 8 * 1024 * 1024;

// JSON text of a number; null for what JSON has no number for.
std::string json_number(double value) {
    if (!std::isfinite(value))
        return "null";
    char text[32];
    snprintf(text, sizeof(text), "%.17g", value);
    return text;
}

std::string metrics_json(const EpochMetrics &metrics) {
    return "{\"stage\": \"" + std::string(to_string(metrics.stage)) + "\", \"epoch\": " + std::to_string(metrics.epoch) +
           ", \"loss\": " + json_number(metrics.loss) + ", \"validation_loss\": " + json_number(metrics.validation_loss) +
           ", \"validation_top1\": " + json_number(metrics.validation_top1) + "}";
}

int64 insert_version(int64 run, const StoredRun &stored, const TrainingRows &rows, const TrainedVersion &trained) {
    SpiArguments arguments;
    arguments.add(stored.request.model).add(configuration_json(trained.model.config)).add(run);
    arguments.add(metrics_json(trained.model.metrics)).add(int64(rows.classes.size()));
    arguments.add(int64(rows.unlabelled)).add(int64(rows.skipped_location)).add(int64(rows.skipped_features));
    arguments.add(trained.seconds).add(trained.device).add(trained.torch_version).add(trained.blas_name);
    SpiRows result = spi_execute(
        "INSERT INTO csp.model_version (model, version, configuration, options, provenance, metrics) "
        "SELECT $1, 1 OPERATOR(pg_catalog.+) COALESCE((SELECT pg_catalog.max(v.version) FROM csp.model_version v "
        "WHERE v.model OPERATOR(pg_catalog.=) $1), 0), $2::pg_catalog.jsonb, r.options, "
        "pg_catalog.jsonb_build_object('run', r.id, 'source', r.source, 'query', r.query, 'rows', $5, "
        "'rows_unlabelled', $6, 'rows_skipped_location', $7, 'rows_skipped_features', $8, 'seconds', $9, "
        "'device', $10, 'workers', r.workers, 'libtorch', $11, 'blas', $12, 'trained_by', r.owner::pg_catalog.text), $4::pg_catalog.jsonb "
        "FROM csp.run r WHERE r.id OPERATOR(pg_catalog.=) $3 RETURNING id",
        std::move(arguments));
    if (result.count() != 1)
        throw SqlError(ERRCODE_UNDEFINED_OBJECT, "training run " + std::to_string(run) + " has been deleted");
    return result.bigint(0, 1);
}

}  // namespace

std::string configuration_json(const ModelConfig &config) {
    std::string json = "{";
    for (const auto &[name, value] : config_to_metadata(config)) {
        std::string key = name.substr(name.rfind('.') + 1);
        bool is_number = value.find_first_not_of("0123456789.+-e") == std::string::npos && !value.empty();
        bool is_bare = is_number || value == "true" || value == "false";
        json += (json.size() > 1 ? ", " : "") + ("\"" + key + "\": ") + (is_bare ? value : "\"" + value + "\"");
    }
    return json + "}";
}

void insert_weights(int64 version, const std::string &file) {
    int32 part = 0;
    for (std::size_t offset = 0; offset < file.size(); offset += weights_part_size, ++part) {
        std::size_t size = std::min(weights_part_size, file.size() - offset);
        spi_execute("INSERT INTO csp.model_weights (version, part, data) VALUES ($1, $2, $3)",
                    SpiArguments().add(version).add(part).add_bytes(file.data() + offset, size));
    }
}

void insert_classes(int64 version, const std::vector<std::string> &labels, const std::vector<int64_t> &rows) {
    for (std::size_t i = 0; i < labels.size(); ++i) {
        SpiArguments arguments;
        arguments.add(version).add(int32(i)).add(labels[i]);
        if (rows.empty())
            arguments.add_null(INT8OID);
        else
            arguments.add(int64(rows[i]));
        spi_execute("INSERT INTO csp.model_class (version, class, label, rows) VALUES ($1, $2, $3, $4)",
                    std::move(arguments));
    }
}

void claim_model_name(const std::string &name, Oid owner) {
    spi_execute("INSERT INTO csp.model (name, owner) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
                SpiArguments().add(name).add(OIDOID, ObjectIdGetDatum(owner)));
    spi_execute("SELECT FROM csp.model m WHERE m.name OPERATOR(pg_catalog.=) $1 FOR UPDATE", SpiArguments().add(name));
    require_model_rights(name, owner);
}

void deploy_version(const std::string &name, int64 version) {
    spi_execute("UPDATE csp.model SET deployed = $2 WHERE name OPERATOR(pg_catalog.=) $1",
                SpiArguments().add(name).add(version));
}

int publish(int64 run, const StoredRun &stored, const TrainingRows &rows, const TrainedVersion &trained) {
    std::string file = write_model(trained.model.config, rows.labels, trained.model.tensors);

    CatalogOwnerIdentity owner;
    claim_model_name(stored.request.model, stored.owner);
    int64 version = insert_version(run, stored, rows, trained);
    insert_weights(version, file);
    insert_classes(version, rows.labels, rows.label_rows);
    deploy_version(stored.request.model, version);
    delete_checkpoint(run);
    spi_execute("UPDATE csp.run SET state = 'succeeded', phase = NULL, version = $2, "
                "finished = pg_catalog.clock_timestamp() WHERE id OPERATOR(pg_catalog.=) $1",
                SpiArguments().add(run).add(version));
    return spi_execute("SELECT v.version FROM csp.model_version v WHERE v.id OPERATOR(pg_catalog.=) $1",
                       SpiArguments().add(version))
        .integer(0, 1);
}

}  // namespace csp::server

// A trained model becomes a version of the catalogue, in one transaction.
#include "model_publication.h"

#include "spi.h"
#include "training_checkpoint.h"
#include "training_run.h"

#include "../encoder/model.h"

extern "C" {
#include "catalog/pg_authid.h"
#include "storage/lmgr.h"
#include "utils/syscache.h"
}

#include <algorithm>
#include <charconv>
#include <limits>

namespace csp::server {

namespace {

constexpr std::size_t weights_part_size = 8 * 1024 * 1024;

// statement: with the parameters id, part, data.
void insert_in_parts(const char *statement, int64 id, const std::string &file) {
    int32 part = 0;
    for (std::size_t offset = 0; offset < file.size(); offset += weights_part_size, ++part) {
        std::size_t size = std::min(weights_part_size, file.size() - offset);
        spi_execute(statement, SpiArguments().add(id).add(part).add_bytes(file.data() + offset, size));
    }
}

// JSON text of a number; null for what JSON has no number for.
std::string json_number(double value) {
    if (!std::isfinite(value))
        return "null";
    char text[32];  // the shortest that reads back as the same
    return std::string(text, std::to_chars(text, text + sizeof text, value).ptr);
}

std::string figures_json(const char *name, const ClassFigures &figures) {
    return ", \"" + std::string(name) + "\": {\"top1\": " + json_number(figures.top1) +
           ", \"log_loss\": " + json_number(figures.log_loss) +
           ", \"log_loss_uncalibrated\": " + json_number(figures.log_loss_uncalibrated) + "}";
}

// Nothing where no run was asked for it.
std::string fusion_json(const FusionMetrics &fusion) {
    if (!fusion.measured)
        return {};
    std::string json = ", \"fusion\": {\"rows\": " + std::to_string(fusion.rows) +
                       ", \"calibrated\": " + (fusion.calibrated ? "true" : "false");
    if (fusion.rows > 0)
        json += figures_json("place", fusion.place);
    if (fusion.rows > 0 && !std::isnan(fusion.image.top1))
        json += figures_json("image", fusion.image) + figures_json("fused", fusion.fused);
    return json + "}";
}

std::string metrics_json(const TrainedModel &trained) {
    const EpochMetrics &metrics = trained.metrics;
    return "{\"stage\": \"" + std::string(to_string(metrics.stage)) + "\", \"epoch\": " + std::to_string(metrics.epoch) +
           ", \"loss\": " + json_number(metrics.loss) + ", \"validation_loss\": " + json_number(metrics.validation_loss) +
           ", \"validation_top1\": " + json_number(metrics.validation_top1) + fusion_json(trained.fusion) + "}";
}

// West, south, east and north of the rows, in degrees, as a JSON array. A source on both sides of the antimeridian reaches
// from -180 to 180.
std::string extent_json(const std::vector<double> &lonlat) {
    double low[2] = {lonlat[0], lonlat[1]}, high[2] = {lonlat[0], lonlat[1]};
    for (std::size_t i = 0; i < lonlat.size(); ++i) {
        low[i % 2] = std::min(low[i % 2], lonlat[i]);
        high[i % 2] = std::max(high[i % 2], lonlat[i]);
    }
    return "[" + json_number(low[0]) + ", " + json_number(low[1]) + ", " + json_number(high[0]) + ", " + json_number(high[1]) + "]";
}

// $1 to $15: what the catalogue keeps of a trained model, besides what its run tells.
SpiArguments description(int64 run, const TrainingRows &rows, const TrainedVersion &trained) {
    SpiArguments arguments;
    arguments.add(run).add(configuration_json(trained.model.config)).add(metrics_json(trained.model));
    arguments.add(int64(rows.classes.size())).add(int64(rows.unlabelled));
    arguments.add(int64(rows.skipped_location)).add(int64(rows.skipped_features)).add(int64(rows.skipped_date));
    arguments.add(int64(std::count(rows.validation.begin(), rows.validation.end(), 1))).add(extent_json(rows.lonlat));
    arguments.add(int32(rows.image_dim)).add(trained.seconds).add(trained.device).add(trained.torch_version).add(trained.blas_name);
    return arguments;
}

// configuration, provenance, metrics
#define DESCRIPTION \
    "$2::pg_catalog.jsonb, pg_catalog.jsonb_build_object('run', r.id, 'source', r.source, 'query', r.query, 'rows', $4, " \
    "'rows_unlabelled', $5, 'rows_skipped_location', $6, 'rows_skipped_features', $7, 'rows_skipped_date', $8, " \
    "'rows_validation', $9, 'extent', $10::pg_catalog.jsonb, 'image_dim', $11, 'seconds', $12, 'device', $13, " \
    "'workers', r.workers, 'seed', r.options OPERATOR(pg_catalog.->) 'seed', 'started', r.started, 'resumed', r.resumed, " \
    "'libtorch', $14, 'blas', $15, 'trained_by', r.owner::pg_catalog.text) OPERATOR(pg_catalog.||) " SOFTWARE ", $3::pg_catalog.jsonb "

void require_row(int64 run, const SpiRows &rows) {
    if (rows.count() != 1)
        throw SqlError(ERRCODE_UNDEFINED_OBJECT, "training run " + std::to_string(run) + " has been deleted");
}

int64 insert_version(int64 run, const std::string &model, const TrainingRows &rows, const TrainedVersion &trained) {
    SpiRows result = spi_execute(
        "INSERT INTO csp.model_version (model, version, options, configuration, provenance, metrics) "
        "SELECT $16, " NEXT_VERSION("$16") ", r.options, " DESCRIPTION
        "FROM csp.run r WHERE r.id OPERATOR(pg_catalog.=) $1 RETURNING id",
        description(run, rows, trained).add(model));
    require_row(run, result);
    return result.bigint(0, 1);
}

Datum text_array(const std::vector<std::string> &texts) {
    std::vector<Datum> elements;
    for (const std::string &text : texts)
        elements.push_back(server_call([&] { return CStringGetTextDatum(text.c_str()); }));
    return server_call([&] {
        return PointerGetDatum(construct_array(elements.data(), int(elements.size()), TEXTOID, -1, false, TYPALIGN_INT));
    });
}

Datum bigint_array(const std::vector<int64_t> &numbers) {
    std::vector<Datum> elements;
    for (int64_t number : numbers)
        elements.push_back(Int64GetDatum(number));
    return server_call([&] {
        return PointerGetDatum(construct_array(elements.data(), int(elements.size()), INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
    });
}

// Deploys nothing: its search decides whether it becomes a version.
void keep_trial_model(int64 run, const TrainingRows &rows, const TrainedVersion &trained,
                      const std::vector<std::string> &labels, const std::string &file) {
    SpiArguments arguments = description(run, rows, trained);
    arguments.add(TEXTARRAYOID, text_array(labels)).add(INT8ARRAYOID, bigint_array(rows.label_rows));
    require_row(run, spi_execute("INSERT INTO csp.trial_model (run, labels, label_rows, configuration, provenance, metrics) "
                                 "SELECT r.id, $16, $17, " DESCRIPTION "FROM csp.run r WHERE r.id OPERATOR(pg_catalog.=) $1",
                                 std::move(arguments)));
    insert_in_parts("INSERT INTO csp.trial_weights (run, part, data) VALUES ($1, $2, $3)", run, file);
}

// The model may have been renamed since the run began; from here on it is not before this transaction has ended.
std::string current_name(int64 run) {
    SpiRows rows = spi_execute("SELECT r.model FROM csp.run r WHERE r.id OPERATOR(pg_catalog.=) $1 FOR UPDATE",
                               SpiArguments().add(run));
    require_row(run, rows);
    return rows.text(0, 1);
}

int64 publish_version(int64 run, const StoredRun &stored, const TrainingRows &rows, const TrainedVersion &trained,
                      const std::vector<std::string> &labels, const std::string &file) {
    const std::string name = current_name(run);
    claim_model_name(name, stored.owner);
    int64 version = insert_version(run, name, rows, trained);
    insert_weights(version, file);
    insert_classes(version, labels, rows.label_rows);
    if (stored.request.options.deploy)
        deploy_version(name, version);
    return version;
}

void mark_succeeded(int64 run, int64 version) {
    SpiArguments arguments;
    arguments.add(run);
    if (version == 0)
        arguments.add_null(INT8OID);
    else
        arguments.add(version);
    spi_execute("UPDATE csp.run SET state = 'succeeded', phase = NULL, version = $2, "
                "finished = pg_catalog.clock_timestamp() WHERE id OPERATOR(pg_catalog.=) $1",
                std::move(arguments));
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
    insert_in_parts("INSERT INTO csp.model_weights (version, part, data) VALUES ($1, $2, $3)", version, file);
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
    // Locked as whatever depends on a role locks it: it is not dropped before this transaction has ended.
    server_call([owner] { LockSharedObject(AuthIdRelationId, owner, 0, AccessShareLock); });
    if (!server_call([owner] { return SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(owner)); }))
        throw SqlError(ERRCODE_UNDEFINED_OBJECT, "the role that would own model \"" + name + "\" does not exist",
                       "It has been dropped since the training run began.");
    // Whoever has the name may drop or rename his model between one statement and the other.
    do
        spi_execute("INSERT INTO csp.model (name, owner) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
                    SpiArguments().add(name).add(OIDOID, ObjectIdGetDatum(owner)));
    while (spi_execute("SELECT FROM csp.model m WHERE m.name OPERATOR(pg_catalog.=) $1 FOR UPDATE", SpiArguments().add(name)).count() == 0);
    require_model_rights(name, owner);
}

void deploy_version(const std::string &name, int64 version) {
    // The last 100 are remembered.
    spi_execute("UPDATE csp.model SET deployed = $2, earlier = CASE WHEN deployed IS NULL THEN earlier "
                "ELSE (pg_catalog.array_append(earlier, deployed))[pg_catalog.cardinality(earlier) OPERATOR(pg_catalog.-) 98 :] END "
                "WHERE name OPERATOR(pg_catalog.=) $1 AND (deployed IS NULL OR deployed OPERATOR(pg_catalog.<>) $2)",
                SpiArguments().add(name).add(version));
}

void publish(int64 run, const StoredRun &stored, const TrainingRows &rows, const TrainedVersion &trained) {
    // Labels that no stage has trained on are none of the model's.
    const bool has_classes = trained.model.config.class_count > 0;
    const std::vector<std::string> labels = has_classes ? rows.labels : std::vector<std::string>();
    std::string file = write_model(trained.model.config, labels, trained.model.tensors);

    CatalogOwnerIdentity owner;
    int64 version = 0;
    if (stored.search != 0)
        keep_trial_model(run, rows, trained, labels, file);
    else
        version = publish_version(run, stored, rows, trained, labels, file);
    delete_checkpoint(run);
    mark_succeeded(run, version);
}

}  // namespace csp::server

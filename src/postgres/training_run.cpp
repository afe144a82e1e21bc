// Reading and writing of csp.run and what belongs to a run.
#include "training_run.h"

#include "advisory_lock.h"
#include "session_settings.h"
#include "spi.h"
#include "subscription.h"
#include "training_settings.h"

#include "../encoder/model.h"

extern "C" {
#include "storage/lock.h"
#include "utils/acl.h"
#include "utils/varlena.h"
}

namespace csp::server {

namespace {

// Fourth field of the advisory lock tag: the server's own functions use 1 and 2.
constexpr uint16 run_lock_class = 0x6373;

SpiRows write(const char *sql, SpiArguments arguments) {
    CatalogOwnerIdentity owner;
    return spi_execute(sql, std::move(arguments));
}

std::string current_setting(const char *name) {
    const char *value = server_call([name] { return GetConfigOptionByName(name, nullptr, false); });
    return std::string(name) + "=" + value;
}

// Of the caller's statement, or of what the worker writes.
bool concerns_the_caller_only(const std::string &name) {
    for (const char *other : {"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "idle_session_timeout",
                              "transaction_timeout", "client_connection_check_interval", "client_min_messages",
                              "default_transaction_isolation", "default_transaction_read_only", "default_transaction_deferrable"})
        if (name == other)
            return true;
    return false;
}

std::vector<std::string> read_settings(int64 run) {
    SpiRows rows = spi_execute("SELECT pg_catalog.unnest(r.settings) FROM csp.run r WHERE r.id OPERATOR(pg_catalog.=) $1",
                               SpiArguments().add(run));
    std::vector<std::string> settings;
    for (uint64 i = 0; i < rows.count(); ++i)
        settings.push_back(rows.text(i, 1));
    return settings;
}

TrainingOptions read_options(int64 run) {
    return options_from_rows(spi_execute("SELECT o.key, pg_catalog.jsonb_typeof(o.value), o.value OPERATOR(pg_catalog.#>>) '{}' "
                                         "FROM csp.run r, LATERAL pg_catalog.jsonb_each(r.options) o "
                                         "WHERE r.id OPERATOR(pg_catalog.=) $1",
                                         SpiArguments().add(run)));
}

}  // namespace

Datum settings_of_session() {
    std::vector<std::string> settings = {current_setting("search_path"), current_setting("csp.training_memory")};
    for (const auto &[name, value] : session_settings(PGC_USERSET))
        if (name != "search_path" && name != "csp.training_memory" && !concerns_the_caller_only(name))
            settings.push_back(name + "=" + value);
    std::vector<Datum> elements;
    for (const std::string &setting : settings)
        elements.push_back(server_call([&] { return CStringGetTextDatum(setting.c_str()); }));
    return server_call([&] {
        return PointerGetDatum(construct_array(elements.data(), int(elements.size()), TEXTOID, -1, false, TYPALIGN_INT));
    });
}

std::string options_to_json(const TrainingOptions &options) {
    std::string json = "{";
    for (const auto &[name, value] : list_options(options))
        json += (json.size() > 1 ? ", " : "") + ("\"" + name + "\": " + value);
    return json + "}";
}

TrainingOptions options_from_rows(const SpiRows &rows) {
    std::vector<OptionValue> values;
    for (uint64 i = 0; i < rows.count(); ++i) {
        std::string type = rows.text(i, 2);
        OptionKind kind = type == "number"                       ? OptionKind::number
                          : type == "boolean"                    ? OptionKind::boolean
                          : type == "string" || type == "array"  ? OptionKind::text
                                                                 : OptionKind::other;
        values.push_back({rows.text(i, 1), kind, rows.text(i, 3)});
    }
    TrainingOptions options;
    set_options(options, values);
    return options;
}

int64 insert_run(const RunRequest &request) {
    SpiArguments arguments;
    arguments.add(request.model).add(OIDOID, ObjectIdGetDatum(GetUserId())).add(request.source);
    arguments.add(request.query.sql).add(request.query.has_features).add(request.query.has_label);
    arguments.add(options_to_json(request.options)).add(TEXTARRAYOID, settings_of_session());
    SpiRows rows = write("INSERT INTO csp.run (model, owner, source, query, has_features, has_label, options, settings) "
                         "VALUES ($1, $2, $3, $4, $5, $6, $7::pg_catalog.jsonb, $8) RETURNING id",
                         std::move(arguments));
    return rows.bigint(0, 1);
}

std::optional<StoredRun> load_run(int64 run) {
    CatalogOwnerIdentity owner;
    SpiRows rows = spi_execute("SELECT r.model, r.source, r.query, r.has_features, r.has_label, r.owner::pg_catalog.oid, r.search "
                               "FROM csp.run r WHERE r.id OPERATOR(pg_catalog.=) $1",
                               SpiArguments().add(run));
    if (rows.count() == 0)
        return std::nullopt;
    StoredRun stored;
    bool is_null;
    stored.request.model = rows.text(0, 1);
    stored.request.source = rows.text(0, 2);
    stored.request.query.sql = rows.text(0, 3);
    stored.request.query.has_features = DatumGetBool(rows.datum(0, 4, is_null));
    stored.request.query.has_label = DatumGetBool(rows.datum(0, 5, is_null));
    stored.owner = DatumGetObjectId(rows.datum(0, 6, is_null));
    stored.search = rows.bigint(0, 7);
    stored.request.options = read_options(run);
    stored.request.query.has_date = !stored.request.options.observed_at.empty();
    stored.request.query.has_observer = !stored.request.options.observer.empty();
    stored.settings = read_settings(run);
    return stored;
}

void mark_running(int64 run) {
    write("UPDATE csp.run SET state = 'running', phase = 'reading', pid = $2, started = pg_catalog.clock_timestamp() "
          "WHERE id OPERATOR(pg_catalog.=) $1",
          SpiArguments().add(run).add(int32(MyProcPid)));
}

void delete_run(int64 run) {
    write("DELETE FROM csp.run WHERE id OPERATOR(pg_catalog.=) $1", SpiArguments().add(run));
}

void mark_phase(int64 run, const char *phase) {
    write("UPDATE csp.run SET phase = $2 WHERE id OPERATOR(pg_catalog.=) $1", SpiArguments().add(run).add(phase));
}

void record_rows(int64 run, const TrainingRows &rows, int64 memory_estimate) {
    SpiArguments arguments;
    arguments.add(run).add(int64(rows.read)).add(int64(rows.skipped_location + rows.skipped_features + rows.skipped_date));
    arguments.add(int64(rows.unlabelled)).add(memory_estimate).add(int64(rows.streamed_bytes));
    write("UPDATE csp.run SET rows_read = $2, rows_skipped = $3, rows_unlabelled = $4, memory_estimate = $5, streamed_bytes = $6 "
          "WHERE id OPERATOR(pg_catalog.=) $1",
          std::move(arguments));
}

void record_device(int64 run, const std::string &device, int workers) {
    write("UPDATE csp.run SET device = $2, workers = $3 WHERE id OPERATOR(pg_catalog.=) $1",
          SpiArguments().add(run).add(device).add(int32(workers)));
}

void record_progress(int64 run, const Progress &progress, const ProcessMemory &memory) {
    SpiArguments arguments;
    arguments.add(run).add(to_string(progress.stage)).add(int32(progress.epoch)).add(int32(progress.epochs));
    arguments.add_nan_as_null(progress.loss).add_nan_as_null(progress.rows_per_second);
    arguments.add(int64(progress.batch)).add(int64(progress.batches)).add_nan_as_null(progress.seconds_left);
    for (int64 bytes : {memory.resident, memory.peak})
        bytes > 0 ? arguments.add(bytes) : arguments.add_null(INT8OID);
    arguments.add(int32(MyProcPid));
    SpiRows rows = write("UPDATE csp.run SET phase = $2, epoch = $3, epochs = $4, loss = $5, rows_per_second = $6, "
                         "batch = $7, batches = $8, seconds_left = $9, memory = $10, memory_peak = $11 "
                         "WHERE id OPERATOR(pg_catalog.=) $1 AND pid OPERATOR(pg_catalog.=) $12",
                         std::move(arguments));
    if (rows.count() == 0)
        throw SqlError(ERRCODE_UNDEFINED_OBJECT, "training run " + std::to_string(run) + " has been deleted");
}

bool is_own_run(int64 run) {
    SpiRows rows = write("SELECT FROM csp.run r WHERE r.id OPERATOR(pg_catalog.=) $1 AND r.pid OPERATOR(pg_catalog.=) $2 "
                         "AND r.state OPERATOR(pg_catalog.=) 'running'",
                         SpiArguments().add(run).add(int32(MyProcPid)));
    return rows.count() > 0;
}

void record_metrics(int64 run, const EpochMetrics &metrics) {
    SpiArguments arguments;
    arguments.add(run).add(to_string(metrics.stage)).add(int32(metrics.epoch));
    for (double value : {metrics.learning_rate, metrics.loss, metrics.loss_in_batch, metrics.loss_negative,
                         metrics.loss_dropout, metrics.validation_loss, metrics.validation_top1, metrics.seconds})
        arguments.add_nan_as_null(value);
    write("INSERT INTO csp.run_metric (run, stage, epoch, learning_rate, loss, loss_in_batch, loss_negative, "
          "loss_dropout, validation_loss, validation_top1, seconds) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) "
          // A resumed run comes by epochs that it had finished after its checkpoint.
          "ON CONFLICT (run, stage, epoch) DO UPDATE SET (learning_rate, loss, loss_in_batch, loss_negative, "
          "loss_dropout, validation_loss, validation_top1, seconds) = (excluded.learning_rate, excluded.loss, "
          "excluded.loss_in_batch, excluded.loss_negative, excluded.loss_dropout, excluded.validation_loss, "
          "excluded.validation_top1, excluded.seconds)",
          std::move(arguments));
}

void delete_metrics(int64 run) {
    write("DELETE FROM csp.run_metric WHERE run OPERATOR(pg_catalog.=) $1", SpiArguments().add(run));
}

RunToResume queue_again(int64 run) {
    SpiRows rows = write("SELECT r.model, r.owner::pg_catalog.oid, r.state::pg_catalog.text FROM csp.run r "
                         "WHERE r.id OPERATOR(pg_catalog.=) $1 FOR UPDATE",
                         SpiArguments().add(run));
    if (rows.count() == 0)
        throw SqlError(ERRCODE_UNDEFINED_OBJECT, "training run " + std::to_string(run) + " has been deleted");
    bool is_null;
    RunToResume found{rows.text(0, 1), DatumGetObjectId(rows.datum(0, 2, is_null))};
    std::string state = rows.text(0, 3);
    if (state == "succeeded" || state == "queued" || (state == "running" && run_is_alive(run)))
        throw SqlError(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                       "training run " + std::to_string(run) + (state == "succeeded" ? " has " : " is ") + state,
                       "Only a run that has crashed, failed or been cancelled can be resumed.");
    write("UPDATE csp.run SET state = 'queued', phase = NULL, epoch = NULL, epochs = NULL, batch = NULL, batches = NULL, "
          "loss = NULL, rows_per_second = NULL, seconds_left = NULL, memory = NULL, memory_peak = NULL, pid = NULL, started = NULL, finished = NULL, "
          "sqlstate = NULL, message = NULL, detail = NULL, hint = NULL, queued = pg_catalog.clock_timestamp(), launched = NULL, launches = 0, "
          "resumed = resumed OPERATOR(pg_catalog.+) 1 WHERE id OPERATOR(pg_catalog.=) $1",
          SpiArguments().add(run));
    return found;
}

void mark_failed(int64 run, const RunFailure &failure) {
    SpiArguments arguments;
    arguments.add(run).add(failure.state).add(failure.sqlstate).add(failure.message);
    arguments.add(failure.detail.empty() ? nullptr : failure.detail.c_str());
    arguments.add(failure.hint.empty() ? nullptr : failure.hint.c_str());
    write("UPDATE csp.run SET state = $2::csp.run_state, sqlstate = $3, message = $4, detail = $5, hint = $6, "
          "finished = pg_catalog.clock_timestamp() "
          "WHERE id OPERATOR(pg_catalog.=) $1 AND state OPERATOR(pg_catalog.=) ANY ('{queued, running}'::csp.run_state[])",
          std::move(arguments));
}

RunFailure describe_failure() {
    PendingError error = describe_current_exception();
    auto text = [](const char *value) { return value ? std::string(value) : std::string(); };
    int sqlstate = error.server ? error.server->sqlerrcode : error.sqlstate;
    RunFailure failure;
    failure.state = sqlstate == ERRCODE_QUERY_CANCELED ? "cancelled" : "failed";
    failure.sqlstate = unpack_sql_state(sqlstate);
    failure.message = text(error.server ? error.server->message : error.message);
    failure.detail = text(error.server ? error.server->detail : error.detail);
    failure.hint = text(error.server ? error.server->hint : error.hint);
    return failure;
}

void require_valid_model_name(const std::string &model) {
    if (model.empty() || model.size() > 63 || model.find('@') != std::string::npos ||
        model.find_first_of("\n\r\t") != std::string::npos)
        throw SqlError(ERRCODE_INVALID_NAME, "invalid model name \"" + model + "\"",
                       "A name has 1 to 63 bytes, no control characters and no @, which introduces a version number.");
}

void require_model_rights(const std::string &model, Oid role) {
    require_valid_model_name(model);
    CatalogOwnerIdentity owner;
    SpiRows rows = spi_execute("SELECT m.owner::pg_catalog.oid FROM csp.model m WHERE m.name OPERATOR(pg_catalog.=) $1",
                               SpiArguments().add(model));
    if (rows.count() == 0)
        return;
    bool is_null;
    Oid model_owner = DatumGetObjectId(rows.datum(0, 1, is_null));
    if (!server_call([&] { return has_privs_of_role(role, model_owner); }))
        throw SqlError(ERRCODE_INSUFFICIENT_PRIVILEGE, "must be owner of model \"" + model + "\"", {},
                       "Choose another name.");
}

namespace {

std::optional<int64> own_run;  // whose lock this process holds, which is no obstacle to itself

LOCKTAG run_lock_tag(int64 run) { return advisory_lock(uint64(run), run_lock_class); }

}  // namespace

bool lock_run(int64 run) {
    LOCKTAG tag = run_lock_tag(run);
    // Whoever looks whether the run is alive holds the lock for a moment.
    for (int attempt = 0; attempt < 20; ++attempt) {
        if (server_call([&] { return LockAcquire(&tag, ExclusiveLock, true, true) != LOCKACQUIRE_NOT_AVAIL; })) {
            own_run = run;
            return true;
        }
        pg_usleep(10000);
    }
    return false;
}

void unlock_run(int64 run) {
    LOCKTAG tag = run_lock_tag(run);
    own_run.reset();
    server_call([&] { LockRelease(&tag, ExclusiveLock, true); });
}

bool run_is_alive(int64 run) {
    if (RecoveryInProgress() || own_run == run)
        return true;
    return is_held_by_another(run_lock_tag(run)) || is_subscribed("run");
}

}  // namespace csp::server

// Names to versions, versions to weights; and what makes a cached answer stale.
#include "catalog.h"

#include "spi.h"

#include <tuple>

extern "C" {
#include "access/parallel.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "commands/trigger.h"
#include "utils/inval.h"
#include "utils/rel.h"
#include "utils/syscache.h"
}

namespace csp::server {

char *csp_model_setting = nullptr;

namespace {

uint64 generation = 1;
uint64 replacements = 0;
uint64 setting_changes = 0;
Oid model_table = InvalidOid;  // csp.model, once it has been looked up

void on_relation_change(Datum, Oid relation) {
    if (relation != InvalidOid && relation != model_table)
        return;
    model_table = InvalidOid;
    ++generation;
}

void on_role_change(Datum, int, uint32) { ++generation; }

// As much of a snapshot as tells it from one that was taken later. On a standby the running transactions are in subxip.
struct SnapshotMark {
    TransactionId xmin, xmax;
    uint32 running;
    CommandId command;

    explicit SnapshotMark(Snapshot snapshot)
        : xmin(snapshot->xmin), xmax(snapshot->xmax), running(snapshot->xcnt + snapshot->subxcnt),
          command(snapshot->curcid) {}

    bool same_transactions(const SnapshotMark &other) const {
        return xmin == other.xmin && xmax == other.xmax && running == other.running;
    }
    bool operator==(const SnapshotMark &other) const { return same_transactions(other) && command == other.command; }

    // Certainly not taken before the other.
    bool not_before(const SnapshotMark &other) const {
        return TransactionIdPrecedes(other.xmax, xmax) || (same_transactions(other) && command >= other.command);
    }
};

// What a name meant, and under which snapshot that may be asked again.
struct Resolution {
    int64 version;
    bool durable;  // true for every later snapshot too, until the generation moves; a cursor may have an earlier one
    SnapshotMark mark;
};

// By whom, and by what name or what version.
using ResolutionKey = std::tuple<Oid, std::string, std::optional<int64>>;

std::map<ResolutionKey, Resolution> &resolutions() {
    static std::map<ResolutionKey, Resolution> map;
    static uint64 valid_for_generation = 0;
    if (valid_for_generation != generation) {
        map.clear();
        valid_for_generation = generation;
    }
    return map;
}

// A function that is IMMUTABLE may be called by what has none.
Snapshot active_snapshot() {
    if (!ActiveSnapshotSet())
        throw SqlError(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, "a model cannot be looked up without a snapshot");
    return GetActiveSnapshot();
}

bool still_valid(const Resolution &resolution) {
    const SnapshotMark mark(active_snapshot());
    return resolution.durable ? mark.not_before(resolution.mark) : mark == resolution.mark;
}

// The statement that finds one version for `model`, and its arguments.
struct Lookup {
    const char *sql;
    SpiArguments arguments;
};

// Of each the id and when it was made. A restore that went wrong may leave a name that points to another model's version.
#define DEPLOYED_VERSIONS \
    "SELECT v.id, v.created FROM csp.model m JOIN csp.model_version v ON v.id OPERATOR(pg_catalog.=) m.deployed " \
    "AND v.model OPERATOR(pg_catalog.=) m.name "

Lookup lookup_of(int64 version) {
    Lookup lookup{"SELECT v.id, v.created FROM csp.model_version v WHERE v.id OPERATOR(pg_catalog.=) $1", {}};
    lookup.arguments.add(version);
    return lookup;
}

Lookup lookup_of(const std::string &model) {
    if (model.empty())
        return {DEPLOYED_VERSIONS "LIMIT 2", {}};

    const ModelReference reference = parse_model(model);
    Lookup lookup;
    lookup.arguments.add(reference.name);
    if (!reference.version) {
        lookup.sql = DEPLOYED_VERSIONS "WHERE m.name OPERATOR(pg_catalog.=) $1";
    } else {
        lookup.sql = "SELECT v.id, v.created FROM csp.model_version v WHERE v.model OPERATOR(pg_catalog.=) $1 "
                     "AND v.version::pg_catalog.text OPERATOR(pg_catalog.=) $2";
        lookup.arguments.add(*reference.version);
    }
    return lookup;
}

// Versions found under the snapshot: none, one, or the first of several.
struct Found {
    uint64 count;
    int64 version;
    TimestampTz created;
};

// Under an id that has been seen there may be another version: tables that were emptied and filled again, by a restore or
// by a subscription.
void note_version(const Found &found) {
    static std::map<int64, TimestampTz> seen;
    const auto [entry, is_new] = seen.emplace(found.version, found.created);
    if (!is_new && entry->second != found.created) {
        seen.clear();
        ++replacements;
    }
}

Found execute_lookup(Lookup &lookup, Snapshot snapshot) {
    return with_spi([&] {
        Found found{0, 0, 0};
        server_call([&] {
            SPIPlanPtr plan = SPI_prepare(lookup.sql, lookup.arguments.count(), lookup.arguments.types());
            if (plan == nullptr)
                elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
            int result = SPI_execute_snapshot(plan, lookup.arguments.values(), lookup.arguments.nulls(), snapshot,
                                              InvalidSnapshot, true, false, 2);
            if (result != SPI_OK_SELECT)
                elog(ERROR, "SPI_execute_snapshot failed: %s", SPI_result_code_string(result));
            found.count = SPI_processed;
            if (found.count > 0) {
                bool is_null;
                found.version = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null));
                found.created = DatumGetTimestampTz(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2, &is_null));
            }
        });
        return found;
    });
}

// "Visible models: a, b, ..." for the detail of an error.
std::string visible_models() {
    return with_spi([] {
        SpiRows rows = spi_execute("SELECT m.name FROM csp.model m ORDER BY 1 LIMIT 11", {}, true);
        std::string list;
        for (uint64 i = 0; i < rows.count() && i < 10; ++i)
            list += (i ? ", " : "") + ("\"" + rows.text(i, 1) + "\"");
        if (list.empty())
            return std::string("You have no models in this database.");
        return "Models that you can see: " + list + (rows.count() > 10 ? ", ..." : ".");
    });
}

[[noreturn]] void report_not_found(int64 version, uint64) {
    throw SqlError(ERRCODE_UNDEFINED_OBJECT, "model version with id " + std::to_string(version) + " does not exist", {},
                   "View csp.models lists the versions that you can see, with their ids.");
}

// A name may have versions none of which is deployed.
void report_if_not_deployed(const std::string &model) {
    const bool exists = with_spi([&] {
        SpiRows rows = spi_execute("SELECT FROM csp.model m WHERE m.name OPERATOR(pg_catalog.=) $1",
                                   SpiArguments().add(model), true);
        return rows.count() > 0;
    });
    if (exists)
        throw SqlError(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, "no version of model \"" + model + "\" is deployed", {},
                       "Name one, as in \"" + model + "@1\", or deploy one with csp_deploy: see csp.models.");
}

[[noreturn]] void report_not_found(const std::string &model, uint64 count) {
    if (!model.empty()) {
        report_if_not_deployed(model);
        report_unknown_model(model);
    }
    if (count == 0)
        throw SqlError(ERRCODE_UNDEFINED_OBJECT, "there is no model to use", visible_models(),
                       "Train one with CALL csp_train.");
    throw SqlError(ERRCODE_AMBIGUOUS_PARAMETER, "there are several models and none is named", visible_models(),
                   "Name one as the last argument, or SET csp.model to its name.");
}

// Asks under the statement's own snapshot, which decides, and under the latest: only if both
// agree may later statements use the answer without asking. wanted: a name or an id.
template <typename Wanted>
Resolution look_up(const Wanted &wanted) {
    Lookup lookup = lookup_of(wanted);
    Snapshot active = active_snapshot();
    Found found = execute_lookup(lookup, active);
    if (found.count != 1)
        report_not_found(wanted, found.count);
    note_version(found);

    bool durable = false;
    if (!IsInParallelMode()) {
        Found latest = execute_lookup(lookup, server_call([] { return GetLatestSnapshot(); }));
        durable = latest.count == 1 && latest.version == found.version;
    }
    return {found.version, durable, SnapshotMark(active)};
}

template <typename Wanted>
int64 resolve(ResolutionKey key, const Wanted &wanted) {
    auto cached = resolutions().find(key);
    if (cached != resolutions().end() && still_valid(cached->second))
        return cached->second.version;

    Resolution resolution = look_up(wanted);
    model_table_oid();  // an invalidation meanwhile made us forget which table to watch
    resolutions().insert_or_assign(std::move(key), resolution);
    return resolution.version;
}

}  // namespace

// Its relcache invalidation stands for every change of the catalogue: it is transactional, and it reaches standbys in the
// commit record.
Oid model_table_oid() {
    if (!OidIsValid(model_table)) {
        model_table = server_call([] {
            Oid schema = get_namespace_oid("csp", true);
            return OidIsValid(schema) ? get_relname_relid("model", schema) : InvalidOid;
        });
        if (!OidIsValid(model_table))
            throw SqlError(ERRCODE_UNDEFINED_TABLE, "the catalogue of csp_ext does not exist", {},
                           "Run CREATE EXTENSION csp_ext CASCADE in this database.");
    }
    return model_table;
}

ModelReference parse_model(const std::string &text) {
    const auto at = text.rfind('@');
    if (at == std::string::npos)
        return {text, std::nullopt};
    return {text.substr(0, at), text.substr(at + 1)};
}

uint64 catalog_generation() { return generation; }

uint64 version_replacements() { return replacements; }

[[noreturn]] void report_unknown_model(const std::string &model) {
    throw SqlError(ERRCODE_UNDEFINED_OBJECT, "model \"" + model + "\" does not exist", visible_models(),
                   "Train it with CALL csp_train, or ask its owner for access.");
}

uint64 model_setting_changes() { return setting_changes; }

void note_model_setting() {
    ++setting_changes;
    ++generation;  // what "no model named" meant
}

void register_catalog_callbacks() {
    CacheRegisterRelcacheCallback(on_relation_change, Datum(0));
    CacheRegisterSyscacheCallback(AUTHMEMROLEMEM, on_role_change, Datum(0));
    CacheRegisterSyscacheCallback(AUTHOID, on_role_change, Datum(0));  // SUPERUSER, INHERIT
}

Oid catalog_owner() {
    Oid table = model_table_oid();
    return server_call([table] {
        HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(table));
        if (!HeapTupleIsValid(tuple))
            elog(ERROR, "cache lookup failed for relation %u", table);
        Oid owner = ((Form_pg_class)GETSTRUCT(tuple))->relowner;
        ReleaseSysCache(tuple);
        return owner;
    });
}

int64 resolve_model(const char *model) {
    model_table_oid();
    if (model != nullptr && *model == '\0')
        throw SqlError(ERRCODE_UNDEFINED_OBJECT, "model \"\" does not exist", visible_models(),
                       "Leave the argument out to use the setting csp.model.");
    if (model == nullptr)
        model = csp_model_setting;
    const std::string name = model ? model : "";
    return resolve({GetUserId(), name, std::nullopt}, name);
}

int64 resolve_version(int64 version) {
    model_table_oid();
    return resolve({GetUserId(), std::string(), version}, version);
}

std::string read_weights(int64 version) {
    std::string bytes = with_spi([version] {
        SpiRows rows = spi_execute("SELECT w.data FROM csp.model_weights w WHERE w.version OPERATOR(pg_catalog.=) $1 "
                                   "ORDER BY w.part",
                                   SpiArguments().add(version), true);
        std::string collected;
        for (uint64 i = 0; i < rows.count(); ++i) {
            bool is_null;
            Datum value = rows.datum(i, 1, is_null);
            auto *part = server_call([value] { return PG_DETOAST_DATUM_PACKED(value); });
            collected.append(VARDATA_ANY(part), VARSIZE_ANY_EXHDR(part));
        }
        return collected;
    });
    if (bytes.empty())
        throw Error(ErrorKind::data_corrupted, "version " + std::to_string(version) + " has no weights",
                    "Its rows in csp.model_weights are missing.",
                    "Restore schema csp from a backup, or train the model again.");
    return bytes;
}

}  // namespace csp::server

using namespace csp::server;

extern "C" {

PG_FUNCTION_INFO_V1(csp_catalog_changed);

// Trigger on csp.model: tells every backend, at commit, that names may point elsewhere now.
Datum csp_catalog_changed(PG_FUNCTION_ARGS) {
    return guard([&] {
        if (!CALLED_AS_TRIGGER(fcinfo))
            throw SqlError(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED, "csp_catalog_changed must be called as a trigger");
        server_call([&] {
            auto *trigger = reinterpret_cast<TriggerData *>(fcinfo->context);
            CacheInvalidateRelcache(trigger->tg_relation);
        });
        return PointerGetDatum(nullptr);
    });
}

}  // extern "C"

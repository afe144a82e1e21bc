// The backend's cache of models: versions never change, so only memory bounds it.
#include "model_cache.h"

#include "catalog.h"
#include "guard.h"

namespace csp::server {

int csp_model_cache_size = 256 * 1024;

namespace {

struct CachedModel {
    std::shared_ptr<const Model> model;
    uint64 last_use;
};

// Moves when a model leaves the cache: whoever holds a pointer must ask again.
uint64 evictions = 0;

std::map<int64, CachedModel> &cache() {
    static std::map<int64, CachedModel> models;
    return models;
}

// Drops models, least recently used first, until the others fit beside `arriving` bytes.
void make_room(std::size_t arriving) {
    const std::size_t limit = std::size_t(csp_model_cache_size) * 1024;
    for (;;) {
        std::size_t total = arriving;
        auto oldest = cache().end();
        for (auto entry = cache().begin(); entry != cache().end(); ++entry) {
            total += entry->second.model->memory();
            if (oldest == cache().end() || entry->second.last_use < oldest->second.last_use)
                oldest = entry;
        }
        if (total <= limit || oldest == cache().end())
            return;
        cache().erase(oldest);
        ++evictions;
    }
}

// An extension that was dropped and made anew counts its versions from 1 again.
void forget_models_of_another_catalogue() {
    static Oid table = InvalidOid;
    static uint64 replacements = 0;
    if (table != model_table_oid() || replacements != version_replacements()) {
        cache().clear();
        ++evictions;
    }
    table = model_table_oid();
    replacements = version_replacements();
}

std::shared_ptr<const Model> load_version(int64 version) {
    static uint64 clock = 0;
    forget_models_of_another_catalogue();
    auto found = cache().find(version);
    if (found == cache().end()) {
        std::string bytes = read_weights(version);
        auto model = std::make_shared<const Model>(Model::from_file(bytes.data(), bytes.size()));
        make_room(model->memory());
        found = cache().emplace(version, CachedModel{std::move(model), 0}).first;
    }
    found->second.last_use = ++clock;
    return found->second.model;
}

// What a call site found last time; hangs on fn_extra.
struct CallSite {
    const Model *model;
    uint64 generation;
    uint64 evictions;
    Oid user;
    TransactionId xmin, xmax;
    CommandId command;
    std::size_t name_size;
    char name[NAMEDATALEN * 4];
};

bool same_statement(const CallSite &site) {
    Snapshot snapshot = GetActiveSnapshot();
    return site.xmin == snapshot->xmin && site.xmax == snapshot->xmax && site.command == snapshot->curcid;
}

bool is_current(const CallSite &site, const char *name, std::size_t name_size) {
    return site.model != nullptr && site.generation == catalog_generation() && site.evictions == evictions &&
           site.user == GetUserId() && site.name_size == name_size &&
           std::memcmp(site.name, name, name_size) == 0 && same_statement(site);
}

CallSite &call_site(FunctionCallInfo fcinfo) {
    if (fcinfo->flinfo->fn_extra == nullptr)
        fcinfo->flinfo->fn_extra = server_call(
            [fcinfo] { return MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(CallSite)); });
    return *static_cast<CallSite *>(fcinfo->flinfo->fn_extra);
}

void remember(CallSite &site, const Model &model, const char *name, std::size_t name_size) {
    site.model = nullptr;
    if (name_size > sizeof(site.name))
        return;
    Snapshot snapshot = GetActiveSnapshot();
    site.generation = catalog_generation();
    site.evictions = evictions;
    site.user = GetUserId();
    site.xmin = snapshot->xmin;
    site.xmax = snapshot->xmax;
    site.command = snapshot->curcid;
    site.name_size = name_size;
    if (name_size > 0)
        std::memcpy(site.name, name, name_size);
    site.model = &model;
}

}  // namespace

const Model &model_of_call(FunctionCallInfo fcinfo, int model_argument, ModelNaming naming) {
    // Without an argument the name is "", which no model can have. A version's name are the bytes of its id.
    const char *name = "";
    std::size_t name_size = 0;
    int64 version = 0;
    if (naming == ModelNaming::version) {
        version = PG_GETARG_INT64(model_argument);
        name = reinterpret_cast<const char *>(&version);
        name_size = sizeof(version);
    } else if (model_argument >= 0) {
        auto *argument = server_call([&] { return PG_GETARG_TEXT_PP(model_argument); });
        name = VARDATA_ANY(argument);
        name_size = VARSIZE_ANY_EXHDR(argument);
    }

    CallSite &site = call_site(fcinfo);
    if (is_current(site, name, name_size))
        return *site.model;

    const Model &model = *(naming == ModelNaming::version ? find_version(version)
                           : model_argument >= 0          ? find_model(std::string(name, name_size).c_str())
                                                          : find_model(nullptr));
    remember(site, model, name, name_size);
    return model;
}

std::shared_ptr<const Model> find_model(const char *name) { return load_version(resolve_model(name)); }

std::shared_ptr<const Model> find_version(int64 version) { return load_version(resolve_version(version)); }

}  // namespace csp::server

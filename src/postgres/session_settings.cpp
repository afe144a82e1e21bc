// Collecting the settings of a session.
#include "session_settings.h"

#include "guard.h"

extern "C" {
#include "utils/guc_tables.h"
}

namespace csp::server {

namespace {

// Settings that cannot be handed on, or that are the worker's own.
bool stays_behind(const struct config_generic *setting, GucContext whose) {
    for (const char *name : {"role", "session_authorization", "transaction_isolation", "transaction_read_only",
                             "transaction_deferrable", "application_name", "client_encoding"})
        if (std::strcmp(setting->name, name) == 0)
            return true;
    return setting->context < whose;  // lower: who may set it is mightier
}

bool is_set_for_session(const struct config_generic *setting) {
    return setting->source > PGC_S_ARGV && setting->source != PGC_S_OVERRIDE;
}

}  // namespace

Settings session_settings(GucContext whose) {
    Settings settings;
#if PG_VERSION_NUM >= 160000
    int count;
    struct config_generic **all = server_call([&] { return get_guc_variables(&count); });
#else
    int count = GetNumConfigOptions();
    struct config_generic **all = get_guc_variables();
#endif
    for (int i = 0; i < count; ++i) {
        if (!is_set_for_session(all[i]) || stays_behind(all[i], whose))
            continue;
        const char *value = server_call([&] { return GetConfigOption(all[i]->name, true, false); });
        if (value != nullptr)
            settings.emplace_back(all[i]->name, value);
    }
    return settings;
}

}  // namespace csp::server

// The module: its settings and what happens when a backend loads it.
#include "catalog.h"
#include "model_cache.h"
#include "training_settings.h"

#include "pg.h"

extern "C" {
#include "utils/guc.h"
}

namespace csp::server {

namespace {

// Another default model: what "no model named" meant is no longer true.
void on_model_setting(const char *, void *) { forget_resolutions(); }

void define_settings() {
    DefineCustomStringVariable("csp.model", "Model that functions use when none is named.",
                               "A name, or name@version. Empty: the only model that the user can see.",
                               &csp_model_setting, "", PGC_USERSET, 0, nullptr, on_model_setting, nullptr);
    DefineCustomIntVariable("csp.model_cache_size", "Memory for the models that a session keeps loaded.",
                            "The model in use is kept even if it is larger.", &csp_model_cache_size, 256 * 1024, 0,
                            MAX_KILOBYTES, PGC_USERSET, GUC_UNIT_KB, nullptr, nullptr, nullptr);
    DefineCustomIntVariable("csp.training_memory", "Memory that a training run may use.",
                            "A run that would need more fails before it begins to compute.", &csp_training_memory,
                            2 * 1024 * 1024, 1024, MAX_KILOBYTES, PGC_USERSET, GUC_UNIT_KB, nullptr, nullptr, nullptr);
    MarkGUCPrefixReserved("csp");
}

}  // namespace

}  // namespace csp::server

extern "C" {

PG_MODULE_MAGIC;

PGDLLEXPORT void _PG_init(void);

void _PG_init(void) {
    csp::server::define_settings();
    csp::server::register_catalog_callbacks();
}

}  // extern "C"

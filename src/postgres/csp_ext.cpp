// The module: its settings and what happens when a backend loads it.
#include "batch_functions.h"
#include "batch_node.h"
#include "batch_settings.h"
#include "catalog.h"
#include "model_cache.h"
#include "hooks.h"
#include "map_settings.h"
#include "rights.h"
#include "training_settings.h"

#include "pg.h"

#include "../training/options.h"

extern "C" {
#include "utils/guc.h"
}

namespace csp::server {

bool csp_enable_batch = true;
int csp_batch_size = 1024;
char *csp_device = nullptr;

namespace {

bool is_device(const char *value) noexcept {
    try {
        TrainingOptions options;
        set_option(options, "device", OptionKind::text, value);
        return true;
    } catch (...) {
        return false;
    }
}

bool check_device(char **value, void **, GucSource) {
    if (is_device(*value))
        return true;
    GUC_check_errhint("Use one of: auto, cpu, cuda, cuda:N (N the number of a device).");
    return false;
}

// Another default model: what "no model named" meant is no longer true.
void on_model_setting(const char *, void *) { note_model_setting(); }

void define_settings() {
    DefineCustomStringVariable("csp.model", "Model that functions use when none is named.",
                               "A name, or name@version. Empty: the only model that the user can see.",
                               &csp_model_setting, "", PGC_USERSET, 0, nullptr, on_model_setting, nullptr);
    DefineCustomIntVariable("csp.model_cache_size", "Memory for the models that a session keeps loaded.",
                            "The model in use is kept even if it is larger.", &csp_model_cache_size, 256 * 1024, 0,
                            MAX_KILOBYTES, PGC_USERSET, GUC_UNIT_KB, nullptr, nullptr, nullptr);
    DefineCustomIntVariable("csp.training_memory", "Memory that a training run may use.",
                            "Image features that do not fit are read from a temporary file. A run that would need more even so "
                            "fails before it begins to compute.",
                            &csp_training_memory,
                            2 * 1024 * 1024, 1024, MAX_KILOBYTES, PGC_USERSET, GUC_UNIT_KB, nullptr, nullptr, nullptr);
    DefineCustomStringVariable("csp.device", "Where training runs compute that do not say so with the option device.",
                               "auto, cpu, cuda or cuda:N; csp_info() lists what there is. auto: on a CUDA device if there is one.",
                               &csp_device, "auto", PGC_USERSET, 0, check_device, nullptr, nullptr);
    DefineCustomIntVariable("csp.max_training_workers", "Training runs of a database that go on at a time.",
                            "The others are queued. 0: none begins.", &csp_max_training_workers, 2, 0, 1000, PGC_SIGHUP,
                            0, nullptr, nullptr, nullptr);
    DefineCustomIntVariable("csp.keep_runs", "Training runs of a database that are kept after their end.",
                            "Older ones are deleted when a run begins; their models stay. -1: all are kept.", &csp_keep_runs,
                            1000, -1, INT_MAX, PGC_SIGHUP, 0, nullptr, nullptr, nullptr);
    DefineCustomBoolVariable("csp.enable_batch", "Enables the planner's use of batches for calls of csp functions.",
                             "Answers are the same with and without.", &csp_enable_batch, true, PGC_USERSET,
                             GUC_EXPLAIN, nullptr, nullptr, nullptr);
    DefineCustomIntVariable("csp.batch_size", "Most rows that a batch holds.",
                            "Batches grow 1, 4, 16, ... up to it, and end earlier where work_mem does.",
                            &csp_batch_size, 1024, 1, largest_batch_size, PGC_USERSET, GUC_EXPLAIN, nullptr, nullptr,
                            nullptr);
    DefineCustomIntVariable("csp.max_cells", "Most cells that a grid may have.", "A guard against sizes in the wrong unit.",
                            &csp_max_cells, 10'000'000, 1, INT_MAX, PGC_USERSET, 0, nullptr, nullptr, nullptr);
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
    csp::server::register_function_callbacks();
    csp::server::register_batch_node();
    csp::server::install_hooks();
    csp::server::install_reassignment_hook();
}

}  // extern "C"

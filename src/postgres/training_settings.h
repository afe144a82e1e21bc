// Settings of training runs.
#pragma once

namespace csp::server {

// Value of the setting csp.training_memory, in kB, which the caller's session hands to its worker.
extern int csp_training_memory;

// Value of the setting csp.device: the default of the option device.
extern char *csp_device;

// Value of the setting csp.max_training_workers: runs of a database that go on at a time.
extern int csp_max_training_workers;

// Value of the setting csp.keep_runs: runs that have ended and are kept; -1: all.
extern int csp_keep_runs;

}  // namespace csp::server

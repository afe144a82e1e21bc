// Settings of training runs.
#pragma once

namespace csp::server {

// Value of the setting csp.training_memory, in kB, which the caller's session hands to its worker.
extern int csp_training_memory;

// Value of the setting csp.max_training_workers: runs of a database that go on at a time.
extern int csp_max_training_workers;

}  // namespace csp::server

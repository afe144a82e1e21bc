// Settings of training runs, which the caller's session hands to its worker.
#pragma once

namespace csp::server {

// Value of the setting csp.training_memory, in kB.
extern int csp_training_memory;

}  // namespace csp::server

// Settings of batched execution.
#pragma once

namespace csp::server {

extern bool csp_enable_batch;
extern int csp_batch_size;

constexpr int largest_batch_size = 65536;

}  // namespace csp::server

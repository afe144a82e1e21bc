// Settings of maps.
#pragma once

namespace csp::server {

extern int csp_max_cells;

}  // namespace csp::server

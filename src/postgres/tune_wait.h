// Waiting for a search: how far it is as notices, its failure as an error.
#pragma once

#include "pg.h"

namespace csp::server {

// Returns when the search has succeeded; raises its error if it has not. An interrupt of this session ends the search and
// its trials as cancelled before it is raised. Between SPI_connect and SPI_finish, outside an atomic context.
void wait_for_search(int64 search);

}  // namespace csp::server

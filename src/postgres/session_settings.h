// The settings of a session, for workers that act for it.
#pragma once

#include "pg.h"

extern "C" {
#include "utils/guc.h"
}

namespace csp::server {

// Name and value of what this session, its client, its role or the database has set, placeholders ("app.tenant") included.
// Not those of the transaction, nor what is the session's own, as its role. whose: PGC_USERSET for settings that anybody may set,
// PGC_SUSET for those of superusers too.
using Settings = std::vector<std::pair<std::string, std::string>>;
Settings session_settings(GucContext whose);

}  // namespace csp::server

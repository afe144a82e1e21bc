// What a procedure gives back.
#pragma once

#include "pg.h"

namespace csp::server {

// The record of a procedure whose only INOUT argument is a bigint.
Datum bigint_record(FunctionCallInfo fcinfo, int64 value);

}  // namespace csp::server

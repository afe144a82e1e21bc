// Times as models see them: the part of the year that has passed.
#pragma once

#include "pg.h"

namespace csp::server {

// 0 at New Year to just below 1, in UTC. Throws SqlError(datetime_value_out_of_range) for an infinite timestamp.
float part_of_year(TimestampTz time);

}  // namespace csp::server

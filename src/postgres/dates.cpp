// Times as models see them.
#include "dates.h"

#include "guard.h"

extern "C" {
#include "utils/datetime.h"
#include "utils/timestamp.h"
}

namespace csp::server {

float part_of_year(TimestampTz time) {
    if (TIMESTAMP_NOT_FINITE(time))
        throw SqlError(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE, "date of an observation must be finite");
    int64 day = time / USECS_PER_DAY;
    if (time < day * USECS_PER_DAY)
        --day;
    const int julian = int(day + POSTGRES_EPOCH_JDATE);
    int year, month, day_of_month;
    server_call([&] { j2date(julian, &year, &month, &day_of_month); });
    const int first = server_call([&] { return date2j(year, 1, 1); });
    const int next = server_call([&] { return date2j(year + 1, 1, 1); });
    const double of_day = double(time - day * USECS_PER_DAY) / double(USECS_PER_DAY);
    return float((julian - first + of_day) / (next - first));
}

}  // namespace csp::server

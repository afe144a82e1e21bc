// A row as the result of a function with OUT parameters.
#pragma once

#include "pg.h"

namespace csp::server {

// Called within server_call: it may raise errors of the server.
inline Datum make_row(FunctionCallInfo fcinfo, Datum *values, bool *nulls) {
    TupleDesc description;
    if (get_call_result_type(fcinfo, nullptr, &description) != TYPEFUNC_COMPOSITE)
        elog(ERROR, "return type must be a row type");
    return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(description), values, nulls));
}

}  // namespace csp::server

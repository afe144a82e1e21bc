// Records that procedures return.
#include "procedure_result.h"

#include "guard.h"

extern "C" {
#include "access/htup_details.h"
}

namespace csp::server {

Datum bigint_record(FunctionCallInfo fcinfo, int64 value) {
    return server_call([&] {
        TupleDesc descriptor;
        if (get_call_result_type(fcinfo, nullptr, &descriptor) != TYPEFUNC_COMPOSITE)
            elog(ERROR, "return type must be a row type");
        Datum values[] = {Int64GetDatum(value)};
        bool nulls[] = {false};
        return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(descriptor), values, nulls));
    });
}

}  // namespace csp::server

// Arguments of type text.
#pragma once

#include "guard.h"

namespace csp::server {

// Of one that is not NULL.
inline std::string text_argument(FunctionCallInfo fcinfo, int number) {
    auto *value = server_call([&] { return PG_GETARG_TEXT_PP(number); });
    return std::string(VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value));
}

inline std::string text_or_empty(FunctionCallInfo fcinfo, int number) {
    return PG_ARGISNULL(number) ? std::string() : text_argument(fcinfo, number);
}

// Of one for which NULL is a mistake: an error that names it.
inline std::string text_argument(FunctionCallInfo fcinfo, int number, const char *name) {
    if (PG_ARGISNULL(number))
        throw SqlError(ERRCODE_NULL_VALUE_NOT_ALLOWED, std::string(name) + " must not be NULL");
    return text_argument(fcinfo, number);
}

}  // namespace csp::server

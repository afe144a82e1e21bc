// Values that may have been compressed or moved out of line.
#pragma once

#include "guard.h"

#include <string_view>

namespace csp::server {

// The value itself where it lies in its row as it is, which needs no call of the server; else a copy in the current
// memory context.
inline struct varlena *detoasted(Datum value) {
    auto *bytes = reinterpret_cast<struct varlena *>(DatumGetPointer(value));
    if (!VARATT_IS_COMPRESSED(bytes) && !VARATT_IS_EXTERNAL(bytes))
        return bytes;
    return server_call([value] { return PG_DETOAST_DATUM_PACKED(value); });
}

// The bytes of a text.
inline std::string_view text_view(Datum value) {
    const struct varlena *bytes = detoasted(value);
    return {VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes)};
}

}  // namespace csp::server

// Texts in shared memory.
#include "shared_text.h"

extern "C" {
#include "mb/pg_wchar.h"
}

namespace csp::server {

void copy_text(char *to, std::size_t size, const std::string &text) {
    int length = pg_mbcliplen(text.c_str(), int(text.size()), int(size) - 1);
    std::memcpy(to, text.c_str(), length);
    to[length] = '\0';
}

}  // namespace csp::server

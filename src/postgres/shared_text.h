// Texts in shared memory.
#pragma once

#include "pg.h"

namespace csp::server {

// As much of the text as there is room for, in whole characters, with a zero at its end.
void copy_text(char *to, std::size_t size, const std::string &text);

template <std::size_t size>
void copy_text(char (&to)[size], const std::string &text) {
    copy_text(to, size, text);
}

}  // namespace csp::server

// Numbers in the bytes of a file.
#pragma once

#include <cstddef>
#include <cstdint>

namespace csp {

// The unsigned number in `size` bytes, at most 8, the lowest first.
inline uint64_t little_endian(const char *bytes, std::size_t size) {
    uint64_t number = 0;
    for (std::size_t i = 0; i < size; ++i)
        number |= static_cast<uint64_t>(static_cast<unsigned char>(bytes[i])) << (8 * i);
    return number;
}

}  // namespace csp

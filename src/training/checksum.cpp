// Checksums of data that may be gigabytes: eight bytes at a time.
#include "checksum.h"

#include <cstdio>
#include <cstring>

namespace csp {

// Each step is a bijection of the hash, so that no earlier byte is forgotten.
void Checksum::mix(uint64_t word) {
    hash_ = (hash_ ^ word) * 0x9e3779b97f4a7c15u;
    hash_ ^= hash_ >> 32;
}

void Checksum::add(const void *bytes, std::size_t size) {
    const auto *next = static_cast<const unsigned char *>(bytes);
    mix(size);
    uint64_t word;
    for (; size >= sizeof word; size -= sizeof word, next += sizeof word) {
        std::memcpy(&word, next, sizeof word);
        mix(word);
    }
    word = 0;
    if (size > 0) std::memcpy(&word, next, size);
    mix(word);
}

void Checksum::add(const std::string &text) { add(text.data(), text.size()); }

std::string Checksum::text() const {
    char digits[17];
    std::snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(hash_));
    return digits;
}

}  // namespace csp

// A number that tells two lots of bytes apart. Not for secrets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace csp {

class Checksum {
public:
    void add(const void *bytes, std::size_t size);
    void add(const std::string &text);
    void add(int64_t number) { mix(static_cast<uint64_t>(number)); }

    uint64_t value() const { return hash_; }
    std::string text() const;  // 16 hexadecimal digits

private:
    void mix(uint64_t word);

    uint64_t hash_ = 0x6a09e667f3bcc908u;
};

}  // namespace csp

// The members of a zip archive in memory, as torch.save writes it: stored, never compressed.
//
// The central directory alone says what there is; local headers only have to agree with it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace csp {

class ZipArchive {
public:
    // Throws Error(data_corrupted) unless the bytes are one well-formed archive: nothing after its
    // end, no member outside of the data, none over another, no name twice; Error(not_supported)
    // if a member is compressed or encrypted. The bytes must live as long as the archive.
    ZipArchive(const char *bytes, std::size_t size);

    struct Member {
        std::string_view bytes;
        uint32_t checksum = 0;
    };

    const std::map<std::string, Member> &members() const { return members_; }

    // The bytes of a member, its CRC-32 checked; Error(data_corrupted) if it is wrong or there is
    // no such member.
    std::string_view read(const std::string &name) const;

private:
    std::map<std::string, Member> members_;
};

}  // namespace csp

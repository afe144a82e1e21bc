// Reader of the zip format (PKWARE's APPNOTE.TXT), with its zip64 fields.
#include "zip_archive.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "checkpoint_error.h"
#include "little_endian.h"

namespace csp {

namespace {

constexpr std::size_t name_limit = 1024;

constexpr uint64_t local_signature = 0x04034b50;
constexpr uint64_t entry_signature = 0x02014b50;
constexpr uint64_t end_signature = 0x06054b50;
constexpr uint64_t zip64_end_signature = 0x06064b50;
constexpr uint64_t zip64_locator_signature = 0x07064b50;

// Without the names and extra fields that follow.
constexpr std::size_t local_size = 30;
constexpr std::size_t entry_size = 46;
constexpr std::size_t end_size = 22;
constexpr std::size_t zip64_end_size = 56;
constexpr std::size_t zip64_locator_size = 20;

// What a field says whose value is in the zip64 part instead.
constexpr uint64_t elsewhere16 = 0xffff;
constexpr uint64_t elsewhere32 = 0xffffffff;

// Sizes that follow the data (the directory has them too), names in UTF-8.
constexpr uint64_t known_flags = 1 << 3 | 1 << 11;

constexpr std::array<uint32_t, 256> make_checksum_table() {
    std::array<uint32_t, 256> table{};
    for (uint32_t i = 0; i < 256; ++i) {
        uint32_t value = i;
        for (int bit = 0; bit < 8; ++bit)
            value = value & 1 ? value >> 1 ^ 0xedb88320 : value >> 1;
        table[i] = value;
    }
    return table;
}

uint32_t checksum_of(std::string_view bytes) {
    static constexpr std::array<uint32_t, 256> table = make_checksum_table();
    uint32_t value = 0xffffffff;
    for (char byte : bytes)
        value = table[(value ^ static_cast<unsigned char>(byte)) & 0xff] ^ value >> 8;
    return ~value;
}

// Where the central directory lies, and how many members it names.
struct Directory {
    uint64_t offset = 0;
    uint64_t end = 0;
    uint64_t count = 0;
};

// A member as the directory has it.
struct Entry {
    std::string name;
    uint64_t size = 0;
    uint64_t offset = 0;  // of its local header
    uint32_t checksum = 0;
};

using Span = std::pair<uint64_t, uint64_t>;  // begin and end in the archive

class Reader {
public:
    Reader(const char *bytes, std::size_t size) : bytes_(bytes), size_(size) {}

    std::map<std::string, ZipArchive::Member> read() {
        const Directory directory = find_directory();
        std::map<std::string, ZipArchive::Member> members;
        std::vector<Span> spans;
        uint64_t position = directory.offset;
        // Every entry takes bytes of the directory, so a count that lies ends at the directory's end.
        for (uint64_t i = 0; i < directory.count; ++i) {
            const Entry entry = read_entry(position, directory.end);
            const auto inserted = members.try_emplace(entry.name);
            if (!inserted.second)
                throw_bad_checkpoint("Two members of the archive have one name.");
            const Span data = find_data(entry, directory.offset);
            inserted.first->second = {std::string_view(bytes_ + data.first, entry.size), entry.checksum};
            spans.emplace_back(entry.offset, data.second);
        }
        if (position != directory.end)
            throw_bad_checkpoint("The archive's directory is longer than its members.");
        check_apart(std::move(spans));
        return members;
    }

private:
    uint64_t number(uint64_t position, std::size_t size) const { return little_endian(bytes_ + position, size); }

    // The archive must end with its end record, without a comment: what might be two archives is none.
    Directory find_directory() const {
        if (size_ < end_size || number(size_ - end_size, 4) != end_signature)
            throw_bad_checkpoint("The archive is cut off: it does not end with its directory.");
        const uint64_t end = size_ - end_size;
        if (number(end + 4, 2) != 0 || number(end + 6, 2) != 0 || number(end + 8, 2) != number(end + 10, 2) ||
            number(end + 20, 2) != 0)
            throw_bad_checkpoint("The archive is in several parts or has a comment.");
        const Directory directory{number(end + 16, 4), number(end + 12, 4), number(end + 10, 2)};
        const bool zip64 = end >= zip64_locator_size + zip64_end_size &&
                           number(end - zip64_locator_size, 4) == zip64_locator_signature;
        return zip64 ? find_zip64_directory(end - zip64_locator_size, directory)
                     : checked(directory.offset, directory.end, directory.count, end);
    }

    // The zip64 end record lies right before its locator and agrees with the plain one, whose fields
    // are `plain`.
    Directory find_zip64_directory(uint64_t locator, const Directory &plain) const {
        const uint64_t end = locator - zip64_end_size;
        if (number(locator + 4, 4) != 0 || number(locator + 8, 8) != end || number(locator + 16, 4) != 1 ||
            number(end, 4) != zip64_end_signature || number(end + 4, 8) != zip64_end_size - 12 ||
            number(end + 16, 8) != 0)
            throw_bad_checkpoint("The archive's zip64 end record is not where it should be.");
        const uint64_t count = number(end + 32, 8);
        const uint64_t size = number(end + 40, 8);
        const uint64_t offset = number(end + 48, 8);
        if (number(end + 24, 8) != count || (plain.count != elsewhere16 && plain.count != count) ||
            (plain.end != elsewhere32 && plain.end != size) || (plain.offset != elsewhere32 && plain.offset != offset))
            throw_bad_checkpoint("The archive's two end records contradict each other.");
        return checked(offset, size, count, end);
    }

    // The directory ends where the end records begin.
    static Directory checked(uint64_t offset, uint64_t size, uint64_t count, uint64_t end) {
        if (offset > end || size != end - offset)
            throw_bad_checkpoint("The archive's directory is not where its end record says.");
        return {offset, end, count};
    }

    // Reads the entry at `position` and moves there beyond it.
    Entry read_entry(uint64_t &position, uint64_t end) const {
        if (end - position < entry_size || number(position, 4) != entry_signature)
            throw_bad_checkpoint("The archive's directory is damaged.");
        check_storable(position);
        const uint64_t name_size = number(position + 28, 2);
        const uint64_t extra_size = number(position + 30, 2);
        const uint64_t comment_size = number(position + 32, 2);
        const uint64_t extra = position + entry_size + name_size;
        if (name_size > name_limit || name_size + extra_size + comment_size > end - position - entry_size)
            throw_bad_checkpoint("A member of the archive has a name or a field that is too long.");
        Entry entry;
        entry.name.assign(bytes_ + position + entry_size, name_size);
        entry.checksum = static_cast<uint32_t>(number(position + 16, 4));
        read_sizes(entry, position, Span(extra, extra + extra_size));
        position = extra + extra_size + comment_size;
        return entry;
    }

    void check_storable(uint64_t position) const {
        if ((number(position + 8, 2) & ~known_flags) == 0 && number(position + 10, 2) == 0)
            return;
        throw Error(ErrorKind::not_supported, "checkpoint is a compressed or encrypted archive",
                    "torch.save stores the members of its archive as they are.",
                    "Import the file as torch.save has written it.");
    }

    // Sizes and place of an entry. Those that do not fit are in the zip64 field among `extra`, in
    // this order and only those.
    void read_sizes(Entry &entry, uint64_t position, Span extra) const {
        uint64_t stored = number(position + 20, 4);
        entry.size = number(position + 24, 4);
        entry.offset = number(position + 42, 4);
        Span field = find_zip64_field(extra);
        for (uint64_t *value : {&entry.size, &stored, &entry.offset}) {
            if (*value != elsewhere32)
                continue;
            if (field.second - field.first < 8)
                throw_bad_checkpoint("A member of the archive lacks its zip64 sizes.");
            *value = number(field.first, 8);
            field.first += 8;
        }
        if (stored != entry.size)
            throw_bad_checkpoint("A member of the archive has two different sizes.");
    }

    Span find_zip64_field(Span extra) const {
        while (extra.second - extra.first >= 4) {
            const uint64_t begin = extra.first + 4;
            const uint64_t size = number(extra.first + 2, 2);
            if (size > extra.second - begin)
                throw_bad_checkpoint("A member of the archive has a damaged extra field.");
            if (number(extra.first, 2) == 1)
                return {begin, begin + size};
            extra.first = begin + size;
        }
        return {0, 0};
    }

    // Where a member's data lies: after its local header, before the directory at `end`.
    Span find_data(const Entry &entry, uint64_t end) const {
        if (entry.offset > end || end - entry.offset < local_size || number(entry.offset, 4) != local_signature)
            throw_bad_checkpoint("A member of the archive is not where the directory says.");
        const uint64_t name_size = number(entry.offset + 26, 2);
        const uint64_t header_size = local_size + name_size + number(entry.offset + 28, 2);
        if (header_size > end - entry.offset || entry.size > end - entry.offset - header_size)
            throw_bad_checkpoint("A member of the archive goes beyond its end.");
        if (std::string_view(bytes_ + entry.offset + local_size, name_size) != entry.name ||
            number(entry.offset + 8, 2) != 0)
            throw_bad_checkpoint("A member of the archive is not the one that the directory says.");
        const uint64_t begin = entry.offset + header_size;
        return {begin, begin + entry.size};
    }

    static void check_apart(std::vector<Span> spans) {
        std::sort(spans.begin(), spans.end());
        uint64_t position = 0;
        for (const auto &[begin, end] : spans) {
            if (begin < position)
                throw_bad_checkpoint("Members of the archive overlap.");
            position = end;
        }
    }

    const char *bytes_;
    std::size_t size_;
};

}  // namespace

ZipArchive::ZipArchive(const char *bytes, std::size_t size) : members_(Reader(bytes, size).read()) {}

std::string_view ZipArchive::read(const std::string &name) const {
    const auto found = members_.find(name);
    if (found == members_.end())
        throw_bad_checkpoint("The archive lacks a member that the file refers to.");
    if (checksum_of(found->second.bytes) != found->second.checksum)
        throw_bad_checkpoint("A member of the archive does not match its checksum.");
    return found->second.bytes;
}

}  // namespace csp

// Writers of the bytes of checkpoints, well-formed or not: pieces of pickles, and zip archives of which
// every field can lie.
#pragma once

#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

namespace csp_test {

inline std::string little(uint64_t number, int size) {
    std::string bytes;
    for (int i = 0; i < size; ++i, number >>= 8)
        bytes.push_back(static_cast<char>(number & 0xff));
    return bytes;
}

template <typename Number>
std::string bytes_of(const std::vector<Number> &numbers) {
    std::string bytes(numbers.size() * sizeof(Number), '\0');
    if (!numbers.empty())
        std::memcpy(bytes.data(), numbers.data(), bytes.size());
    return bytes;
}

// ---- pickle: each piece leaves one value on the stack ----

namespace pickle {

using Pieces = std::initializer_list<std::string>;

inline std::string joined(Pieces pieces) {
    std::string bytes;
    for (const std::string &piece : pieces)
        bytes += piece;
    return bytes;
}

inline std::string file(const std::string &value) { return "\x80\x02" + value + "."; }
inline std::string text(const std::string &text) { return "X" + little(text.size(), 4) + text; }
inline std::string none() { return "N"; }
inline std::string truth(bool value) { return value ? "\x88" : "\x89"; }
inline std::string list(Pieces items) { return "](" + joined(items) + "e"; }
inline std::string tuple(Pieces items) { return "(" + joined(items) + "t"; }
inline std::string dict(Pieces keys_and_values) { return "}(" + joined(keys_and_values) + "u"; }
inline std::string put(int index) { return "q" + little(static_cast<uint64_t>(index), 1); }
inline std::string get(int index) { return "h" + little(static_cast<uint64_t>(index), 1); }

inline std::string name(const std::string &module, const std::string &name) {
    return "c" + module + "\n" + name + "\n";
}

inline std::string integer(int64_t value) {
    if (value == static_cast<int32_t>(value))
        return "J" + little(static_cast<uint64_t>(value), 4);
    return "\x8a\x08" + little(static_cast<uint64_t>(value), 8);
}

inline std::string real(double value) {
    const std::string bytes = bytes_of<double>({value});
    return "G" + std::string(bytes.rbegin(), bytes.rend());
}

inline std::string integers(const std::vector<int64_t> &values) {
    std::string bytes = "(";
    for (int64_t value : values)
        bytes += integer(value);
    return bytes + "t";
}

inline std::string call(const std::string &function, Pieces arguments) { return function + tuple(arguments) + "R"; }

inline std::string ordered_dict(Pieces keys_and_values) {
    return name("collections", "OrderedDict") + ")R(" + joined(keys_and_values) + "u";
}

inline std::string storage(const std::string &type, const std::string &key, int64_t elements,
                           const std::string &location = "cpu") {
    return tuple({text("storage"), name("torch", type), text(key), text(location), integer(elements)}) + "Q";
}

inline std::string tensor(const std::string &storage, int64_t offset, const std::vector<int64_t> &shape,
                          const std::vector<int64_t> &strides) {
    return call(name("torch._utils", "_rebuild_tensor_v2"),
                {storage, integer(offset), integers(shape), integers(strides), truth(false), ordered_dict({})});
}

}  // namespace pickle

// ---- zip ----

inline uint32_t checksum_of(const std::string &bytes) {
    uint32_t value = 0xffffffff;
    for (char byte : bytes) {
        value ^= static_cast<unsigned char>(byte);
        for (int bit = 0; bit < 8; ++bit)
            value = value & 1 ? value >> 1 ^ 0xedb88320 : value >> 1;
    }
    return ~value;
}

// What is set says something else than the truth.
struct ZipMember {
    std::string name;
    std::string bytes;
    uint64_t flags = 0x808;
    uint64_t method = 0;
    std::optional<uint64_t> size{};
    std::optional<uint64_t> stored_size{};
    std::optional<uint64_t> offset{};
    std::optional<uint64_t> checksum{};
    std::string local_name{};
    std::string extra{};
    uint64_t local_method = 0;
};

struct ZipEnd {
    bool zip64 = true;
    std::optional<uint64_t> count{};
    std::optional<uint64_t> size{};
    std::optional<uint64_t> offset{};
    std::optional<uint64_t> zip64_count{};
    std::optional<uint64_t> zip64_size{};
    std::optional<uint64_t> zip64_offset{};
    std::optional<uint64_t> locator{};
    std::string between{};  // before the end records
    std::string comment{};
};

inline std::string zip_entry(const ZipMember &member, uint64_t offset) {
    return "PK\1\2" + little(0, 4) + little(member.flags, 2) + little(member.method, 2) + little(0, 4) +
           little(member.checksum.value_or(checksum_of(member.bytes)), 4) +
           little(member.stored_size.value_or(member.size.value_or(member.bytes.size())), 4) +
           little(member.size.value_or(member.bytes.size()), 4) + little(member.name.size(), 2) +
           little(member.extra.size(), 2) + little(0, 10) + little(member.offset.value_or(offset), 4) + member.name +
           member.extra;
}

// The bytes of an archive as torch.save writes one: sizes in the directory alone, data descriptors,
// zip64 end records.
inline std::string zip_of(const std::vector<ZipMember> &members, const ZipEnd &end = {}) {
    std::string bytes;
    std::string directory;
    for (const ZipMember &member : members) {
        directory += zip_entry(member, bytes.size());
        const std::string &name = member.local_name.empty() ? member.name : member.local_name;
        const std::string padding = "FB" + little(3, 2) + "ZZZ";
        bytes += "PK\3\4" + little(0, 2) + little(0x808, 2) + little(member.local_method, 2) + little(0, 16) +
                 little(name.size(), 2) + little(padding.size(), 2) + name + padding + member.bytes + "PK\7\x08" +
                 little(checksum_of(member.bytes), 4) + little(member.bytes.size(), 4) + little(member.bytes.size(), 4);
    }
    const uint64_t offset = bytes.size();
    bytes += directory + end.between;
    const uint64_t zip64_end = bytes.size();
    if (end.zip64) {
        const uint64_t count = end.zip64_count.value_or(members.size());
        bytes += "PK\6\6" + little(44, 8) + little(0, 12) + little(count, 8) + little(count, 8) +
                 little(end.zip64_size.value_or(directory.size()), 8) + little(end.zip64_offset.value_or(offset), 8);
        bytes += "PK\6\7" + little(0, 4) + little(end.locator.value_or(zip64_end), 8) + little(1, 4);
    }
    const uint64_t count = end.count.value_or(members.size());
    return bytes + "PK\5\6" + little(0, 4) + little(count, 2) + little(count, 2) +
           little(end.size.value_or(directory.size()), 4) + little(end.offset.value_or(offset), 4) +
           little(end.comment.size(), 2) + end.comment;
}

// A checkpoint of that pickle (without its first and last instruction) and storages named 0, 1, ...
inline std::vector<ZipMember> members_of(const std::string &value, const std::vector<std::string> &storages) {
    std::vector<ZipMember> members;
    members.push_back({"archive/data.pkl", pickle::file(value)});
    for (std::size_t i = 0; i < storages.size(); ++i)
        members.push_back({"archive/data/" + std::to_string(i), storages[i]});
    members.push_back({"archive/version", "3\n"});
    return members;
}

}  // namespace csp_test

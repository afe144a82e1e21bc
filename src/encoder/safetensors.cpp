// Reader and writer of the safetensors format.
//
// The header is read by events, never as a tree: nothing is kept but what the format allows,
// so memory stays in proportion to the input whatever the header claims.
#include "safetensors.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>

#include "error.h"
#include "little_endian.h"
#include "room_face.h"

namespace csp {

namespace {

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "tensor bytes are copied as they are: little-endian");

constexpr std::size_t length_size = 8;
constexpr std::size_t header_limit = 100000000;  // of the format's reference implementation
constexpr std::size_t rank_limit = 32;
const char *const metadata_key = "__metadata__";

[[noreturn]] void throw_corrupted(const std::string &detail) {
    throw Error(ErrorKind::data_corrupted, "not a valid safetensors file", detail,
                "Import a complete file as written by csp_export or by the safetensors library.");
}

// What the header says of one tensor.
struct Entry {
    std::string dtype;
    std::vector<int64_t> shape;
    std::vector<uint64_t> offsets;  // begin and end in the data
    bool has_dtype = false;
    bool has_shape = false;
    bool has_offsets = false;
};

// The header {"name": {"dtype": "F32", "shape": [..], "data_offsets": [b, e]}, ...,
// "__metadata__": {"key": "text", ...}} as a state machine over the JSON parser's events.
// Anything the format does not know ends the parse with an error.
class HeaderReader : public nlohmann::json_sax<nlohmann::json> {
public:
    std::map<std::string, Entry> entries;
    std::map<std::string, std::string> metadata;

    bool null() override { unexpected("null"); }
    bool boolean(bool) override { unexpected("a boolean"); }
    bool number_integer(number_integer_t) override { unexpected("a negative number"); }
    bool number_float(number_float_t, const string_t &) override { unexpected("a number that is not an integer"); }
    bool binary(binary_t &) override { unexpected("binary data"); }

    bool number_unsigned(number_unsigned_t value) override {
        if (state_ == State::shape) {
            if (entry_->shape.size() == rank_limit || value > uint64_t{std::numeric_limits<int64_t>::max()})
                throw_corrupted("A tensor's shape is out of bounds.");
            entry_->shape.push_back(static_cast<int64_t>(value));
        } else if (state_ == State::offsets) {
            if (entry_->offsets.size() == 2)
                throw_corrupted("A tensor has more than two data_offsets.");
            entry_->offsets.push_back(value);
        } else {
            unexpected("a number");
        }
        return true;
    }

    bool string(string_t &value) override {
        if (state_ == State::dtype) {
            entry_->dtype = value;
            state_ = State::tensor;
        } else if (state_ == State::metadata_value) {
            *metadata_value_ = value;
            state_ = State::metadata;
        } else {
            unexpected("a text");
        }
        return true;
    }

    bool start_object(std::size_t) override {
        switch (state_) {
            case State::start: state_ = State::top; return true;
            case State::tensor_start: state_ = State::tensor; return true;
            case State::metadata_start: state_ = State::metadata; return true;
            default: unexpected("an object");
        }
    }

    bool key(string_t &name) override {
        if (state_ == State::top)
            begin_member(name);
        else if (state_ == State::metadata)
            begin_metadata(name);
        else
            begin_field(name);
        return true;
    }

    bool end_object() override {
        if (state_ == State::tensor) {
            if (!entry_->has_dtype || !entry_->has_shape || entry_->offsets.size() != 2)
                throw_corrupted("A tensor lacks its dtype, shape or data_offsets.");
            state_ = State::top;
        } else {
            state_ = state_ == State::metadata ? State::top : State::end;
        }
        return true;
    }

    bool start_array(std::size_t) override {
        if (state_ == State::shape_start)
            state_ = State::shape;
        else if (state_ == State::offsets_start)
            state_ = State::offsets;
        else
            unexpected("an array");
        return true;
    }

    bool end_array() override {
        state_ = State::tensor;
        return true;
    }

    bool parse_error(std::size_t position, const std::string &, const nlohmann::detail::exception &) override {
        throw_corrupted("The header is not well-formed JSON near byte " + std::to_string(position) + ".");
    }

private:
    enum class State {
        start, top, end,
        metadata_start, metadata, metadata_value,
        tensor_start, tensor, dtype, shape_start, shape, offsets_start, offsets
    };

    [[noreturn]] static void unexpected(const char *what) {
        throw_corrupted(std::string("The header holds ") + what + " where the format has none.");
    }

    // The parser balances brackets and pairs keys with values, so a key can only come where
    // an object is open: the top, the metadata or a tensor.
    void begin_member(const std::string &name) {
        if (name == metadata_key) {
            if (has_metadata_)
                throw_corrupted("The header has two \"__metadata__\".");
            has_metadata_ = true;
            state_ = State::metadata_start;
            return;
        }
        const auto inserted = entries.try_emplace(name);
        if (!inserted.second)
            throw_corrupted("The header has two tensors of one name.");
        entry_ = &inserted.first->second;
        state_ = State::tensor_start;
    }

    void begin_metadata(const std::string &name) {
        const auto inserted = metadata.try_emplace(name);
        if (!inserted.second)
            throw_corrupted("The metadata has a key twice.");
        metadata_value_ = &inserted.first->second;
        state_ = State::metadata_value;
    }

    void begin_field(const std::string &name) {
        if (name == "dtype")
            begin_field(entry_->has_dtype, State::dtype);
        else if (name == "shape")
            begin_field(entry_->has_shape, State::shape_start);
        else if (name == "data_offsets")
            begin_field(entry_->has_offsets, State::offsets_start);
        else
            throw_corrupted("A tensor has a field other than dtype, shape and data_offsets.");
    }

    void begin_field(bool &seen, State state) {
        if (seen)
            throw_corrupted("A tensor has a field twice.");
        seen = true;
        state_ = state;
    }

    State state_ = State::start;
    Entry *entry_ = nullptr;
    std::string *metadata_value_ = nullptr;
    bool has_metadata_ = false;
};

// Whether floats of that shape (no extent negative) take exactly `bytes`; the product is never
// formed beyond them.
bool shape_takes(const std::vector<int64_t> &shape, uint64_t bytes) {
    if (std::find(shape.begin(), shape.end(), 0) != shape.end())
        return bytes == 0;
    uint64_t taken = sizeof(float);
    for (int64_t extent : shape) {
        if (static_cast<uint64_t>(extent) > bytes / taken)
            return false;
        taken *= static_cast<uint64_t>(extent);
    }
    return taken == bytes;
}

void check_entry(const std::string &name, const Entry &entry, uint64_t data_size) {
    if (entry.dtype != "F32")
        throw Error(ErrorKind::not_supported, "tensor \"" + name + "\" is not of type F32",
                    "Its type is \"" + entry.dtype + "\".", "Convert the file to 32-bit floats first.");
    const uint64_t begin = entry.offsets[0];
    const uint64_t end = entry.offsets[1];
    if (begin > end || end > data_size)
        throw_corrupted("The data_offsets of a tensor are outside of the data.");
    if (!shape_takes(entry.shape, end - begin))
        throw_corrupted("The shape of a tensor does not match its data_offsets.");
}

// The tensors must tile the data: no byte unused, none used twice.
void check_tiling(const std::map<std::string, Entry> &entries, uint64_t data_size) {
    std::vector<std::pair<uint64_t, uint64_t>> spans;
    spans.reserve(entries.size());
    for (const auto &[name, entry] : entries)
        spans.emplace_back(entry.offsets[0], entry.offsets[1]);
    std::sort(spans.begin(), spans.end());
    uint64_t position = 0;
    for (const auto &[begin, end] : spans) {
        if (begin != position)
            throw_corrupted("The tensors overlap or leave a gap.");
        position = end;
    }
    if (position != data_size)
        throw_corrupted("There are bytes after the last tensor.");
}

ModelFile read(const char *bytes, std::size_t size) {
    if (size < length_size)
        throw_corrupted("It is shorter than the length of its header.");
    const uint64_t header_size = little_endian(bytes, length_size);
    if (header_size > header_limit || header_size > size - length_size)
        throw_corrupted("Its header would be longer than the file or than 100 MB.");
    const char *header = bytes + length_size;
    const char *data = header + header_size;
    const uint64_t data_size = size - length_size - header_size;
    if (header_size == 0 || header[0] != '{')
        throw_corrupted("Its header does not begin with a brace.");

    HeaderReader reader;
    nlohmann::json::sax_parse(header, data, &reader);
    for (const auto &[name, entry] : reader.entries)
        check_entry(name, entry, data_size);
    check_tiling(reader.entries, data_size);

    ModelFile file;
    file.metadata = std::move(reader.metadata);
    for (auto &[name, entry] : reader.entries) {
        Tensor &tensor = file.tensors[name];
        tensor.shape = std::move(entry.shape);
        tensor.values.resize((entry.offsets[1] - entry.offsets[0]) / sizeof(float));
        if (!tensor.values.empty())
            std::memcpy(tensor.values.data(), data + entry.offsets[0], tensor.values.size() * sizeof(float));
    }
    return file;
}

std::string write_header(const ModelFile &file) {
    nlohmann::json header = nlohmann::json::object();
    if (!file.metadata.empty())
        header[metadata_key] = file.metadata;
    uint64_t position = 0;
    for (const auto &[name, tensor] : file.tensors) {
        const uint64_t bytes = tensor.values.size() * sizeof(float);
        const bool negative = std::any_of(tensor.shape.begin(), tensor.shape.end(), [](int64_t n) { return n < 0; });
        if (name == metadata_key || negative || tensor.shape.size() > rank_limit ||
            !shape_takes(tensor.shape, bytes))
            throw Error(ErrorKind::internal, "tensor \"" + name + "\" cannot be written",
                        "Its name is reserved or its shape does not match its number of values.");
        header[name] = {{"dtype", "F32"}, {"shape", tensor.shape}, {"data_offsets", {position, position + bytes}}};
        position += bytes;
    }
    std::string text = header.dump();
    text.append((8 - text.size() % 8) % 8, ' ');
    if (text.size() > header_limit)
        throw Error(ErrorKind::not_supported, "model file would have a header of more than 100 MB");
    return text;
}

std::string write(const ModelFile &file) {
    const std::string header = write_header(file);
    std::size_t size = length_size + header.size();
    for (const auto &[name, tensor] : file.tensors)
        size += tensor.values.size() * sizeof(float);
    std::string bytes;
    bytes.reserve(size);
    for (std::size_t i = 0; i < length_size; ++i)
        bytes.push_back(static_cast<char>(header.size() >> (8 * i) & 0xff));
    bytes += header;
    for (const auto &[name, tensor] : file.tensors)
        bytes.append(reinterpret_cast<const char *>(tensor.values.data()), tensor.values.size() * sizeof(float));
    return bytes;
}

}  // namespace

std::string write_safetensors(const ModelFile &file) {
    return at_room_face([&] { return write(file); });
}

ModelFile read_safetensors(const char *bytes, std::size_t size) {
    return at_room_face([&] { return read(bytes, size); });
}

}  // namespace csp

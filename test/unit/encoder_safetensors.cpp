// The model file format: round trips, and bytes that are not a file.
#include "../../src/encoder/safetensors.h"

#include <cstring>
#include <limits>

#include "encoder_support.h"

namespace {

using csp::ErrorKind;
using csp::ModelFile;
using csp_test::expect_error;

std::string with_header(const std::string &header, const std::string &data = {}) {
    std::string bytes;
    for (int i = 0; i < 8; ++i)
        bytes.push_back(static_cast<char>(header.size() >> (8 * i) & 0xff));
    return bytes + header + data;
}

ModelFile read(const std::string &bytes) {
    // A copy of exactly this size, so that a sanitizer sees any read beyond the end.
    const std::vector<char> exact(bytes.begin(), bytes.end());
    return csp::read_safetensors(exact.data(), exact.size());
}

ModelFile sample() {
    ModelFile file;
    file.tensors["b"] = {{2, 3}, {1, 2, 3, 4, 5, 6}};
    file.tensors["a"] = {{1}, {-0.0f}};
    file.tensors["empty"] = {{0, 5}, {}};
    file.tensors["scalar"] = {{}, {3.25f}};
    file.tensors["z \"quoted\" \\ \xc3\xa9"] = {{2}, {std::numeric_limits<float>::quiet_NaN(), 1e-45f}};
    file.metadata = {{"key", "value"}, {"text", "line\nbreak, \"quotes\" and \xe2\x82\xac"}, {"", ""}};
    return file;
}

TEST(Safetensors, RoundTripIsExact) {
    const ModelFile file = sample();
    const ModelFile back = read(csp::write_safetensors(file));
    EXPECT_EQ(back.metadata, file.metadata);
    ASSERT_EQ(back.tensors.size(), file.tensors.size());
    for (const auto &[name, tensor] : file.tensors) {
        const csp::Tensor &other = back.tensors.at(name);
        EXPECT_EQ(other.shape, tensor.shape);
        ASSERT_EQ(other.values.size(), tensor.values.size());
        if (!tensor.values.empty()) {
            EXPECT_EQ(0, std::memcmp(other.values.data(), tensor.values.data(), tensor.values.size() * sizeof(float)));
        }
    }
}

TEST(Safetensors, FilesAreDeterministicAndAligned) {
    const std::string bytes = csp::write_safetensors(sample());
    EXPECT_EQ(bytes, csp::write_safetensors(read(bytes)));
    uint64_t length = 0;
    std::memcpy(&length, bytes.data(), 8);
    EXPECT_EQ(length % 8, 0u);
    EXPECT_EQ(bytes[8], '{');
    EXPECT_EQ(bytes.size(), 8 + length + (6 + 1 + 1 + 2) * sizeof(float));
}

TEST(Safetensors, EmptyFileOfNoTensors) {
    const ModelFile file = read(csp::write_safetensors({}));
    EXPECT_TRUE(file.tensors.empty());
    EXPECT_TRUE(file.metadata.empty());
    EXPECT_TRUE(read(with_header("{}")).tensors.empty());
}

// As the safetensors library of Python writes it: any order of fields, offsets not in the order
// of names, padded with spaces.
TEST(Safetensors, ReadsFilesOfOthers) {
    const std::string data("\0\0\x80\x3f\0\0\0\x40\0\0\x40\x40", 12);  // 1, 2, 3
    const ModelFile file = read(with_header(
        R"({"__metadata__":{"format":"pt"},"x":{"shape":[1],"data_offsets":[8,12],"dtype":"F32"},)"
        R"("y":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]}}   )",
        data));
    EXPECT_EQ(file.metadata.at("format"), "pt");
    EXPECT_EQ(file.tensors.at("x").values, std::vector<float>({3}));
    EXPECT_EQ(file.tensors.at("y").values, std::vector<float>({1, 2}));
    EXPECT_EQ(file.tensors.at("y").shape, std::vector<int64_t>({2, 1}));
}

TEST(Safetensors, EveryTruncationIsRejected) {
    const std::string bytes = csp::write_safetensors(sample());
    for (std::size_t size = 0; size < bytes.size(); ++size)
        expect_error(ErrorKind::data_corrupted, [&] { read(bytes.substr(0, size)); }, std::to_string(size));
    expect_error(ErrorKind::data_corrupted, [&] { read(bytes + '\0'); }, "one byte more");
    expect_error(ErrorKind::data_corrupted, [&] { read(bytes + std::string(4, '\0')); }, "four bytes more");
}

TEST(Safetensors, HeaderLengthIsChecked) {
    for (uint64_t length : {uint64_t{0}, uint64_t{1}, uint64_t{3}, uint64_t{9}, uint64_t{100000001},
                            uint64_t{1} << 32, uint64_t{1} << 63, ~uint64_t{0}, ~uint64_t{0} - 7}) {
        std::string bytes = with_header("{}");
        std::memcpy(bytes.data(), &length, 8);
        expect_error(ErrorKind::data_corrupted, [&] { read(bytes); }, std::to_string(length));
    }
}

// Headers over 8 bytes of data; each breaks one rule.
const char *const malformed_headers[] = {
    // not the JSON of a header
    R"()", R"( {})", R"([])", R"(null)", R"("{}")", R"({)", R"({}})", R"({}x)", R"({} {})", "{}\xff", R"({"a"})",
    R"({"a":})", R"({"a":1})", R"({"a":null})", R"({"a":true})", R"({"a":"F32"})", R"({"a":[]})", R"({"a":{}})",
    "{\"a\x01\":{}}", "{\"\xff\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}",
    // fields missing, unknown, twice, or of the wrong type
    R"({"a":{"dtype":"F32","shape":[2]}})",
    R"({"a":{"dtype":"F32","data_offsets":[0,8]}})",
    R"({"a":{"shape":[2],"data_offsets":[0,8]}})",
    R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"more":1}})",
    R"({"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}})",
    R"({"a":{"dtype":"F32","shape":[2],"shape":[2],"data_offsets":[0,8]}})",
    R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"data_offsets":[0,8]}})",
    R"({"a":{"dtype":32,"shape":[2],"data_offsets":[0,8]}})",
    R"({"a":{"dtype":["F32"],"shape":[2],"data_offsets":[0,8]}})",
    R"({"a":{"dtype":null,"shape":[2],"data_offsets":[0,8]}})",
    R"({"a":{"dtype":"F32","shape":2,"data_offsets":[0,8]}})",
    R"({"a":{"dtype":"F32","shape":{"0":2},"data_offsets":[0,8]}})",
    R"({"a":{"dtype":"F32","shape":[[2]],"data_offsets":[0,8]}})",
    R"({"a":{"dtype":"F32","shape":["2"],"data_offsets":[0,8]}})",
    R"({"a":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}})",
    R"({"a":{"dtype":"F32","shape":[2e0],"data_offsets":[0,8]}})",
    R"({"a":{"dtype":"F32","shape":[null],"data_offsets":[0,8]}})",
    R"({"a":{"dtype":"F32","shape":[2],"data_offsets":8}})",
    R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[]}})",
    R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8]}})",
    R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8,8]}})",
    R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[[0,8]]}})",
    R"({"a":{"dtype":"F32","shape":[2],"data_offsets":["0","8"]}})",
    R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0.0,8.0]}})",
    // numbers out of bounds
    R"({"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})",
    R"({"a":{"dtype":"F32","shape":[-1,-2],"data_offsets":[0,8]}})",
    R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[-8,0]}})",
    R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})",
    R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}})",
    R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}})",
    R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[18446744073709551608,18446744073709551615]}})",
    R"({"a":{"dtype":"F32","shape":[18446744073709551618],"data_offsets":[0,8]}})",
    R"({"a":{"dtype":"F32","shape":[18446744073709551615],"data_offsets":[0,8]}})",
    R"({"a":{"dtype":"F32","shape":[9223372036854775807],"data_offsets":[0,8]}})",
    R"({"a":{"dtype":"F32","shape":[4611686018427387906],"data_offsets":[0,8]}})",
    R"({"a":{"dtype":"F32","shape":[4294967296,4294967296,2],"data_offsets":[0,8]}})",
    R"({"a":{"dtype":"F32","shape":[2147483649,2147483648,2],"data_offsets":[0,8]}})",
    R"({"a":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,2],"data_offsets":[0,8]}})",
    // shapes that do not match
    R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,8]}})",
    R"({"a":{"dtype":"F32","shape":[],"data_offsets":[0,8]}})",
    R"({"a":{"dtype":"F32","shape":[0],"data_offsets":[0,8]}})",
    R"({"a":{"dtype":"F32","shape":[2,0],"data_offsets":[0,8]}})",
    R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,5]}})",
    // gaps, overlaps, leftovers, names twice
    R"({})",
    R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
    R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
    R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})",
    R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
    R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[0],"data_offsets":[4,4]}})",
    R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
    // metadata
    R"({"__metadata__":null,"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})",
    R"({"__metadata__":[],"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})",
    R"({"__metadata__":"x","a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})",
    R"({"__metadata__":{"k":1},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})",
    R"({"__metadata__":{"k":{}},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})",
    R"({"__metadata__":{"k":["v"]},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})",
    R"({"__metadata__":{"k":"v","k":"w"},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})",
    R"({"__metadata__":{},"__metadata__":{},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})",
};

TEST(Safetensors, MalformedHeadersAreRejected) {
    const std::string data(8, '\0');
    EXPECT_NO_THROW(read(with_header(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", data)));
    for (const char *header : malformed_headers)
        expect_error(ErrorKind::data_corrupted, [&] { read(with_header(header, data)); }, header);
}

TEST(Safetensors, OtherTypesAreNotSupported) {
    for (const char *type : {"F16", "BF16", "F64", "I64", "U8", "BOOL", "f32", "", "F32 "}) {
        const std::string header =
            std::string(R"({"a":{"dtype":")") + type + R"(","shape":[2],"data_offsets":[0,8]}})";
        expect_error(ErrorKind::not_supported, [&] { read(with_header(header, std::string(8, '\0'))); }, type);
    }
}

TEST(Safetensors, DeepNestingIsRejected) {
    for (const char *bracket : {"[", "{\"a\":", "{\"__metadata__\":{\"a\":["}) {
        std::string header = "{\"a\":";
        for (int i = 0; i < 200000; ++i)
            header += bracket;
        expect_error(ErrorKind::data_corrupted, [&] { read(with_header(header)); }, bracket);
    }
}

TEST(Safetensors, WriterRefusesWhatItCouldNotRead) {
    const auto refused = [](const char *name, csp::Tensor tensor) {
        ModelFile file;
        file.tensors[name] = std::move(tensor);
        expect_error(ErrorKind::internal, [&] { csp::write_safetensors(file); }, name);
    };
    refused("too short", {{2}, {1}});
    refused("too long", {{1}, {1, 2}});
    refused("negative", {{-1}, {}});
    refused("huge", {{int64_t{1} << 62, 4}, {}});
    refused("__metadata__", {{1}, {1}});
    refused("not UTF-8 \xff", {{1}, {1}});
}

}  // namespace

// The checkpoint reader: files as torch.save writes them, files that are hostile, and released ones.
#include "../../src/encoder/pytorch_checkpoint.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>

#include "checkpoint_support.h"
#include "encoder_support.h"

namespace {

using csp::ErrorKind;
using csp::ParameterValue;
using csp::PyTorchCheckpoint;
using csp_test::bytes_of;
using csp_test::expect_error;
using csp_test::little;
using csp_test::members_of;
using csp_test::zip_of;
using csp_test::ZipEnd;
using csp_test::ZipMember;
namespace pickle = csp_test::pickle;

PyTorchCheckpoint read(const std::string &bytes) {
    // A copy of exactly this size, so that a sanitizer sees any read beyond the end.
    const std::vector<char> exact(bytes.begin(), bytes.end());
    return csp::read_pytorch_checkpoint(exact.data(), exact.size());
}

PyTorchCheckpoint read(const std::string &value, const std::vector<std::string> &storages) {
    return read(zip_of(members_of(value, storages)));
}

void expect_rejected(const std::string &value, const std::vector<std::string> &storages, const std::string &context) {
    expect_error(ErrorKind::data_corrupted, [&] { read(value, storages); }, context);
}

const std::string six_floats = bytes_of<float>({1, 2, 3, 4, 5, 6});

std::string floats(int64_t offset, const std::vector<int64_t> &shape, const std::vector<int64_t> &strides) {
    return pickle::tensor(pickle::storage("FloatStorage", "0", 6), offset, shape, strides);
}

// A state dict of one tensor.
std::string only(const std::string &tensor) {
    return pickle::dict({pickle::text("w"), tensor});
}

csp::Tensor read_only(const std::string &tensor, const std::vector<std::string> &storages) {
    return read(only(tensor), storages).tensors.at("w");
}

// A whole checkpoint of those params.
std::string with_params(const std::string &params) {
    return pickle::dict({pickle::text("state_dict"), pickle::dict({}), pickle::text("params"), params});
}

ParameterValue read_param(const std::string &value) {
    return read(with_params(pickle::dict({pickle::text("p"), value})), {}).params.at("p");
}

bool leaves_out(const std::string &value) {
    return read(with_params(pickle::dict({pickle::text("p"), value})), {}).params.empty();
}

std::string numpy_scalar(const std::string &code, const std::string &bytes, const std::string &order = "<",
                         const std::string &module = "numpy.core.multiarray") {
    const std::string dtype =
        pickle::call(pickle::name("numpy", "dtype"), {pickle::text(code), pickle::truth(false), pickle::truth(true)}) +
        pickle::tuple({pickle::integer(3), pickle::text(order), pickle::none(), pickle::none(), pickle::none(),
                       pickle::integer(-1), pickle::integer(-1), pickle::integer(0)}) +
        "b";
    return pickle::call(pickle::name(module, "scalar"), {dtype, bytes});
}

std::string short_bytes(const std::string &bytes) {
    return "C" + little(bytes.size(), 1) + bytes;
}

std::string latin1(const std::string &text) {
    return pickle::call(pickle::name("_codecs", "encode"), {pickle::text(text), pickle::text("latin1")});
}

// What a training script saves.
std::string sample_value() {
    const std::string weight = pickle::storage("FloatStorage", "0", 6, "cuda:1");
    const std::string bias = pickle::storage("FloatStorage", "1", 2, "cuda:1");
    const std::string moment = pickle::storage("FloatStorage", "2", 1000000);
    const std::string version = pickle::dict({pickle::text("version"), pickle::integer(1)});
    const std::string state_dict =
        pickle::ordered_dict({pickle::text("linear.weight"), pickle::tensor(weight, 0, {2, 3}, {3, 1}),
                              pickle::text("linear.bias"), pickle::tensor(bias, 0, {2}, {1})}) +
        pickle::dict({pickle::text("_metadata"), pickle::ordered_dict({pickle::text(""), version})}) + "b";
    const std::string moments = pickle::dict({pickle::text("exp_avg"), pickle::tensor(moment, 0, {1000000}, {1})});
    return pickle::dict(
        {pickle::text("epoch"), pickle::integer(7), pickle::text("state_dict"), state_dict, pickle::text("optimizer"),
         pickle::dict({pickle::text("state"), pickle::dict({pickle::integer(0), moments})}), pickle::text("params"),
         pickle::dict({pickle::text("spa_enc_type"), pickle::text("Space2Vec-grid"), pickle::text("min_radius"),
                       pickle::real(0.005)})});
}

std::string sample_file() {
    return zip_of(members_of(sample_value(), {six_floats, bytes_of<float>({-1, 0.5f})}));
}

void expect_sample(const PyTorchCheckpoint &file) {
    ASSERT_EQ(file.tensors.size(), 2u);
    EXPECT_EQ(file.tensors.at("linear.weight").shape, std::vector<int64_t>({2, 3}));
    EXPECT_EQ(file.tensors.at("linear.weight").values, std::vector<float>({1, 2, 3, 4, 5, 6}));
    EXPECT_EQ(file.tensors.at("linear.bias").shape, std::vector<int64_t>({2}));
    EXPECT_EQ(file.tensors.at("linear.bias").values, std::vector<float>({-1, 0.5f}));
    ASSERT_EQ(file.params.size(), 2u);
    EXPECT_EQ(file.params.at("spa_enc_type"), ParameterValue(std::string("Space2Vec-grid")));
    EXPECT_EQ(file.params.at("min_radius"), ParameterValue(0.005));
}

// ---- well-formed files ----

// The optimizer's storage is not even in the file: nothing asks for it.
TEST(Checkpoint, ReadsStateDictAndParams) {
    expect_sample(read(sample_file()));
    ZipEnd plain;
    plain.zip64 = false;
    expect_sample(read(zip_of(members_of(sample_value(), {six_floats, bytes_of<float>({-1, 0.5f})}), plain)));
}

TEST(Checkpoint, IsToldByItsFirstBytes) {
    const std::string file = sample_file();
    EXPECT_TRUE(csp::is_pytorch_checkpoint(file.data(), file.size()));
    EXPECT_FALSE(csp::is_pytorch_checkpoint(file.data(), 3));
    EXPECT_FALSE(csp::is_pytorch_checkpoint("\x80\x02\x8a\x0a", 4));
    for (const std::string &other : {std::string(), std::string("PK"), std::string("\x80\x02\x8a\x0al\xfc\x9c", 7)}) {
        try {
            read(other);
            ADD_FAILURE() << "no error was thrown";
        } catch (const csp::Error &error) {
            EXPECT_EQ(error.kind(), ErrorKind::not_supported);
            EXPECT_NE(error.hint().find("PyTorch 1.6"), std::string::npos);
        }
    }
}

TEST(Checkpoint, MayBeAStateDictAlone) {
    const PyTorchCheckpoint file = read(only(floats(0, {6}, {1})), {six_floats});
    EXPECT_EQ(file.tensors.at("w").values.size(), 6u);
    EXPECT_TRUE(file.params.empty());
    EXPECT_TRUE(read(pickle::ordered_dict({}), {}).tensors.empty());
    // A tensor may be called as the parts of a larger checkpoint are.
    EXPECT_EQ(read(pickle::dict({pickle::text("params"), floats(0, {6}, {1})}), {six_floats}).tensors.size(), 1u);
}

TEST(Checkpoint, TensorsLieInAnyWayInTheirStorage) {
    const auto values = [](const std::string &tensor) { return read_only(tensor, {six_floats}).values; };
    EXPECT_EQ(values(floats(0, {3, 2}, {1, 3})), std::vector<float>({1, 4, 2, 5, 3, 6}));
    EXPECT_EQ(values(floats(1, {2, 2}, {3, 1})), std::vector<float>({2, 3, 5, 6}));
    EXPECT_EQ(values(floats(1, {3}, {2})), std::vector<float>({2, 4, 6}));
    EXPECT_EQ(values(floats(5, {}, {})), std::vector<float>({6}));
    EXPECT_EQ(values(floats(0, {1, 6}, {int64_t{1} << 62, 1})), std::vector<float>({1, 2, 3, 4, 5, 6}));
    EXPECT_EQ(values(floats(2, {1, 2, 1, 2}, {0, 2, 9, 1})), std::vector<float>({3, 4, 5, 6}));
    EXPECT_EQ(values(floats(0, {2, 3}, {0, 1})), std::vector<float>({1, 2, 3, 1, 2, 3}));
    EXPECT_EQ(values(floats(6, {0, int64_t{1} << 62}, {1, 1})), std::vector<float>());
    EXPECT_EQ(read_only(floats(0, {2, 3}, {3, 1}), {six_floats}).shape, std::vector<int64_t>({2, 3}));
}

TEST(Checkpoint, TensorsShareStorages) {
    const PyTorchCheckpoint file = read(pickle::dict({pickle::text("a"), floats(0, {2}, {1}), pickle::text("b"),
                                                      floats(2, {4}, {1}), pickle::text("c"), floats(0, {6}, {1})}),
                                        {six_floats});
    EXPECT_EQ(file.tensors.at("a").values, std::vector<float>({1, 2}));
    EXPECT_EQ(file.tensors.at("b").values, std::vector<float>({3, 4, 5, 6}));
    EXPECT_EQ(file.tensors.at("c").values, std::vector<float>({1, 2, 3, 4, 5, 6}));
}

TEST(Checkpoint, ParametersAreTensors) {
    const std::string parameter = pickle::call(pickle::name("torch._utils", "_rebuild_parameter"),
                                               {floats(0, {6}, {1}), pickle::truth(true), pickle::ordered_dict({})});
    EXPECT_EQ(read_only(parameter, {six_floats}).values, std::vector<float>({1, 2, 3, 4, 5, 6}));
}

template <typename Number>
std::vector<float> values_of(const std::string &type, const std::vector<Number> &numbers) {
    const int64_t n = static_cast<int64_t>(numbers.size());
    return read_only(pickle::tensor(pickle::storage(type, "0", n), 0, {n}, {1}), {bytes_of(numbers)}).values;
}

TEST(Checkpoint, EveryTypeBecomesFloat) {
    const float infinity = std::numeric_limits<float>::infinity();
    EXPECT_EQ(values_of<float>("FloatStorage", {1.5f, -1e-45f}), std::vector<float>({1.5f, -1e-45f}));
    EXPECT_EQ(values_of<double>("DoubleStorage", {0.1, 1e300}), std::vector<float>({0.1f, infinity}));
    EXPECT_EQ(values_of<int64_t>("LongStorage", {-3, int64_t{1} << 40}), std::vector<float>({-3, 0x1p40f}));
    EXPECT_EQ(values_of<int32_t>("IntStorage", {-4, 5}), std::vector<float>({-4, 5}));
    EXPECT_EQ(values_of<int16_t>("ShortStorage", {-300, 5}), std::vector<float>({-300, 5}));
    EXPECT_EQ(values_of<int8_t>("CharStorage", {-7, 127}), std::vector<float>({-7, 127}));
    EXPECT_EQ(values_of<uint8_t>("ByteStorage", {0, 255}), std::vector<float>({0, 255}));
    EXPECT_EQ(values_of<uint8_t>("BoolStorage", {0, 1}), std::vector<float>({0, 1}));
    EXPECT_EQ(values_of<uint16_t>("BFloat16Storage", {0x3f80, 0xc040, 0x7f80}),
              std::vector<float>({1, -3, infinity}));
    // One, the largest, a third, the least normal and subnormal ones, minus two, infinities.
    EXPECT_EQ(values_of<uint16_t>("HalfStorage", {0x3c00, 0x7bff, 0x3555, 0x0400, 0x0001, 0xc000, 0x7c00, 0xfc00}),
              std::vector<float>({1, 65504, 0x1.554p-2f, 0x1p-14f, 0x1p-24f, -2, infinity, -infinity}));
    EXPECT_TRUE(std::isnan(values_of<uint16_t>("HalfStorage", {0x7e00})[0]));
    EXPECT_TRUE(std::signbit(values_of<uint16_t>("HalfStorage", {0x8000})[0]));
}

TEST(Checkpoint, ParamsArePlainValues) {
    EXPECT_EQ(read_param(pickle::none()), ParameterValue());
    EXPECT_EQ(read_param(pickle::truth(true)), ParameterValue(true));
    EXPECT_EQ(read_param(pickle::truth(false)), ParameterValue(false));
    EXPECT_EQ(read_param(pickle::integer(-162)), ParameterValue(int64_t{-162}));
    EXPECT_EQ(read_param("K\xff"), ParameterValue(int64_t{255}));
    EXPECT_EQ(read_param("M\xff\xff"), ParameterValue(int64_t{65535}));
    EXPECT_EQ(read_param(pickle::integer(std::numeric_limits<int64_t>::min())),
              ParameterValue(std::numeric_limits<int64_t>::min()));
    EXPECT_EQ(read_param(std::string("\x8a\0", 2)), ParameterValue(int64_t{0}));
    EXPECT_EQ(read_param("\x8a\x01\xff"), ParameterValue(int64_t{-1}));
    EXPECT_EQ(read_param("\x8a\x09" + std::string(8, '\0') + "\x01"), ParameterValue(0x1p64));
    EXPECT_EQ(read_param("\x8a\x09" + std::string(8, '\0') + "\xff"), ParameterValue(-0x1p64));
    EXPECT_EQ(read_param(pickle::real(-0.1)), ParameterValue(-0.1));
    EXPECT_EQ(read_param(pickle::text("h\xc3\xa9llo \xf0\x9f\x8c\x8d")),
              ParameterValue(std::string("h\xc3\xa9llo \xf0\x9f\x8c\x8d")));
    EXPECT_EQ(read_param(pickle::list({pickle::integer(-162), pickle::real(0.5)})),
              ParameterValue(std::vector<double>({-162, 0.5})));
    EXPECT_EQ(read_param(pickle::integers({1, 2})), ParameterValue(std::vector<double>({1, 2})));
    EXPECT_EQ(read_param(pickle::list({})), ParameterValue(std::vector<double>()));
    EXPECT_EQ(read_param("]" + pickle::integer(5) + "a"), ParameterValue(std::vector<double>({5})));
}

TEST(Checkpoint, ParamsOfTorchAndNumpyArePlainValues) {
    EXPECT_EQ(read_param(pickle::call(pickle::name("torch", "device"), {pickle::text("cpu")})),
              ParameterValue(std::string("cpu")));
    EXPECT_EQ(read_param(pickle::call(pickle::name("torch", "device"), {pickle::text("cuda"), pickle::integer(1)})),
              ParameterValue(std::string("cuda:1")));
    EXPECT_EQ(read_param(pickle::call(pickle::name("torch", "Size"), {pickle::integers({2, 3})})),
              ParameterValue(std::vector<double>({2, 3})));
    const std::string one = bytes_of<double>({1});
    EXPECT_EQ(read_param(numpy_scalar("f8", short_bytes(one))), ParameterValue(1.0));
    EXPECT_EQ(read_param(numpy_scalar("f8", short_bytes(one), "<", "numpy._core.multiarray")), ParameterValue(1.0));
    EXPECT_EQ(read_param(numpy_scalar("f8", latin1(std::string(6, '\0') + "\xc3\xb0?"))), ParameterValue(1.0));
    EXPECT_EQ(read_param(numpy_scalar("f4", "B" + little(4, 4) + bytes_of<float>({0.5f}))), ParameterValue(0.5));
    EXPECT_EQ(read_param(numpy_scalar("f2", short_bytes(std::string("\0\x3c", 2)))), ParameterValue(1.0));
    EXPECT_EQ(read_param(numpy_scalar("i8", short_bytes(bytes_of<int64_t>({-9})))), ParameterValue(int64_t{-9}));
    EXPECT_EQ(read_param(numpy_scalar("i4", short_bytes(bytes_of<int32_t>({-9})))), ParameterValue(int64_t{-9}));
    EXPECT_EQ(read_param(numpy_scalar("i2", short_bytes(bytes_of<int16_t>({300})))), ParameterValue(int64_t{300}));
    EXPECT_EQ(read_param(numpy_scalar("i1", short_bytes("\x7f"), "|")), ParameterValue(int64_t{127}));
    EXPECT_EQ(read_param(numpy_scalar("u8", short_bytes(std::string(8, '\xff')))), ParameterValue(0x1p64));
    EXPECT_EQ(read_param(numpy_scalar("u4", short_bytes(std::string(4, '\xff')))), ParameterValue(int64_t{4294967295}));
    EXPECT_EQ(read_param(numpy_scalar("u1", short_bytes("\xff"), "|")), ParameterValue(int64_t{255}));
    EXPECT_EQ(read_param(numpy_scalar("b1", short_bytes("\x01"), "|")), ParameterValue(true));
    EXPECT_EQ(read_param(pickle::list({numpy_scalar("i1", short_bytes("\x05"), "|")})),
              ParameterValue(std::vector<double>({5})));
}

TEST(Checkpoint, OtherParamsAreLeftOut) {
    EXPECT_TRUE(leaves_out(pickle::dict({pickle::text("a"), pickle::dict({pickle::integer(1), pickle::none()})})));
    EXPECT_TRUE(leaves_out(pickle::list({pickle::text("a")})));
    EXPECT_TRUE(leaves_out(pickle::list({pickle::truth(true)})));
    EXPECT_TRUE(leaves_out(pickle::list({pickle::list({})})));
    EXPECT_TRUE(leaves_out(short_bytes("ab")));
    EXPECT_TRUE(leaves_out(floats(0, {6}, {1})));
    EXPECT_TRUE(leaves_out(pickle::name("torch", "FloatStorage")));
    EXPECT_TRUE(leaves_out(pickle::storage("FloatStorage", "0", 6)));
    EXPECT_TRUE(leaves_out(pickle::text(std::string("a\0b", 3))));
    EXPECT_TRUE(leaves_out(latin1("ab")));
    EXPECT_TRUE(leaves_out(numpy_scalar("f8", short_bytes(bytes_of<double>({1})), ">")));
    EXPECT_TRUE(leaves_out(numpy_scalar("U1", short_bytes("abcd"))));
    EXPECT_TRUE(leaves_out(numpy_scalar("f8", short_bytes("abcd"))));
    EXPECT_TRUE(leaves_out(numpy_scalar("f8", latin1("\xc4\x80"))));
    EXPECT_TRUE(leaves_out(numpy_scalar("f8", pickle::none())));
    EXPECT_TRUE(leaves_out(pickle::call(pickle::name("numpy.core.multiarray", "scalar"), {})));
    EXPECT_TRUE(leaves_out(pickle::call(pickle::name("numpy.core.multiarray", "scalar"),
                                        {pickle::text("f8"), short_bytes("abcdefgh")})));
    EXPECT_TRUE(leaves_out(pickle::call(pickle::name("torch", "device"), {})));
    EXPECT_TRUE(leaves_out(pickle::call(pickle::name("torch", "Size"), {pickle::list({})})));
    EXPECT_TRUE(read(pickle::dict({pickle::text("state_dict"), pickle::dict({}), pickle::text("params"),
                                   pickle::list({})}),
                     {})
                    .params.empty());
}

// What later protocols than torch's default write otherwise.
TEST(Checkpoint, ReadsProtocolFour) {
    const auto brief = [](const std::string &text) { return "\x8c" + little(text.size(), 1) + text + "\x94"; };
    const std::string body = "}\x94(" + brief("state_dict") + brief("collections") + brief("OrderedDict") +
                             "\x93\x94)R\x94" + brief("params") + "}\x94(\x8d" + little(3, 8) + "abc" + pickle::get(2) +
                             "uu.";
    const std::string value = "\x80\x04\x95" + little(body.size(), 8) + body;
    const PyTorchCheckpoint file = read(zip_of({{"a/data.pkl", value}}));
    EXPECT_EQ(file.params.at("abc"), ParameterValue(std::string("collections")));
}

TEST(Checkpoint, ByteOrderIsChecked) {
    auto members = members_of(only(floats(0, {6}, {1})), {six_floats});
    members.push_back({"archive/byteorder", "little"});
    EXPECT_NO_THROW(read(zip_of(members)));
    members.back().bytes = "big";
    expect_error(ErrorKind::not_supported, [&] { read(zip_of(members)); });
}

// ---- damaged files ----

TEST(Checkpoint, EveryTruncationIsRejected) {
    const std::string bytes = sample_file();
    for (std::size_t size = 4; size < bytes.size(); ++size)
        expect_error(ErrorKind::data_corrupted, [&] { read(bytes.substr(0, size)); }, std::to_string(size));
    expect_error(ErrorKind::data_corrupted, [&] { read(bytes + '\0'); }, "one byte more");
}

// A flipped byte is found, or is one that says nothing (a time, a padding).
TEST(Checkpoint, FlippedBytesChangeNothing) {
    const std::string bytes = sample_file();
    for (std::size_t i = 0; i < bytes.size(); ++i)
        for (int flip : {0x01, 0x80, 0xff}) {
            std::string flipped = bytes;
            flipped[i] = static_cast<char>(flipped[i] ^ flip);
            try {
                expect_sample(read(flipped));
            } catch (const csp::Error &error) {
                EXPECT_NE(error.kind(), ErrorKind::internal) << i;
            }
        }
}

// The same where no checksum helps.
TEST(Checkpoint, DamagedPicklesNeverCrash) {
    const std::string value = pickle::file(sample_value());
    const auto attempt = [](const std::string &pickle) {
        try {
            read(zip_of({{"a/data.pkl", pickle}, {"a/data/0", six_floats}, {"a/data/1", std::string(8, '\0')}}));
        } catch (const csp::Error &error) {
            EXPECT_NE(error.kind(), ErrorKind::internal) << error.message();
        }
    };
    for (std::size_t i = 0; i < value.size(); ++i) {
        expect_error(ErrorKind::data_corrupted, [&] { read(zip_of({{"a/data.pkl", value.substr(0, i)}})); });
        for (int byte = 0; byte < 256; byte += i < 200 ? 1 : 15) {
            std::string damaged = value;
            damaged[i] = static_cast<char>(byte);
            attempt(damaged);
        }
    }
}

// ---- hostile archives ----

std::vector<ZipMember> small_members() {
    return members_of(only(floats(0, {6}, {1})), {six_floats});
}

TEST(Checkpoint, LyingMembersAreRejected) {
    const auto rejected = [](const char *context, void (*lie)(ZipMember &),
                             ErrorKind kind = ErrorKind::data_corrupted) {
        auto members = small_members();
        lie(members[1]);
        expect_error(kind, [&] { read(zip_of(members)); }, context);
    };
    EXPECT_NO_THROW(read(zip_of(small_members())));
    rejected("compressed", [](ZipMember &m) { m.method = 8; }, ErrorKind::not_supported);
    rejected("encrypted", [](ZipMember &m) { m.flags |= 1; }, ErrorKind::not_supported);
    rejected("compressed in its local header", [](ZipMember &m) { m.local_method = 8; });
    rejected("another name in its local header", [](ZipMember &m) { m.local_name = "archive/data/1"; });
    rejected("checksum", [](ZipMember &m) { m.checksum = 1; });
    rejected("size", [](ZipMember &m) { m.size = 1000000; });
    rejected("size of 4 GB", [](ZipMember &m) { m.size = 0xfffffffe; });
    rejected("two sizes", [](ZipMember &m) { m.stored_size = 23; });
    rejected("smaller", [](ZipMember &m) { m.size = 20; });
    rejected("offset", [](ZipMember &m) { m.offset = 1; });
    rejected("offset beyond the end", [](ZipMember &m) { m.offset = 0xfffffff0; });
    rejected("name too long", [](ZipMember &m) { m.name = std::string(5000, 'a'); });
    rejected("name twice", [](ZipMember &m) { m.name = "archive/data.pkl"; });
    rejected("over another", [](ZipMember &m) { m.offset = 0; m.name = "archive/data.pkl2"; });
}

TEST(Checkpoint, OverlappingMembersAreRejected) {
    auto members = small_members();
    // The first member's bytes hold a whole member, which the directory names as well.
    const std::string inner = "PK\3\4" + little(0, 22) + little(14, 2) + little(0, 2) + "archive/data/0" + six_floats;
    members.insert(members.begin(), {"archive/other", inner});
    members[2].offset = 30 + 13 + 7;
    expect_error(ErrorKind::data_corrupted, [&] { read(zip_of(members)); }, "overlap");
}

TEST(Checkpoint, Zip64SizesAreRead) {
    auto members = small_members();
    members[1].size = 0xffffffff;
    members[1].stored_size = 0xffffffff;
    const std::string other_field = "XY" + little(2, 2) + "ab";
    members[1].extra = other_field + little(1, 2) + little(16, 2) + little(24, 8) + little(24, 8);
    EXPECT_EQ(read(zip_of(members)).tensors.at("w").values.size(), 6u);
    const uint64_t huge = ~uint64_t{0};
    for (const std::string &lie :
         {std::string(), little(1, 2) + little(8, 2) + little(24, 8),
          little(1, 2) + little(17, 2) + std::string(16, '\0'),
          little(1, 2) + little(16, 2) + little(huge, 8) + little(huge, 8),
          little(1, 2) + little(16, 2) + little(huge - 40, 8) + little(huge - 40, 8),
          little(1, 2) + little(16, 2) + little(24, 8) + little(25, 8), other_field + "XY" + little(9, 2)}) {
        members[1].extra = lie;
        expect_error(ErrorKind::data_corrupted, [&] { read(zip_of(members)); }, "zip64 field");
    }
    members[1].extra.clear();
    members[1].size = members[1].stored_size = 24;
    members[1].offset = 0xffffffff;
    members[1].extra = little(1, 2) + little(8, 2) + little(huge - 8, 8);
    expect_error(ErrorKind::data_corrupted, [&] { read(zip_of(members)); }, "zip64 offset");
}

TEST(Checkpoint, LyingEndRecordsAreRejected) {
    const auto rejected = [](const char *context, void (*lie)(ZipEnd &)) {
        ZipEnd end;
        lie(end);
        expect_error(ErrorKind::data_corrupted, [&] { read(zip_of(small_members(), end)); }, context);
    };
    rejected("comment", [](ZipEnd &e) { e.comment = "comment"; });
    rejected("gap", [](ZipEnd &e) { e.between = "gap"; });
    rejected("count", [](ZipEnd &e) { e.count = 2; });
    rejected("count of zip64", [](ZipEnd &e) { e.zip64_count = ~uint64_t{0}; });
    rejected("both counts too large", [](ZipEnd &e) { e.count = 0xffff; e.zip64_count = ~uint64_t{0}; });
    rejected("both counts too small", [](ZipEnd &e) { e.count = e.zip64_count = 2; });
    rejected("size", [](ZipEnd &e) { e.size = 10; });
    rejected("size of zip64", [](ZipEnd &e) { e.size = 0xffffffff; e.zip64_size = ~uint64_t{0}; });
    rejected("offset", [](ZipEnd &e) { e.offset = 10; });
    rejected("offset of zip64", [](ZipEnd &e) { e.offset = 0xffffffff; e.zip64_offset = ~uint64_t{0} - 5; });
    rejected("locator", [](ZipEnd &e) { e.locator = 0; });
    rejected("locator beyond the end", [](ZipEnd &e) { e.locator = ~uint64_t{0} - 20; });
    rejected("no zip64 record where the fields ask for one", [](ZipEnd &e) { e.zip64 = false; e.offset = 0xffffffff; });
}

TEST(Checkpoint, ArchivesOfOthersAreRejected) {
    const std::string value = pickle::file(only(floats(0, {6}, {1})));
    for (const std::vector<ZipMember> &members :
         {std::vector<ZipMember>{{"readme.txt", "text"}}, {{"data.pkl", value}}, {{"a/b/data.pkl", value}},
          {{"a/data.pkl", value}, {"b/data.pkl", value}}})
        expect_error(ErrorKind::data_corrupted, [&] { read(zip_of(members)); }, members[0].name);
    expect_error(ErrorKind::not_supported, [&] { read(zip_of({})); }, "an empty archive");
}

// ---- hostile pickles ----

TEST(Checkpoint, OtherNamesAreRefused) {
    const std::pair<const char *, const char *> names[] = {
        {"os", "system"},         {"builtins", "eval"},      {"__builtin__", "eval"}, {"posix", "system"},
        {"torch", "load"},        {"torch.hub", "load"},     {"numpy", "load"},       {"argparse", "Namespace"},
        {"collections", "deque"}, {"torch", "UntypedStorage"}};
    for (const auto &[module, name] : names) {
        const std::string known = std::string(module) + "." + name;
        for (const std::string &reference :
             {pickle::name(module, name), pickle::text(module) + pickle::text(name) + "\x93"}) {
            try {
                read(pickle::call(reference, {pickle::text("echo")}), {});
                ADD_FAILURE() << known;
            } catch (const csp::Error &error) {
                EXPECT_EQ(error.kind(), ErrorKind::data_corrupted);
                EXPECT_EQ(error.message(), "checkpoint refers to \"" + known + "\", which is not part of a model");
                EXPECT_FALSE(error.hint().empty());
            }
        }
    }
}

// What a file names stands in a message: it must be a line of text.
TEST(Checkpoint, NamesInMessagesPrint) {
    for (const std::string &module : {std::string("\xff\x1b[2J\r"), std::string(100000, 'x')}) {
        try {
            read(pickle::name(module, "f"), {});
            ADD_FAILURE();
        } catch (const csp::Error &error) {
            EXPECT_LT(error.message().size(), 300u);
            for (char c : error.message())
                EXPECT_TRUE(c >= ' ' && c <= '~');
        }
    }
}

TEST(Checkpoint, MalformedPicklesAreRejected) {
    using namespace pickle;
    const std::string value = file(only(floats(0, {6}, {1})));
    const std::vector<std::string> whole = {
        "", ".", "\x80", "\x80\x02", "\x80\x02.", "\x80\x01}.", "\x80\x06}.", "}.", value + ".", value + "N",
        value.substr(0, value.size() - 1), "\x80\x02(.", "\x80\x02}(.", "\x80\x02NN.", "\x80\x02}\x80\x02."};
    for (const std::string &bytes : whole)
        expect_error(ErrorKind::data_corrupted, [&] { read(zip_of({{"a/data.pkl", bytes}})); }, bytes);
    const std::string pieces[] = {
        // not dictionaries of tensors
        none(), list({}), text("a"), only(none()), dict({integer(1), floats(0, {6}, {1})}),
        dict({text("state_dict"), none()}), dict({text("state_dict"), list({})}),
        dict({text("state_dict"), dict({text("a"), none()})}), dict({none(), none()}),
        dict({text("w"), floats(0, {6}, {1}), text("w"), floats(0, {6}, {1})}),
        dict({text("state_dict"), dict({}), text("state_dict"), dict({})}),
        dict({text("state_dict"), dict({}), integer(1), none()}),
        dict({text(std::string("a\0", 2)), floats(0, {6}, {1})}),
        with_params(dict({integer(1), none()})), with_params(dict({text("a"), none(), text("a"), none()})),
        // values that are not there
        "a", "e", "t", "\x85", "s", "u", "R", "b", "Q", put(0), get(0), "j" + little(~0u, 4), "\x94", "(\x85", "N(a",
        "](a", "}N(u", "}(Nu", "}(NNNu", "](Ns", "(NR", "\x93", "N(\x93", "(" + put(0),
        // changes of what is none
        "NNa", "}Na", "](NNu", "]NNs", ")Na", "NNb", "]}b", "}Nb", "})b", ")}b",
        // calls of what is none
        "N)R", text("os.system") + ")R", name("torch", "FloatStorage") + ")R", name("torch", "device") + "NR",
        name("torch", "device") + "]R", name("collections", "OrderedDict") + "N\x85R",
        name("collections", "OrderedDict") + "](" + tuple({text("a"), none()}) + "e\x85R",
        ")" + name("torch", "device") + "R",
        // instructions of others
        "I1\n", "L1L\n", "F1.0\n", "S'a'\n", "Va\n", "l", "d", "0", "1", "2", "P1\n", "p0\n", "g0\n", "i", "o", "\x81",
        "\x82\x01", "\x83\x01", "\x84\x01", "\x8b", "\x8e", "\x8f", "\x90", "\x91", "\x92", "\x96", "\x97", "\x98",
        std::string(1, '\0'), "\xff",
        // lengths beyond the end
        "X" + little(~0u, 4), "X" + little(5, 4) + "ab", "\x8d" + little(~uint64_t{0}, 8),
        "\x8d" + little(1ull << 62, 8),
        "\x8c\xff", "B" + little(~0u, 4), "C\xff", "\x8a\xff", "\x8a\x09", "G\x01", "J\x01", "K", "M\x01", "q", "r\x01",
        "h", "j", "cos", "cos\nsystem", "\x95" + little(~uint64_t{0}, 8),
        // texts that are not UTF-8
        text("\xff"), text("\xc3"), text("\xc0\x80"), text("\xe0\x80\x80"), text("\xed\xa0\x80"),
        text("\xf4\x90\x80\x80"), text("\xf8\x88\x80\x80\x80"), text("\xe2\x82"), text("\x80"), text("\xc3("), "\x93"};
    for (const std::string &piece : pieces)
        expect_rejected(piece, {six_floats}, piece);
}

TEST(Checkpoint, DeepNestingIsRejected) {
    const int levels = 500000;
    std::string lists(levels, ']');
    expect_rejected(lists + std::string(levels - 1, 'a'), {}, "lists");
    std::string tuples = ")";
    for (int i = 0; i < levels; ++i)
        tuples += "\x85";
    expect_rejected(tuples, {}, "tuples");
    expect_rejected("N" + std::string(levels, 'Q'), {}, "persistent ids");
    std::string dicts;
    std::string calls;
    for (int i = 0; i < 1000; ++i) {
        dicts += "}N";
        calls += pickle::name("torch", "device");
    }
    expect_rejected(dicts + "N" + std::string(1000, 's'), {}, "dictionaries");
    calls += ")";
    for (int i = 0; i < 1000; ++i)
        calls += "R\x85";
    expect_rejected(calls, {}, "calls");
    std::string states = ")";
    for (int i = 0; i < 1000; ++i)
        states = pickle::name("torch", "device") + ")R" + states + "b";
    expect_rejected(states, {}, "states");
    std::string marks(levels, '(');
    expect_rejected(marks, {}, "marks");
}

TEST(Checkpoint, NothingContainsItself) {
    using namespace pickle;
    const std::string pieces[] = {
        "]" + put(0) + get(0) + "a", "]" + put(0) + "(" + get(0) + "e", "}" + put(0) + text("a") + get(0) + "s",
        "]" + put(0) + "(" + get(0) + "ta", "]" + put(0) + "]" + put(1) + get(0) + "a" + get(1) + "a",
        "]" + put(0) + "]" + get(0) + "a" + put(1) + get(0) + get(1) + "a",
        "]" + put(0) + "\x85" + put(1) + get(0) + get(1) + "a", "}" + put(0) + get(0) + "b",
        name("torch", "device") + ")R" + put(0) + get(0) + "b"};
    for (const std::string &piece : pieces)
        expect_rejected(piece, {}, piece);
}

// A list of lists of lists ... of the same one: small to say, and small to keep.
TEST(Checkpoint, SharedValuesStaySmall) {
    std::string value = "](" + std::string(1000, 'N') + "e";
    for (int i = 0; i < 50; ++i)
        value += pickle::put(i) + pickle::get(i) + pickle::get(i) + "\x87";
    EXPECT_TRUE(leaves_out(value));
}

TEST(Checkpoint, RepeatedParamsAreRejected) {
    std::string params = "}(" + pickle::text("a") + pickle::text(std::string(100000, 'x')) + pickle::put(0);
    for (int i = 0; i < 1000; ++i)
        params += pickle::text(std::to_string(i)) + pickle::get(0);
    expect_rejected(with_params(params + "u"), {}, "texts");
    params = "}(" + pickle::text("a") + "](" + std::string(100000, '\x88') + "e" + pickle::put(0);
    for (int i = 0; i < 1000; ++i)
        params += pickle::text(std::to_string(i)) + pickle::get(0);
    expect_rejected(with_params(params + "u"), {}, "lists");
}

TEST(Checkpoint, SizesAreLimited) {
    expect_rejected(std::string(1100000, 'N'), {}, "values");
    expect_rejected("N" + std::string(1100000, '\x94'), {}, "memo");
    expect_rejected(pickle::text(std::string(9 << 20, 'a')), {}, "pickle");
}

// ---- hostile tensors ----

TEST(Checkpoint, TensorsBeyondTheirStorageAreRejected) {
    const int64_t huge = std::numeric_limits<int64_t>::max();
    const std::string tensors[] = {
        floats(0, {7}, {1}), floats(1, {6}, {1}), floats(6, {1}, {1}), floats(7, {0}, {1}), floats(6, {}, {}),
        floats(0, {2, 3}, {4, 1}), floats(0, {2}, {6}), floats(0, {4}, {2}), floats(-1, {2}, {1}), floats(0, {-2}, {1}),
        floats(0, {-2, -3}, {3, 1}), floats(5, {2}, {-1}), floats(huge, {2}, {1}), floats(0, {huge}, {1}),
        floats(0, {2}, {huge}), floats(huge, {huge}, {huge}), floats(0, {3, 2}, {huge, huge}),
        floats(0, {huge, huge, 4}, {0, 0, 0}), floats(0, {int64_t{1} << 32, int64_t{1} << 32}, {0, 0}),
        // expansions
        floats(0, {7}, {0}), floats(0, {1000000000}, {0}), floats(0, {2, 2, 2}, {0, 0, 1}), floats(0, {4, 3}, {1, 1}),
        // ranks
        floats(0, {6}, {}), floats(0, {}, {1}), floats(0, {2, 3}, {1}),
        floats(0, std::vector<int64_t>(33, 1), std::vector<int64_t>(33, 1))};
    for (const std::string &tensor : tensors)
        expect_rejected(only(tensor), {six_floats}, tensor);
}

TEST(Checkpoint, StoragesThatAreNotThereAreRejected) {
    using namespace pickle;
    const auto over = [](const std::string &storage) { return only(tensor(storage, 0, {6}, {1})); };
    const std::string storages[] = {
        storage("FloatStorage", "1", 6), storage("FloatStorage", "", 6), storage("FloatStorage", "../version", 6),
        storage("FloatStorage", "0", 5), storage("FloatStorage", "0", 7), storage("FloatStorage", "0", -6),
        storage("FloatStorage", "0", std::numeric_limits<int64_t>::max()), storage("DoubleStorage", "0", 6),
        storage("HalfStorage", "0", 6), none(), text("0"), none() + "Q", ")Q",
        pickle::tuple({text("storage"), name("torch", "device"), text("0"), text("cpu"), integer(6)}) + "Q",
        pickle::tuple({text("storage"), text("FloatStorage"), text("0"), text("cpu"), integer(6)}) + "Q",
        pickle::tuple({text("module"), name("torch", "FloatStorage"), text("0"), text("cpu"), integer(6)}) + "Q",
        pickle::tuple({text("storage"), name("torch", "FloatStorage"), integer(0), text("cpu"), integer(6)}) + "Q",
        pickle::tuple({text("storage"), name("torch", "FloatStorage"), text("0"), text("cpu"), text("6")}) + "Q",
        pickle::tuple({text("storage"), name("torch", "FloatStorage"), text("0"), text("cpu")}) + "Q"};
    EXPECT_NO_THROW(read(over(storage("FloatStorage", "0", 6, "")), {six_floats}));
    for (const std::string &storage : storages)
        expect_rejected(over(storage), {six_floats}, storage);
    expect_rejected(only(tensor(storage("FloatStorage", "0", 5), 0, {5}, {1})), {std::string(22, 'a')},
                    "half an element");
    expect_rejected(dict({text("a"), floats(0, {6}, {1}), text("b"),
                          tensor(storage("IntStorage", "0", 6), 0, {6}, {1})}),
                    {six_floats}, "two types");
}

TEST(Checkpoint, MalformedTensorsAreRejected) {
    using namespace pickle;
    const std::string rebuild = name("torch._utils", "_rebuild_tensor_v2");
    const std::string storage = pickle::storage("FloatStorage", "0", 6);
    const std::string tensors[] = {
        rebuild, call(rebuild, {}), call(rebuild, {storage, integer(0), integers({6})}),
        call(rebuild, {storage, text("0"), integers({6}), integers({1})}),
        call(rebuild, {storage, integer(0), list({integer(6)}), integers({1})}),
        call(rebuild, {storage, integer(0), tuple({real(6)}), integers({1})}),
        call(rebuild, {storage, integer(0), integers({6}), none()}),
        call(rebuild, {storage, integer(0), integers({6}), integers({1}), none(), none(), none(), none()}),
        call(name("torch._utils", "_rebuild_parameter"), {}),
        call(name("torch._utils", "_rebuild_parameter"), {none(), none(), none()}), storage};
    EXPECT_NO_THROW(read(only(call(rebuild, {storage, integer(0), integers({6}), integers({1})})), {six_floats}));
    for (const std::string &tensor : tensors)
        expect_rejected(only(tensor), {six_floats}, tensor);
}

// A file must not become many times its size.
TEST(Checkpoint, StoragesAreUsedAFewTimesOnly) {
    const auto named = [](int names) {
        std::string value = "}(";
        for (int i = 0; i < names; ++i)
            value += pickle::text(std::to_string(i)) + (i == 0 ? floats(0, {6}, {1}) + pickle::put(0) : pickle::get(0));
        return value + "u";
    };
    EXPECT_EQ(read(named(4), {six_floats}).tensors.size(), 4u);
    expect_rejected(named(5), {six_floats}, "five names");
}

// ---- released files ----

std::filesystem::path reference_directory() {
    if (const char *directory = std::getenv("CSP_REFERENCE"))
        return directory;
    return std::filesystem::path(CSP_TEST_DATA) / "../../../../shared/reference";
}

std::string read_bytes(const std::filesystem::path &path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// The extent of the features of an encoder with F = 64; 0: not known here.
int64_t feature_count(const std::string &encoder) {
    const std::map<std::string, int64_t> counts = {
        {"Space2Vec-grid", 256},      {"Space2Vec-theory", 384},     {"Sphere2Vec-sphereC", 192},
        {"Sphere2Vec-sphereC+", 384}, {"Sphere2Vec-sphereM", 320},   {"Sphere2Vec-sphereM+", 512},
        {"rff", 64},                  {"NeRF", 96},                  {"xyz", 3},
        {"wrap_ffn", 4},              {"rbf", 200},                  {"tile_ffn", 256}};
    const auto found = counts.find(encoder);
    return found == counts.end() ? 0 : found->second;
}

void expect_released(const PyTorchCheckpoint &file) {
    const std::string encoder = std::get<std::string>(file.params.at("spa_enc_type"));
    const int64_t hidden = std::get<int64_t>(file.params.at("hidden_dim"));
    const int64_t classes = std::get<int64_t>(file.params.at("num_classes"));
    EXPECT_EQ(file.params.at("frequency_num"), ParameterValue(int64_t{64}));
    EXPECT_GT(std::get<double>(file.params.at("min_radius")), 0);
    EXPECT_EQ(std::get<std::vector<double>>(file.params.at("map_range")).size(), 4u);
    std::map<std::string, std::vector<int64_t>> shapes = {
        {"spa_enc.ffn.layers.0.linear.weight", {hidden, feature_count(encoder)}},
        {"spa_enc.ffn.layers.0.linear.bias", {hidden}},
        {"spa_enc.ffn.layers.0.layernorm.weight", {hidden}},
        {"spa_enc.ffn.layers.0.layernorm.bias", {hidden}},
        {"spa_enc.ffn.layers.1.linear.weight", {256, hidden}},
        {"spa_enc.ffn.layers.1.linear.bias", {256}},
        {"class_emb.weight", {classes, 256}},
        {"user_emb.weight", {1, 256}}};
    if (encoder == "rff") {
        shapes["spa_enc.position_encoder.dirvec"] = {2, 64};
        shapes["spa_enc.position_encoder.shift"] = {64};
    } else if (encoder == "tile_ffn") {
        shapes["spa_enc.position_encoder.embedding.weight"] = {1, 256};
    }
    ASSERT_EQ(file.tensors.size(), shapes.size());
    for (const auto &[name, shape] : shapes) {
        ASSERT_EQ(file.tensors.count(name), 1u) << name;
        const csp::Tensor &tensor = file.tensors.at(name);
        EXPECT_EQ(tensor.shape, shape) << name;
        for (float value : tensor.values)
            ASSERT_TRUE(std::isfinite(value)) << name;
    }
}

TEST(Checkpoint, ReadsReleasedFiles) {
    const std::filesystem::path directory = reference_directory() / "checkpoints";
    if (!std::filesystem::is_directory(directory))
        GTEST_SKIP() << "no released checkpoints in " << directory << "; set CSP_REFERENCE";
    int files = 0;
    for (const auto &entry : std::filesystem::directory_iterator(directory)) {
        const std::string name = entry.path().filename().string();
        if (name.size() < 8 || name.substr(name.size() - 8) != ".pth.tar")
            continue;
        SCOPED_TRACE(name);
        const PyTorchCheckpoint file = read(read_bytes(entry.path()));
        const std::string encoder = std::get<std::string>(file.params.at("spa_enc_type"));
        EXPECT_NE(name.find("_" + encoder + "_"), std::string::npos);
        expect_released(file);
        ++files;
    }
    EXPECT_GT(files, 0);
}

}  // namespace

// Writing and reading of checkpoints.
#include "checkpoint.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>

#include "../encoder/error.h"
#include "checksum.h"

namespace csp {
namespace {

constexpr const char *format_name = "format", *checksum_name = "checksum";
constexpr const char *format = "csp_ext training checkpoint 1";

std::string to_hex(uint64_t bits) {
    char digits[17];
    const auto end = std::to_chars(digits, digits + sizeof digits, bits, 16).ptr;
    return std::string(digits, end);
}

template <class Integer>
std::optional<Integer> parse(const char *begin, const char *end, int base) {
    Integer value{};
    const auto [rest, status] = std::from_chars(begin, end, value, base);
    if (status != std::errc() || rest != end) return std::nullopt;
    return value;
}

// Of everything but itself: a safetensors file has no check of its contents.
std::string checksum_of(const ModelFile &file) {
    Checksum sum;
    for (const auto &[name, value] : file.metadata) {
        if (name == checksum_name) continue;
        sum.add(name);
        sum.add(value);
    }
    for (const auto &[name, tensor] : file.tensors) {
        sum.add(name);
        sum.add(tensor.values.data(), tensor.values.size() * sizeof(float));
    }
    return sum.text();
}

ModelFile read_file(const std::string &bytes) {
    try {
        return read_safetensors(bytes.data(), bytes.size());
    } catch (const Error &error) {
        CheckpointReader::throw_unusable(error.detail());
    }
}

}  // namespace

void CheckpointWriter::add_text(const std::string &name, const std::string &value) { file_.metadata[name] = value; }

void CheckpointWriter::add_integer(const std::string &name, int64_t value) { add_text(name, std::to_string(value)); }

void CheckpointWriter::add_number(const std::string &name, double value) {
    uint64_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    add_text(name, to_hex(bits));
}

void CheckpointWriter::add_stream(const std::string &name, const RandomStream &stream) {
    std::string words;
    for (uint64_t word : stream.state()) words += (words.empty() ? "" : " ") + to_hex(word);
    add_text(name, words);
}

void CheckpointWriter::add_tensor(const std::string &name, const at::Tensor &values) {
    const at::Tensor host = values.detach().to(at::kCPU, at::kFloat).contiguous();
    const float *begin = host.data_ptr<float>();
    file_.tensors[name] = {host.sizes().vec(), std::vector<float>(begin, begin + host.numel())};
}

std::string CheckpointWriter::bytes() const {
    ModelFile file = file_;
    file.metadata[format_name] = format;
    file.metadata[checksum_name] = checksum_of(file);
    return write_safetensors(file);
}

CheckpointReader::CheckpointReader(const std::string &bytes) : file_(read_file(bytes)) {
    const auto found = file_.metadata.find(format_name);
    if (found == file_.metadata.end() || found->second != format)
        throw_unusable("It is of another format than " + std::string(format) + ".");
    if (text(checksum_name) != checksum_of(file_)) throw_unusable("Its contents do not have the checksum that it names.");
}

void CheckpointReader::throw_unusable(const std::string &detail) {
    throw Error(ErrorKind::data_corrupted, "the checkpoint of the training run cannot be used", detail,
                "Train anew with csp_train.");
}

const std::string &CheckpointReader::text(const std::string &name) const {
    const auto found = file_.metadata.find(name);
    if (found == file_.metadata.end()) throw_unusable("It has no \"" + name + "\".");
    return found->second;
}

int64_t CheckpointReader::integer(const std::string &name, int64_t low, int64_t high) const {
    const std::string &digits = text(name);
    const auto value = parse<int64_t>(digits.data(), digits.data() + digits.size(), 10);
    if (!value || *value < low || *value > high)
        throw_unusable("Its \"" + name + "\" is " + digits + ", which this run does not have.");
    return *value;
}

double CheckpointReader::number(const std::string &name) const {
    const std::string &digits = text(name);
    const auto bits = parse<uint64_t>(digits.data(), digits.data() + digits.size(), 16);
    if (!bits) throw_unusable("Its \"" + name + "\" is not a number.");
    double value;
    std::memcpy(&value, &*bits, sizeof value);
    return value;
}

void CheckpointReader::read_stream(const std::string &name, RandomStream &stream) const {
    const std::string &words = text(name);
    RandomStream::State state{};
    const char *next = words.data(), *const end = next + words.size();
    for (uint64_t &word : state) {
        const char *const word_end = std::find(next, end, ' ');
        const auto bits = parse<uint64_t>(next, word_end, 16);
        if (!bits) throw_unusable("Its \"" + name + "\" is not the state of a random stream.");
        word = *bits;
        next = word_end == end ? end : word_end + 1;
    }
    stream.set_state(state);
}

void CheckpointReader::read_tensor(const std::string &name, at::Tensor values) const {
    const auto found = file_.tensors.find(name);
    if (found == file_.tensors.end()) throw_unusable("It has no tensor \"" + name + "\".");
    const Tensor &stored = found->second;
    if (stored.shape != values.sizes().vec()) throw_unusable("Its tensor \"" + name + "\" has another shape.");
    at::Tensor host = at::empty(stored.shape, at::kFloat);
    std::copy(stored.values.begin(), stored.values.end(), host.data_ptr<float>());
    const c10::NoGradGuard no_grad;
    values.detach().copy_(host);
}

}  // namespace csp

// Names, numbers and errors of tables of options.
#include "options_table.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

namespace csp {

std::string join(const std::vector<std::string> &words) {
    std::string text;
    for (const std::string &word : words) text += (text.empty() ? "" : ", ") + word;
    return text;
}

std::vector<std::string> split(const std::string &words) {
    std::vector<std::string> parts;
    for (std::size_t begin = 0; begin < words.size();) {
        const std::size_t end = std::min(words.find(", ", begin), words.size());
        parts.push_back(words.substr(begin, end - begin));
        begin = end + 2;
    }
    return parts;
}

std::string number_text(double value) {
    char text[32];
    const auto end = std::to_chars(text, text + sizeof text, value).ptr;
    return std::string(text, end);
}

namespace {

std::size_t edit_distance(const std::string &a, const std::string &b) {
    std::vector<std::size_t> row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        std::size_t diagonal = row[0];
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
        }
    }
    return row[b.size()];
}

template <class Number>
std::optional<Number> parse(const std::string &text) {
    Number value{};
    const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (status != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return value;
}

constexpr std::size_t longest_column_name = 63;  // PostgreSQL's NAMEDATALEN - 1

}  // namespace

void throw_unknown_option(const std::string &name, const std::vector<OptionNames> &known) {
    std::vector<std::string> names, near;
    for (const OptionNames &option : known) {
        names.push_back(option.name);
        for (const std::string &candidate : split(option.name + ", " + option.published)) {
            const bool part = name.size() >= 3 && candidate.find(name) != std::string::npos;
            const bool close = edit_distance(name, candidate) <= std::max<std::size_t>(2, candidate.size() / 4);
            if ((part || close) && (near.empty() || near.back() != option.name)) near.push_back(option.name);
        }
    }
    throw Error(ErrorKind::undefined_object, "option \"" + name + "\" does not exist",
                "Known options are: " + join(names) + ".", near.empty() ? "" : "Perhaps you meant " + join(near) + ".");
}

void throw_out_of_range(const OptionFace &option, const std::string &value) {
    throw Error(ErrorKind::invalid_parameter, "value " + value + " is out of range for option \"" + option.name + "\"",
                "The range is " + option.range + ".");
}

void throw_wrong_kind(const OptionFace &option, const std::string &value) {
    throw Error(ErrorKind::invalid_parameter, "invalid value for option \"" + option.name + "\": \"" + value + "\"",
                "The option takes a JSON " + (option.type == "text" ? "string" : option.type) + ": " + option.range + ".");
}

int64_t parse_integer(const OptionFace &option, const std::string &text) {
    if (const auto integer = parse<int64_t>(text)) return *integer;
    const auto number = parse<double>(text);
    if (!number || !std::isfinite(*number) || *number != std::floor(*number)) throw_wrong_kind(option, text);
    constexpr double exact = 9007199254740992.0;  // 2^53: beyond it a double skips integers
    if (std::abs(*number) > exact) throw_out_of_range(option, text);
    return static_cast<int64_t>(*number);
}

double parse_number(const OptionFace &option, const std::string &text) {
    const auto number = parse<double>(text);
    if (!number || !std::isfinite(*number)) throw_wrong_kind(option, text);
    return *number;
}

std::string column_name_range() { return "a column's name of up to " + std::to_string(longest_column_name) + " bytes"; }

std::string checked_column_name(const std::string &name, const char *option) {
    if (name.size() <= longest_column_name) return name;
    throw Error(ErrorKind::invalid_parameter,
                "invalid value for option \"" + std::string(option) + "\": \"" + name + "\"",
                "It has " + std::to_string(name.size()) + " bytes.", "Give " + column_name_range() + ".");
}

}  // namespace csp

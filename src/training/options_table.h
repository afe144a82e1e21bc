// Tables of options: names, ranges and descriptions of the fields of a struct, and how a field is set from a JSON scalar.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "../encoder/error.h"
#include "options.h"

namespace csp {

template <class... Cases>
struct Overload : Cases... {
    using Cases::operator()...;
};
template <class... Cases>
Overload(Cases...) -> Overload<Cases...>;

// "a, b, c" of a list of words, and back.
std::string join(const std::vector<std::string> &words);
std::vector<std::string> split(const std::string &words);

// The shortest decimal that reads back as the same double.
std::string number_text(double value);

// What an option is called and what it takes, for errors.
struct OptionFace {
    std::string name;
    std::string type;   // integer, number, boolean, text
    std::string range;
};

[[noreturn]] void throw_out_of_range(const OptionFace &option, const std::string &value);
[[noreturn]] void throw_wrong_kind(const OptionFace &option, const std::string &value);

// Error(undefined_object) with all names, of which each comes with those it is published under, and the nearest.
struct OptionNames {
    std::string name;
    std::string published;  // comma-separated
};
[[noreturn]] void throw_unknown_option(const std::string &name, const std::vector<OptionNames> &known);

// JSON allows 1e3 and 128.0 for an integer. Both throw as throw_wrong_kind and throw_out_of_range.
int64_t parse_integer(const OptionFace &option, const std::string &text);
double parse_number(const OptionFace &option, const std::string &text);

// The longest name of a column in PostgreSQL; for options that name one.
std::string column_name_range();
std::string checked_column_name(const std::string &name, const char *option);

// An enumeration with a to_string, by its words.
template <class Enum>
Enum word_to_enum(const std::string &word, std::initializer_list<Enum> values, const char *option) {
    std::vector<std::string> words;
    for (Enum value : values) {
        if (word == to_string(value)) return value;
        words.push_back(to_string(value));
    }
    throw Error(ErrorKind::invalid_parameter,
                "invalid value for option \"" + std::string(option) + "\": \"" + word + "\"", {},
                "Use one of: " + join(words) + ".");
}

template <class Options>
struct OptionTable {
    struct IntegerField {
        int &(*field)(Options &);
        int low, high;
    };

    struct SeedField {
        int64_t &(*field)(Options &);
    };

    struct NumberField {
        double &(*field)(Options &);
        double low, high;
        bool low_excluded = false;
    };

    struct BooleanField {
        bool &(*field)(Options &);
    };

    // A word: parse throws Error(invalid_parameter or undefined_object) for one it does not know.
    struct WordField {
        std::string (*words)();
        std::string (*get)(const Options &);
        void (*parse)(Options &, const std::string &);
    };

    struct Option {
        const char *name;
        const char *published_names;  // comma-separated, the first is shown
        std::variant<IntegerField, SeedField, NumberField, BooleanField, WordField> field;
        const char *description;
    };

    std::vector<Option> options;

    // By its name or a published name. Throws Error(undefined_object) that lists all.
    const Option &find(const std::string &name) const {
        std::vector<OptionNames> known;
        for (const Option &option : options) {
            if (name == option.name) return option;
            for (const std::string &published : split(option.published_names)) {
                if (name == published) return option;
            }
            known.push_back({option.name, option.published_names});
        }
        throw_unknown_option(name, known);
    }

    void set(Options &values, const std::string &name, OptionKind kind, const std::string &value) const {
        const Option &option = find(name);
        if (kind != kind_of(option)) throw_wrong_kind(face(option), value);
        std::visit(Overload{[&](const IntegerField &f) { set_integer(values, option, f, value); },
                            [&](const SeedField &f) { f.field(values) = parse_integer(face(option), value); },
                            [&](const NumberField &f) { set_number(values, option, f, value); },
                            [&](const BooleanField &f) { set_boolean(values, option, f, value); },
                            [&](const WordField &f) { f.parse(values, value); }},
                   option.field);
    }

    // As SQL shows them.
    std::vector<OptionDescription> describe() const {
        std::vector<OptionDescription> descriptions;
        for (const Option &option : options) descriptions.push_back(describe(option));
        return descriptions;
    }

    static OptionDescription describe(const Option &option) {
        static const Options defaults;
        const std::vector<std::string> published = split(option.published_names);
        return {option.name,
                published.empty() ? "" : published.front(),
                type_text(option),
                value_text(option, defaults),
                range_text(option),
                option.description};
    }

    static OptionFace face(const Option &option) { return {option.name, type_text(option), range_text(option)}; }

    static std::string type_text(const Option &option) {
        return std::visit(
            Overload{[](const IntegerField &) { return "integer"; }, [](const SeedField &) { return "integer"; },
                     [](const NumberField &) { return "number"; }, [](const BooleanField &) { return "boolean"; },
                     [](const WordField &) { return "text"; }},
            option.field);
    }

    static std::string range_text(const Option &option) {
        return std::visit(
            Overload{[](const IntegerField &f) { return std::to_string(f.low) + " to " + std::to_string(f.high); },
                     [](const SeedField &) { return std::string("any 64-bit integer"); },
                     [](const NumberField &f) {
                         return (f.low_excluded ? "above " : "") + number_text(f.low) + " to " + number_text(f.high);
                     },
                     [](const BooleanField &) { return std::string("true, false"); },
                     [](const WordField &f) { return f.words(); }},
            option.field);
    }

    // The value as text: of a word without quotes.
    static std::string value_text(const Option &option, const Options &options) {
        Options &fields = const_cast<Options &>(options);  // the accessors serve reading and writing; here they only read
        return std::visit(Overload{[&](const IntegerField &f) { return std::to_string(f.field(fields)); },
                                   [&](const SeedField &f) { return std::to_string(f.field(fields)); },
                                   [&](const NumberField &f) { return number_text(f.field(fields)); },
                                   [&](const BooleanField &f) { return std::string(f.field(fields) ? "true" : "false"); },
                                   [&](const WordField &f) { return f.get(options); }},
                          option.field);
    }

    static OptionKind kind_of(const Option &option) {
        if (std::holds_alternative<BooleanField>(option.field)) return OptionKind::boolean;
        if (std::holds_alternative<WordField>(option.field)) return OptionKind::text;
        return OptionKind::number;
    }

private:
    static void set_integer(Options &values, const Option &option, const IntegerField &f, const std::string &value) {
        const int64_t integer = parse_integer(face(option), value);
        if (integer < f.low || integer > f.high) throw_out_of_range(face(option), value);
        f.field(values) = static_cast<int>(integer);
    }

    static void set_number(Options &values, const Option &option, const NumberField &f, const std::string &value) {
        const double number = parse_number(face(option), value);
        if (number < f.low || number > f.high || (f.low_excluded && number == f.low)) throw_out_of_range(face(option), value);
        f.field(values) = number;
    }

    static void set_boolean(Options &values, const Option &option, const BooleanField &f, const std::string &value) {
        if (value != "true" && value != "false") throw_wrong_kind(face(option), value);
        f.field(values) = value == "true";
    }
};

}  // namespace csp

// Python's pickle format, as far as torch.save writes it into a checkpoint.
//
// Nothing is executed: the result is a tree of plain values, in which a call is only noted. Names
// that are not in the caller's table end the reading.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace csp {

struct PickleValue;
using PicklePtr = std::shared_ptr<const PickleValue>;

// What a name of Python may be used for.
enum class PickleUse {
    name,        // be an argument: a type
    call,        // be called: the call is noted
    dictionary,  // be called without arguments: gives an empty dictionary
};

// "module.name" and its use; must outlive the values that are read with it.
using PickleNames = std::map<std::string, PickleUse, std::less<>>;

struct PickleBytes {
    std::string bytes;
};

struct PickleList {
    std::vector<PicklePtr> items;
};

struct PickleTuple {
    std::vector<PicklePtr> items;
};

// In the order of the file. A key may come twice.
struct PickleDictionary {
    std::vector<std::pair<PicklePtr, PicklePtr>> items;
};

struct PickleName {
    std::string_view name;
    PickleUse use;
};

// A reference to what lies outside of the pickle.
struct PicklePersistentId {
    PicklePtr id;
};

struct PickleCall {
    std::string_view function;
    PicklePtr arguments;  // a tuple
    PicklePtr state;      // what the result was given afterwards, if anything
};

struct PickleValue {
    // monostate is None, string a text in UTF-8.
    std::variant<std::monostate, bool, int64_t, double, std::string, PickleBytes, PickleList, PickleTuple,
                 PickleDictionary, PickleName, PicklePersistentId, PickleCall>
        data;
    int depth = 0;        // how many levels of values it contains
    bool closed = false;  // contained in another value or called: must not change any more
};

// Throws Error(data_corrupted) unless the bytes are exactly one pickle of protocol 2 to 5 that uses
// `names` alone. Memory is bounded by the size of the pickle; values are at most 100 levels deep.
PicklePtr read_pickle(std::string_view bytes, const PickleNames &names);

}  // namespace csp

// A restricted machine for Python's pickle format.
//
// A value that is contained in another one must not change any more. Python writes a value's contents
// before it puts it anywhere, unless it contains itself: so nothing here can, and depths are known.
#include "pickle.h"

#include <algorithm>
#include <cstring>
#include <unordered_map>

#include "checkpoint_error.h"
#include "little_endian.h"

namespace csp {

namespace {

// Far beyond any checkpoint's: a value takes a hundred times the byte that asks for it.
constexpr std::size_t size_limit = 8 << 20;
constexpr std::size_t value_limit = 1000000;
constexpr int depth_limit = 100;
constexpr std::size_t shown_limit = 100;

// What torch.save emits, and nothing else.
enum class Opcode : unsigned char {
    mark = '(',
    stop = '.',
    none = 'N',
    binint = 'J',
    binint1 = 'K',
    binint2 = 'M',
    binfloat = 'G',
    binunicode = 'X',
    binbytes = 'B',
    short_binbytes = 'C',
    empty_list = ']',
    append = 'a',
    appends = 'e',
    empty_tuple = ')',
    tuple = 't',
    empty_dict = '}',
    setitem = 's',
    setitems = 'u',
    binput = 'q',
    long_binput = 'r',
    binget = 'h',
    long_binget = 'j',
    global = 'c',
    reduce = 'R',
    build = 'b',
    binpersid = 'Q',
    proto = 0x80,
    tuple1 = 0x85,
    tuple2 = 0x86,
    tuple3 = 0x87,
    newtrue = 0x88,
    newfalse = 0x89,
    long1 = 0x8a,
    short_binunicode = 0x8c,
    binunicode8 = 0x8d,
    stack_global = 0x93,
    memoize = 0x94,
    frame = 0x95,
};

// How many bytes follow the first one of a character, and the least code that needs them; -1: no first byte.
struct Utf8Length {
    int more;
    uint32_t least;
};

Utf8Length utf8_length(unsigned char first) {
    if (first < 0x80)
        return {0, 0};
    if (first >= 0xc0 && first < 0xe0)
        return {1, 0x80};
    if (first >= 0xe0 && first < 0xf0)
        return {2, 0x800};
    if (first >= 0xf0 && first < 0xf8)
        return {3, 0x10000};
    return {-1, 0};
}

bool is_utf8(std::string_view text) {
    for (std::size_t i = 0; i < text.size();) {
        const unsigned char first = static_cast<unsigned char>(text[i++]);
        const auto [more, least] = utf8_length(first);
        if (more < 0 || text.size() - i < static_cast<std::size_t>(more))
            return false;
        uint32_t code = more == 0 ? first : first & (0x3f >> more);
        for (int k = 0; k < more; ++k) {
            const unsigned char next = static_cast<unsigned char>(text[i++]);
            if ((next & 0xc0) != 0x80)
                return false;
            code = code << 6 | (next & 0x3f);
        }
        if (code < least || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
            return false;
    }
    return true;
}

// A name of the file in a message: whatever it holds, it prints.
std::string shown(std::string_view name) {
    std::string text(name.substr(0, shown_limit));
    std::replace_if(text.begin(), text.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
    return name.size() > shown_limit ? text + "..." : text;
}

class Machine {
public:
    Machine(std::string_view bytes, const PickleNames &names) : bytes_(bytes), names_(names) {}

    PicklePtr run() {
        if (bytes_.size() > size_limit)
            throw_bad_checkpoint("The description of its contents is longer than 8 MB.");
        if (opcode() != Opcode::proto)
            throw_bad_checkpoint("The description of its contents is not a pickle of protocol 2 or later.");
        const uint64_t protocol = number(1);
        if (protocol < 2 || protocol > 5)
            throw_bad_checkpoint("Its pickle is of protocol " + std::to_string(protocol) + ".");
        for (Opcode next = opcode(); next != Opcode::stop; next = opcode())
            step(next);
        if (stack_.size() != 1 || !marks_.empty() || position_ != bytes_.size())
            throw_bad_checkpoint("Its pickle does not end where it should.");
        return stack_.back();
    }

private:
    using Ptr = std::shared_ptr<PickleValue>;
    using Values = std::vector<PicklePtr>;

    void step(Opcode opcode) {
        if (!step_plain(opcode) && !step_container(opcode) && !step_object(opcode))
            throw_bad_checkpoint("Its pickle has an instruction that torch.save does not write, near byte " +
                                 std::to_string(position_ - 1) + ".");
    }

    bool step_plain(Opcode opcode) {
        switch (opcode) {
            case Opcode::none: push(std::monostate()); return true;
            case Opcode::newtrue: push(true); return true;
            case Opcode::newfalse: push(false); return true;
            case Opcode::binint: push(int64_t{static_cast<int32_t>(number(4))}); return true;
            case Opcode::binint1: push(static_cast<int64_t>(number(1))); return true;
            case Opcode::binint2: push(static_cast<int64_t>(number(2))); return true;
            case Opcode::long1: push_long(take(number(1))); return true;
            case Opcode::binfloat: push_float(take(8)); return true;
            case Opcode::short_binunicode: push_text(take(number(1))); return true;
            case Opcode::binunicode: push_text(take(number(4))); return true;
            case Opcode::binunicode8: push_text(take(number(8))); return true;
            case Opcode::short_binbytes: push(PickleBytes{std::string(take(number(1)))}); return true;
            case Opcode::binbytes: push(PickleBytes{std::string(take(number(4)))}); return true;
            default: return false;
        }
    }

    bool step_container(Opcode opcode) {
        switch (opcode) {
            case Opcode::mark: marks_.push_back(stack_.size()); return true;
            case Opcode::empty_list: push(PickleList()); return true;
            case Opcode::append: append(pop_values(1)); return true;
            case Opcode::appends: append(pop_to_mark()); return true;
            case Opcode::empty_tuple: push(PickleTuple()); return true;
            case Opcode::tuple: push_tuple(pop_to_mark()); return true;
            case Opcode::tuple1: push_tuple(pop_values(1)); return true;
            case Opcode::tuple2: push_tuple(pop_values(2)); return true;
            case Opcode::tuple3: push_tuple(pop_values(3)); return true;
            case Opcode::empty_dict: push(PickleDictionary()); return true;
            case Opcode::setitem: set_items(pop_values(2)); return true;
            case Opcode::setitems: set_items(pop_to_mark()); return true;
            default: return false;
        }
    }

    bool step_object(Opcode opcode) {
        switch (opcode) {
            case Opcode::binput: remember(number(1)); return true;
            case Opcode::long_binput: remember(number(4)); return true;
            case Opcode::memoize: remember(memo_.size()); return true;
            case Opcode::binget: push_known(number(1)); return true;
            case Opcode::long_binget: push_known(number(4)); return true;
            case Opcode::global: push_global(); return true;
            case Opcode::stack_global: push_stack_global(); return true;
            case Opcode::reduce: call(pop_values(2)); return true;
            case Opcode::build: build(pop_values(1)[0]); return true;
            case Opcode::binpersid: push_persistent_id(pop_values(1)[0]); return true;
            case Opcode::frame: check_frame(number(8)); return true;
            default: return false;
        }
    }

    // ---- bytes ----

    std::string_view take(uint64_t size) {
        if (size > bytes_.size() - position_)
            throw_bad_checkpoint("Its pickle is cut off.");
        const std::string_view taken = bytes_.substr(position_, size);
        position_ += taken.size();
        return taken;
    }

    uint64_t number(std::size_t size) { return little_endian(take(size).data(), size); }

    Opcode opcode() { return static_cast<Opcode>(number(1)); }

    std::string_view line() {
        const std::size_t end = bytes_.find('\n', position_);
        if (end == std::string_view::npos)
            throw_bad_checkpoint("Its pickle is cut off.");
        const std::string_view text = take(end - position_);
        take(1);
        return text;
    }

    // A frame only says how much may be read at once.
    void check_frame(uint64_t size) const {
        if (size > bytes_.size() - position_)
            throw_bad_checkpoint("Its pickle is cut off.");
    }

    // ---- stack ----

    // A value must not be taken from below the last mark.
    std::size_t available() const { return stack_.size() - (marks_.empty() ? 0 : marks_.back()); }

    const Ptr &top() const {
        if (available() == 0)
            throw_bad_checkpoint("Its pickle uses a value that is not there.");
        return stack_.back();
    }

    // Values are taken to become part of another one, and so they are closed.
    Values pop_values(std::size_t count) {
        if (available() < count)
            throw_bad_checkpoint("Its pickle uses a value that is not there.");
        const auto begin = stack_.end() - static_cast<std::ptrdiff_t>(count);
        for (auto value = begin; value != stack_.end(); ++value)
            (*value)->closed = true;
        Values values(begin, stack_.end());
        stack_.erase(begin, stack_.end());
        return values;
    }

    Values pop_to_mark() {
        if (marks_.empty())
            throw_bad_checkpoint("Its pickle uses a mark that is not there.");
        Values values = pop_values(available());
        marks_.pop_back();
        return values;
    }

    template <typename Data>
    PickleValue &push(Data data) {
        if (++value_count_ > value_limit)
            throw_bad_checkpoint("The description of its contents has more than a million values.");
        stack_.push_back(std::make_shared<PickleValue>());
        stack_.back()->data = std::move(data);
        return *stack_.back();
    }

    // A value changes on top of the stack, if it still may.
    PickleValue &open_top() {
        PickleValue &value = *top();
        if (value.closed)
            throw_bad_checkpoint("Its pickle changes a value that is part of another one.");
        return value;
    }

    static void contain(PickleValue &container, const PickleValue &value) {
        container.depth = std::max(container.depth, value.depth + 1);
        if (container.depth > depth_limit)
            throw_bad_checkpoint("Its values are nested more than 100 levels deep.");
    }

    static void contain(PickleValue &container, const Values &values) {
        for (const PicklePtr &value : values)
            contain(container, *value);
    }

    // ---- values ----

    // Integers of Python have any length; one that int64_t cannot hold becomes the number near it.
    void push_long(std::string_view bytes) {
        const bool negative = !bytes.empty() && (bytes.back() & 0x80) != 0;
        if (bytes.size() <= 8) {
            uint64_t value = little_endian(bytes.data(), bytes.size());
            if (negative && bytes.size() < 8)
                value |= ~uint64_t{0} << (8 * bytes.size());
            push(static_cast<int64_t>(value));
            return;
        }
        double value = negative ? -1 : 0;
        for (auto byte = bytes.rbegin(); byte != bytes.rend(); ++byte)
            value = value * 256 + static_cast<unsigned char>(*byte);
        push(value);
    }

    // The one number that has its highest byte first.
    void push_float(std::string_view bytes) {
        const std::string reversed(bytes.rbegin(), bytes.rend());
        double value = 0;
        std::memcpy(&value, reversed.data(), sizeof value);
        push(value);
    }

    void push_text(std::string_view text) {
        if (!is_utf8(text))
            throw_bad_checkpoint("A text in its pickle is not UTF-8.");
        push(std::string(text));
    }

    void push_tuple(Values values) {
        PickleValue &tuple = push(PickleTuple());
        contain(tuple, values);
        std::get<PickleTuple>(tuple.data).items = std::move(values);
    }

    void append(const Values &values) {
        PickleValue &value = open_top();
        PickleList *list = std::get_if<PickleList>(&value.data);
        if (list == nullptr)
            throw_bad_checkpoint("Its pickle appends to what is not a list.");
        contain(value, values);
        list->items.insert(list->items.end(), values.begin(), values.end());
    }

    void set_items(const Values &values) {
        PickleValue &value = open_top();
        PickleDictionary *dictionary = std::get_if<PickleDictionary>(&value.data);
        if (dictionary == nullptr || values.size() % 2 != 0)
            throw_bad_checkpoint("Its pickle sets items of what is not a dictionary, or a key without a value.");
        contain(value, values);
        for (std::size_t i = 0; i < values.size(); i += 2)
            dictionary->items.emplace_back(values[i], values[i + 1]);
    }

    void remember(uint64_t index) {
        memo_[index] = top();
        if (memo_.size() > value_limit)
            throw_bad_checkpoint("The description of its contents has more than a million values.");
    }

    void push_known(uint64_t index) {
        const auto found = memo_.find(index);
        if (found == memo_.end())
            throw_bad_checkpoint("Its pickle refers to a value that is not there.");
        stack_.push_back(found->second);
    }

    // ---- names and what is done with them ----

    void push_global() {
        const std::string_view module = line();
        const std::string_view name = line();
        push_name(module, name);
    }

    void push_stack_global() {
        const Values values = pop_values(2);
        const std::string *module = std::get_if<std::string>(&values[0]->data);
        const std::string *name = std::get_if<std::string>(&values[1]->data);
        if (module == nullptr || name == nullptr)
            throw_bad_checkpoint("Its pickle has a name that is not a text.");
        push_name(*module, *name);
    }

    void push_name(std::string_view module, std::string_view name) {
        // Long before anything is copied: the same long text may be named again and again.
        if (module.size() <= shown_limit && name.size() <= shown_limit) {
            const auto found = names_.find(std::string(module) + "." + std::string(name));
            if (found != names_.end()) {
                push(PickleName{found->first, found->second});
                return;
            }
        }
        throw Error(ErrorKind::data_corrupted,
                    "checkpoint refers to \"" + shown(module) + "." + shown(name) + "\", which is not part of a model",
                    "Nothing of the file has been executed.",
                    "A checkpoint to be imported may only hold tensors and plain values; save its state dict alone.");
    }

    void call(const Values &values) {
        const PickleName *function = std::get_if<PickleName>(&values[0]->data);
        const PickleTuple *arguments = std::get_if<PickleTuple>(&values[1]->data);
        if (function == nullptr || function->use == PickleUse::name || arguments == nullptr)
            throw_bad_checkpoint("Its pickle calls what is not a function.");
        if (function->use == PickleUse::dictionary) {
            if (!arguments->items.empty())
                throw_bad_checkpoint("Its pickle has a dictionary that is not empty at first.");
            push(PickleDictionary());
            return;
        }
        PickleValue &result = push(PickleCall{function->name, values[1], nullptr});
        contain(result, *values[1]);
    }

    // The attributes of a dictionary (_metadata of a state dict) say nothing of its contents.
    void build(const PicklePtr &state) {
        PickleValue &value = open_top();
        if (PickleCall *call = std::get_if<PickleCall>(&value.data)) {
            contain(value, *state);
            call->state = state;
        } else if (!std::holds_alternative<PickleDictionary>(value.data) ||
                   !std::holds_alternative<PickleDictionary>(state->data)) {
            throw_bad_checkpoint("Its pickle gives attributes to what has none.");
        }
    }

    void push_persistent_id(const PicklePtr &id) {
        PickleValue &value = push(PicklePersistentId{id});
        contain(value, *id);
    }

    const std::string_view bytes_;
    const PickleNames &names_;
    std::size_t position_ = 0;
    std::size_t value_count_ = 0;
    std::vector<Ptr> stack_;
    std::vector<std::size_t> marks_;
    std::unordered_map<uint64_t, Ptr> memo_;
};

}  // namespace

PicklePtr read_pickle(std::string_view bytes, const PickleNames &names) {
    return Machine(bytes, names).run();
}

}  // namespace csp

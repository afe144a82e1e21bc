// What the pickle of a checkpoint means: tensors over the archive's storages, and plain values.
#include "pytorch_checkpoint.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>

#include "checkpoint_error.h"
#include "little_endian.h"
#include "pickle.h"
#include "room_face.h"
#include "zip_archive.h"

namespace csp {

namespace {

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "tensor bytes are copied as they are: little-endian");
static_assert(std::numeric_limits<float>::is_iec559 && std::numeric_limits<double>::is_iec559);

constexpr std::size_t rank_limit = 32;
// A weight may have several names (CSP's models have two for each); a file of one storage and a
// million names must not fill the memory.
constexpr uint64_t uses_of_storage = 4;
constexpr uint64_t uses_of_text = 4;

const char *const rebuild_tensor = "torch._utils._rebuild_tensor_v2";
const char *const rebuild_parameter = "torch._utils._rebuild_parameter";
const char *const torch_device = "torch.device";
const char *const torch_size = "torch.Size";
const char *const numpy_scalar = "numpy.core.multiarray.scalar";
const char *const numpy2_scalar = "numpy._core.multiarray.scalar";
const char *const numpy_dtype = "numpy.dtype";
const char *const codecs_encode = "_codecs.encode";

// ---- element types ----

template <typename Number>
Number load(const char *bytes) {
    Number number;
    std::memcpy(&number, bytes, sizeof number);
    return number;
}

template <typename Number>
float load_as_float(const char *bytes) {
    return static_cast<float>(load<Number>(bytes));
}

float float_of_bits(uint32_t bits) {
    return load<float>(reinterpret_cast<const char *>(&bits));
}

float load_bfloat16(const char *bytes) {
    return float_of_bits(uint32_t{load<uint16_t>(bytes)} << 16);
}

float load_half(const char *bytes) {
    const uint32_t bits = load<uint16_t>(bytes);
    const uint32_t sign = (bits & 0x8000) << 16;
    const uint32_t exponent = bits >> 10 & 0x1f;
    const uint32_t fraction = bits & 0x3ff;
    if (exponent == 0) {
        const float magnitude = static_cast<float>(fraction) * 0x1p-24f;
        return sign ? -magnitude : magnitude;
    }
    return float_of_bits(sign | (exponent == 0x1f ? 0xff : exponent + 112) << 23 | fraction << 13);
}

float load_bool(const char *bytes) {
    return *bytes != 0 ? 1 : 0;
}

struct ElementType {
    const char *storage;  // the name of its storages
    std::size_t size;
    float (*load)(const char *bytes);
};

const std::array<ElementType, 10> element_types = {{
    {"torch.FloatStorage", 4, load_as_float<float>},
    {"torch.DoubleStorage", 8, load_as_float<double>},
    {"torch.HalfStorage", 2, load_half},
    {"torch.BFloat16Storage", 2, load_bfloat16},
    {"torch.LongStorage", 8, load_as_float<int64_t>},
    {"torch.IntStorage", 4, load_as_float<int32_t>},
    {"torch.ShortStorage", 2, load_as_float<int16_t>},
    {"torch.CharStorage", 1, load_as_float<signed char>},
    {"torch.ByteStorage", 1, load_as_float<unsigned char>},
    {"torch.BoolStorage", 1, load_bool},
}};

PickleNames make_known_names() {
    PickleNames names = {{"collections.OrderedDict", PickleUse::dictionary}};
    for (const char *function : {rebuild_tensor, rebuild_parameter, torch_device, torch_size, numpy_scalar,
                                 numpy2_scalar, numpy_dtype, codecs_encode})
        names[function] = PickleUse::call;
    for (const ElementType &type : element_types)
        names[type.storage] = PickleUse::name;
    return names;
}

const PickleNames &known_names() {
    static const PickleNames names = make_known_names();
    return names;
}

// ---- values ----

template <typename Data>
const Data *as(const PicklePtr &value) {
    return std::get_if<Data>(&value->data);
}

template <typename Data>
const Data &require(const PicklePtr &value, const char *detail) {
    const Data *data = as<Data>(value);
    if (data == nullptr)
        throw_bad_checkpoint(detail);
    return *data;
}

// The arguments of a call of that function; null if the value is not one.
const std::vector<PicklePtr> *arguments_of(const PicklePtr &value, std::string_view function) {
    const PickleCall *call = as<PickleCall>(value);
    if (call == nullptr || call->function != function)
        return nullptr;
    return &as<PickleTuple>(call->arguments)->items;
}

// The first of them if it is a text, as are the code of a numpy type and the name of a device.
const std::string *first_text(const std::vector<PicklePtr> *arguments) {
    return arguments != nullptr && !arguments->empty() ? as<std::string>(arguments->front()) : nullptr;
}

using Items = std::map<std::string_view, PicklePtr>;

// A dictionary of which every key is a text, none twice.
Items items_of(const PickleDictionary &dictionary) {
    Items items;
    for (const auto &[key, value] : dictionary.items) {
        const std::string &name = require<std::string>(key, "A name in it is not a text.");
        if (!items.emplace(name, value).second)
            throw_bad_checkpoint("It has two values of one name.");
    }
    return items;
}

// ---- tensors ----

struct Storage {
    const ElementType *type = nullptr;
    std::string_view bytes;
    uint64_t elements = 0;
    uint64_t elements_left = 0;  // how many may still be copied
};

// How a tensor lies in its storage.
struct Layout {
    uint64_t offset = 0;
    std::vector<int64_t> shape;
    std::vector<int64_t> strides;
    uint64_t elements = 1;
};

class TensorReader {
public:
    TensorReader(const ZipArchive &archive, std::string prefix) : archive_(archive), prefix_(std::move(prefix)) {}

    // Null if the value is not a tensor.
    static const PickleCall *tensor_call(const PicklePtr &value) {
        const std::vector<PicklePtr> *parameter = arguments_of(value, rebuild_parameter);
        const PicklePtr &tensor = parameter != nullptr && !parameter->empty() ? parameter->front() : value;
        return arguments_of(tensor, rebuild_tensor) != nullptr ? as<PickleCall>(tensor) : nullptr;
    }

    // Storage, offset, shape, strides; then whether it needs gradients, hooks and metadata, which do not
    // matter here.
    Tensor read(const PickleCall &call) {
        const std::vector<PicklePtr> &arguments = as<PickleTuple>(call.arguments)->items;
        if (arguments.size() < 4 || arguments.size() > 7)
            throw_bad_checkpoint("A tensor has the wrong number of properties.");
        Storage &storage = find_storage(arguments[0]);
        Layout layout;
        layout.offset = static_cast<uint64_t>(extent(arguments[1]));
        layout.shape = extents(arguments[2]);
        layout.strides = extents(arguments[3]);
        check(layout, storage);
        storage.elements_left -= layout.elements;
        return copy(layout, storage);
    }

private:
    static int64_t extent(const PicklePtr &value) {
        const int64_t *number = as<int64_t>(value);
        if (number == nullptr || *number < 0)
            throw_bad_checkpoint("The shape of a tensor has something else than numbers from 0.");
        return *number;
    }

    static std::vector<int64_t> extents(const PicklePtr &value) {
        const std::vector<PicklePtr> *wrapped = arguments_of(value, torch_size);
        const PicklePtr &tuple = wrapped != nullptr && wrapped->size() == 1 ? wrapped->front() : value;
        const auto &items = require<PickleTuple>(tuple, "The shape of a tensor is not a tuple.").items;
        if (items.size() > rank_limit)
            throw_bad_checkpoint("A tensor has more than 32 dimensions.");
        std::vector<int64_t> numbers;
        for (const PicklePtr &item : items)
            numbers.push_back(extent(item));
        return numbers;
    }

    // The persistent id of a storage: ("storage", type, key, device, number of elements).
    Storage &find_storage(const PicklePtr &value) {
        const char *const detail = "A tensor's storage is not described as torch.save does.";
        const PicklePtr &id = require<PicklePersistentId>(value, detail).id;
        const std::vector<PicklePtr> &parts = require<PickleTuple>(id, detail).items;
        if (parts.size() != 5 || require<std::string>(parts[0], detail) != "storage")
            throw_bad_checkpoint(detail);
        const std::string_view type = require<PickleName>(parts[1], detail).name;
        const std::string &key = require<std::string>(parts[2], detail);
        const uint64_t elements = static_cast<uint64_t>(extent(parts[4]));
        Storage &storage = storages_[key];
        if (storage.type == nullptr)
            open_storage(storage, key, type);
        if (storage.type->storage != type || storage.elements != elements)
            throw_bad_checkpoint("A storage does not have the size or type that a tensor says.");
        return storage;
    }

    // Reads the storage's bytes, once: there may be many tensors.
    void open_storage(Storage &storage, const std::string &key, std::string_view type) {
        const auto found = std::find_if(element_types.begin(), element_types.end(),
                                        [type](const ElementType &known) { return known.storage == type; });
        if (found == element_types.end())
            throw_bad_checkpoint("A storage is not of a type that torch.save names.");
        storage.bytes = archive_.read(prefix_ + "data/" + key);
        storage.elements = storage.bytes.size() / found->size;
        if (storage.elements * found->size != storage.bytes.size())
            throw_bad_checkpoint("A storage does not have the size or type that a tensor says.");
        storage.elements_left = uses_of_storage * storage.elements;
        storage.type = &*found;
    }

    // Sets the number of elements. No product or sum is formed beyond the storage.
    static void check(Layout &layout, const Storage &storage) {
        if (layout.shape.size() != layout.strides.size())
            throw_bad_checkpoint("A tensor has a different number of extents and strides.");
        if (layout.offset > storage.elements)
            throw_bad_checkpoint("A tensor begins beyond its storage.");
        if (std::find(layout.shape.begin(), layout.shape.end(), 0) != layout.shape.end()) {
            layout.elements = 0;
            return;
        }
        uint64_t last = layout.offset;
        for (std::size_t i = 0; i < layout.shape.size(); ++i) {
            const uint64_t size = static_cast<uint64_t>(layout.shape[i]);
            const uint64_t stride = static_cast<uint64_t>(layout.strides[i]);
            if (stride > 0 && size - 1 > (storage.elements - last) / stride)
                throw_bad_checkpoint("A tensor goes beyond its storage.");
            last += (size - 1) * stride;
            if (size > storage.elements / layout.elements)
                throw_bad_checkpoint("A tensor has more elements than its storage.");
            layout.elements *= size;
        }
        if (last >= storage.elements)
            throw_bad_checkpoint("A tensor goes beyond its storage.");
        if (layout.elements > storage.elements_left)
            throw_bad_checkpoint("A storage is used by too many tensors.");
    }

    static Tensor copy(const Layout &layout, const Storage &storage) {
        Tensor tensor{layout.shape, std::vector<float>(layout.elements)};
        std::vector<int64_t> index(layout.shape.size(), 0);
        uint64_t position = layout.offset;
        for (float &value : tensor.values) {
            value = storage.type->load(storage.bytes.data() + position * storage.type->size);
            advance(layout, index, position);
        }
        return tensor;
    }

    // To the next element in row-major order; from the last to the first.
    static void advance(const Layout &layout, std::vector<int64_t> &index, uint64_t &position) {
        for (std::size_t i = index.size(); i-- > 0;) {
            position += static_cast<uint64_t>(layout.strides[i]);
            if (++index[i] < layout.shape[i])
                return;
            position -= static_cast<uint64_t>(layout.shape[i]) * static_cast<uint64_t>(layout.strides[i]);
            index[i] = 0;
        }
    }

    const ZipArchive &archive_;
    const std::string prefix_;
    std::map<std::string, Storage, std::less<>> storages_;
};

TensorMap read_state_dict(const PickleDictionary &dictionary, TensorReader &reader) {
    TensorMap tensors;
    for (const auto &[name, value] : items_of(dictionary)) {
        const PickleCall *call = TensorReader::tensor_call(value);
        if (call == nullptr || name.find('\0') != std::string_view::npos)
            throw_bad_checkpoint("Its state dict holds something else than named tensors.");
        tensors.emplace(name, reader.read(*call));
    }
    return tensors;
}

// ---- params ----

// The bytes of a numpy scalar, at most 8 of them: as such, or as Python writes them for protocol 2,
// a text of the characters U+0000 to U+00FF that are to be encoded as Latin-1.
std::optional<std::string> scalar_bytes(const PicklePtr &value) {
    if (const PickleBytes *bytes = as<PickleBytes>(value))
        return bytes->bytes.size() <= 8 ? std::optional(bytes->bytes) : std::nullopt;
    const std::string *text = first_text(arguments_of(value, codecs_encode));
    if (text == nullptr || text->size() > 16)
        return std::nullopt;
    std::string bytes;
    for (std::size_t i = 0; i < text->size(); ++i) {
        unsigned char byte = static_cast<unsigned char>((*text)[i]);
        if (byte >= 0x80) {
            if (byte > 0xc3)
                return std::nullopt;
            byte = static_cast<unsigned char>((byte & 3) << 6 | ((*text)[++i] & 0x3f));
        }
        bytes.push_back(static_cast<char>(byte));
    }
    return bytes;
}

// The code of a numpy type ("f8"), empty if its bytes are not little-endian.
std::string_view dtype_code(const PicklePtr &value) {
    const std::string *code = first_text(arguments_of(value, numpy_dtype));
    if (code == nullptr || as<PickleCall>(value)->state == nullptr)
        return {};
    const PickleTuple *properties = as<PickleTuple>(as<PickleCall>(value)->state);
    if (properties == nullptr || properties->items.size() < 2)
        return {};
    const std::string *order = as<std::string>(properties->items[1]);
    return order != nullptr && (*order == "<" || *order == "|") ? *code : std::string_view();
}

template <typename Number>
ParameterValue load_number(const char *bytes) {
    const Number number = load<Number>(bytes);
    if constexpr (std::is_floating_point_v<Number>)
        return double{number};
    else if (number > 0 && static_cast<uint64_t>(number) > uint64_t{std::numeric_limits<int64_t>::max()})
        return static_cast<double>(number);
    else
        return static_cast<int64_t>(number);
}

ParameterValue load_half_number(const char *bytes) {
    return double{load_half(bytes)};
}

ParameterValue load_truth(const char *bytes) {
    return *bytes != 0;
}

struct ScalarType {
    std::string_view code;
    std::size_t size;
    ParameterValue (*load)(const char *bytes);
};

const std::array<ScalarType, 12> scalar_types = {{
    {"f8", 8, load_number<double>},
    {"f4", 4, load_number<float>},
    {"f2", 2, load_half_number},
    {"i8", 8, load_number<int64_t>},
    {"i4", 4, load_number<int32_t>},
    {"i2", 2, load_number<int16_t>},
    {"i1", 1, load_number<int8_t>},
    {"u8", 8, load_number<uint64_t>},
    {"u4", 4, load_number<uint32_t>},
    {"u2", 2, load_number<uint16_t>},
    {"u1", 1, load_number<uint8_t>},
    {"b1", 1, load_truth},
}};

std::optional<ParameterValue> read_numpy_scalar(const PicklePtr &value) {
    const std::vector<PicklePtr> *arguments = arguments_of(value, numpy_scalar);
    if (arguments == nullptr)
        arguments = arguments_of(value, numpy2_scalar);
    if (arguments == nullptr || arguments->size() != 2)
        return std::nullopt;
    const std::string_view code = dtype_code((*arguments)[0]);
    const std::optional<std::string> bytes = scalar_bytes((*arguments)[1]);
    for (const ScalarType &type : scalar_types)
        if (bytes && type.code == code && type.size == bytes->size())
            return type.load(bytes->data());
    return std::nullopt;
}

// A number, True or False, of Python or numpy.
std::optional<ParameterValue> read_number(const PicklePtr &value) {
    if (const bool *truth = as<bool>(value))
        return *truth;
    if (const int64_t *number = as<int64_t>(value))
        return *number;
    if (const double *number = as<double>(value))
        return *number;
    return read_numpy_scalar(value);
}

class ParameterReader {
public:
    // `budget`: how many bytes of text and numbers may come out. A text or a list may be referred to
    // again and again.
    explicit ParameterReader(uint64_t budget) : budget_(budget) {}

    std::map<std::string, ParameterValue> read(const PickleDictionary &dictionary) {
        std::map<std::string, ParameterValue> params;
        for (const auto &[name, value] : items_of(dictionary)) {
            spend(name.size());
            std::optional<ParameterValue> read = read_value(value);
            if (read && name.find('\0') == std::string_view::npos)
                params.emplace(name, std::move(*read));
        }
        return params;
    }

private:
    void spend(uint64_t size) {
        if (size > budget_)
            throw_bad_checkpoint("Its params repeat themselves too often.");
        budget_ -= size;
    }

    std::optional<ParameterValue> read_value(const PicklePtr &value) {
        if (as<std::monostate>(value) != nullptr)
            return std::optional<ParameterValue>(std::in_place);
        if (const std::string *text = as<std::string>(value))
            return read_text(*text);
        if (const PickleList *list = as<PickleList>(value))
            return read_numbers(list->items);
        if (const PickleTuple *tuple = as<PickleTuple>(value))
            return read_numbers(tuple->items);
        if (const std::vector<PicklePtr> *size = arguments_of(value, torch_size))
            return size->size() == 1 && as<PickleTuple>(size->front()) != nullptr ? read_value(size->front())
                                                                                 : std::nullopt;
        if (const std::vector<PicklePtr> *device = arguments_of(value, torch_device))
            return read_device(*device);
        return read_number(value);
    }

    // What the database cannot hold as a text is left out.
    std::optional<ParameterValue> read_text(const std::string &text) {
        spend(text.size());
        return text.find('\0') == std::string::npos ? std::optional<ParameterValue>(text) : std::nullopt;
    }

    std::optional<ParameterValue> read_numbers(const std::vector<PicklePtr> &items) {
        spend(items.size());
        std::vector<double> numbers;
        for (const PicklePtr &item : items) {
            const std::optional<ParameterValue> number = read_number(item);
            if (number && std::holds_alternative<int64_t>(*number))
                numbers.push_back(static_cast<double>(std::get<int64_t>(*number)));
            else if (number && std::holds_alternative<double>(*number))
                numbers.push_back(std::get<double>(*number));
            else
                return std::nullopt;
        }
        return numbers;
    }

    // torch.device("cuda", 1) is "cuda:1".
    std::optional<ParameterValue> read_device(const std::vector<PicklePtr> &arguments) {
        const std::string *kind = first_text(&arguments);
        if (kind == nullptr)
            return std::nullopt;
        const int64_t *index = arguments.size() > 1 ? as<int64_t>(arguments[1]) : nullptr;
        return read_text(index != nullptr ? *kind + ":" + std::to_string(*index) : *kind);
    }

    uint64_t budget_;
};

// ---- the file ----

// All members lie in one folder, of any name; it ends with a slash.
std::string find_prefix(const ZipArchive &archive) {
    const std::string_view ending = "/data.pkl";
    std::string prefix;
    for (const auto &[name, member] : archive.members()) {
        const std::size_t slash = name.find('/');
        if (slash == std::string::npos || std::string_view(name).substr(slash) != ending)
            continue;
        if (!prefix.empty())
            throw_bad_checkpoint("The archive holds two checkpoints.");
        prefix = name.substr(0, slash + 1);
    }
    if (prefix.empty())
        throw_bad_checkpoint("The archive is not one that torch.save has written: it has no data.pkl.");
    return prefix;
}

void check_byte_order(const ZipArchive &archive, const std::string &prefix) {
    const std::string name = prefix + "byteorder";
    if (archive.members().count(name) != 0 && archive.read(name) != "little")
        throw Error(ErrorKind::not_supported, "checkpoint does not have its numbers in little-endian order", {},
                    "Save it again on a little-endian machine.");
}

PyTorchCheckpoint read(const char *bytes, std::size_t size) {
    if (!is_pytorch_checkpoint(bytes, size))
        throw Error(ErrorKind::not_supported, "not a PyTorch checkpoint in zip format", {},
                    "Save the model again with torch.save of PyTorch 1.6 or later.");
    const ZipArchive archive(bytes, size);
    const std::string prefix = find_prefix(archive);
    check_byte_order(archive, prefix);
    const std::string_view pickle = archive.read(prefix + "data.pkl");
    const PicklePtr top = read_pickle(pickle, known_names());
    const auto &dictionary = require<PickleDictionary>(top, "It holds something else than a dictionary.");

    TensorReader tensors(archive, prefix);
    const Items items = items_of(dictionary);
    const auto state_dict = items.find("state_dict");
    if (state_dict == items.end() || as<PickleDictionary>(state_dict->second) == nullptr)
        return {read_state_dict(dictionary, tensors), {}};
    PyTorchCheckpoint checkpoint;
    checkpoint.tensors = read_state_dict(*as<PickleDictionary>(state_dict->second), tensors);
    const auto params = items.find("params");
    if (params != items.end() && as<PickleDictionary>(params->second) != nullptr)
        checkpoint.params =
            ParameterReader(uses_of_text * pickle.size()).read(*as<PickleDictionary>(params->second));
    return checkpoint;
}

}  // namespace

bool is_pytorch_checkpoint(const char *bytes, std::size_t size) {
    return size >= 4 && std::memcmp(bytes, "PK\3\4", 4) == 0;
}

PyTorchCheckpoint read_pytorch_checkpoint(const char *bytes, std::size_t size) {
    return at_room_face([&] { return read(bytes, size); });
}

}  // namespace csp

// The registry of position encodings.
#include "position_encoding.h"

#include <strings.h>

#include "error.h"
#include "position_family.h"
#include "room_face.h"

namespace csp {

namespace {

// In the order of the papers.
const std::vector<PositionFamily> &families() {
    static const std::vector<PositionFamily> list = {grid_family(), sphere_grid_family()};
    return list;
}

bool has_name(const PositionFamily &family, const std::string &name) {
    if (strcasecmp(family.name, name.c_str()) == 0)
        return true;
    for (const char *alias : family.aliases)
        if (strcasecmp(alias, name.c_str()) == 0)
            return true;
    return false;
}

}  // namespace

const PositionFamily &position_family(const std::string &name) {
    std::string known;
    for (const PositionFamily &family : families()) {
        if (name.find('\0') == std::string::npos && has_name(family, name))
            return family;
        known += (known.empty() ? "" : ", ") + std::string(family.name);
    }
    throw Error(ErrorKind::undefined_object, "unknown position encoding \"" + name + "\"", {},
                "Known position encodings are: " + known + ".");
}

std::unique_ptr<PositionEncoding> make_position_encoding(const ModelConfig &config, const Kernels &kernels) {
    validate(config);
    return position_family(config.position_encoding).make(config, kernels);
}

std::unique_ptr<PositionEncoding> make_position_encoding(const ModelConfig &config) {
    return at_room_face([&] { return make_position_encoding(config, best_kernels()); });
}

std::string canonical_position_encoding(const std::string &name) {
    return position_family(name).name;
}

std::vector<std::string> position_encoding_names() {
    std::vector<std::string> names;
    for (const PositionFamily &family : families())
        names.push_back(family.name);
    return names;
}

}  // namespace csp

// The registry of position encodings.
#include "position_encoding.h"

#include <strings.h>

#include "error.h"
#include "position_family.h"
#include "room_face.h"
#include "tile.h"

namespace csp {

namespace {

const std::vector<PositionFamily> &families() {
    static const std::vector<PositionFamily> list = [] {
        std::vector<PositionFamily> all;
        for (const auto &some : {grid_families(), theory_families(), sphere_families(), cartesian_families(),
                                 planar_families(), kernel_families(), tile_families(), harmonics_families()})
            all.insert(all.end(), some.begin(), some.end());
        return all;
    }();
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

void set_radii_in_degrees(ModelConfig &config) {
    config.min_radius = 0.5;
    config.max_radius = 57.3;
}

void set_radii_in_radians(ModelConfig &config) {
    config.min_radius = 0.0087;
    config.max_radius = 1;
}

void require_scales(const ModelConfig &config) {
    if (config.frequency_list == FrequencyList::nerf && config.frequencies > 32)
        throw Error(ErrorKind::invalid_parameter, "frequency list nerf has too many frequencies",
                    "The finest of them, pi 2^" + std::to_string(config.frequencies - 1) +
                        ", is beyond what coordinates can tell apart.",
                    "Set frequencies to 32 or less.");
    if (config.frequency_list != FrequencyList::geometric)
        return;
    if (config.frequencies < 2)
        throw Error(ErrorKind::invalid_parameter,
                    "position encoding \"" + config.position_encoding + "\" needs at least two frequencies", {},
                    "Its scales are spread from min_radius to max_radius; set frequencies to 2 or more.");
    if (config.max_radius <= config.min_radius)
        throw Error(ErrorKind::invalid_parameter, "max_radius must be a number greater than min_radius", {},
                    "It is the coarsest scale, for example 360.");
}

void require_extent(const ModelConfig &config) {
    const Extent &extent = config.extent;
    // Written so that NaN fails.
    const bool valid = extent.west >= -180 && extent.east <= 180 && extent.east - extent.west >= 1e-6 &&
                       extent.south >= -90 && extent.north <= 90 && extent.north - extent.south >= 1e-6;
    if (!valid)
        throw Error(ErrorKind::invalid_parameter, "extent is not a rectangle of the globe: " + to_string(extent), {},
                    "Give west, east, south and north in degrees, for example -180, 180, -90, 90.");
}

std::unique_ptr<PositionEncoding> make_position_encoding(const ModelConfig &config, const TensorMap &tensors,
                                                         const Kernels &kernels) {
    validate(config);
    return position_family(config.position_encoding).make(config, tensors, kernels);
}

std::unique_ptr<PositionEncoding> make_position_encoding(const ModelConfig &config, const TensorMap &tensors) {
    return at_room_face([&] { return make_position_encoding(config, tensors, best_kernels()); });
}

std::unique_ptr<PositionEncoding> make_trainable_encoding(const ModelConfig &config, const TensorMap &tensors) {
    return at_room_face([&] {
        validate(config);
        return is_tile(config) ? make_tile_number(config) : make_position_encoding(config, tensors, best_kernels());
    });
}

int position_dim(const ModelConfig &config) {
    return position_family(config.position_encoding).dim(config);
}

void set_position_encoding(ModelConfig &config, const std::string &name) {
    const PositionFamily &family = position_family(name);
    config.position_encoding = family.name;
    if (family.set_defaults)
        family.set_defaults(config);
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

// What an encoding brings to the registry. A new one is a file like grid.cpp that defines its
// families, a declaration here, and its entries in the list of position_encoding.cpp.
#pragma once

#include <memory>
#include <vector>

#include "kernel.h"
#include "position_encoding.h"

namespace csp {

struct PositionFamily {
    const char *name;                  // canonical
    std::vector<const char *> aliases;  // published names
    bool geometric;                    // uses the geometric list: needs frequencies >= 2
    std::unique_ptr<PositionEncoding> (*make)(const ModelConfig &config, const Kernels &kernels);
};

PositionFamily grid_family();
PositionFamily sphere_grid_family();

// The family of a canonical name or alias, case ignored. Throws Error(undefined_object).
const PositionFamily &position_family(const std::string &name);

// As make_position_encoding, on chosen kernels.
std::unique_ptr<PositionEncoding> make_position_encoding(const ModelConfig &config, const Kernels &kernels);

}  // namespace csp

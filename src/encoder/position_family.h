// What an encoding brings to the registry. A new one is a file like grid.cpp that defines its
// families, a declaration here, and its entries in the list of position_encoding.cpp.
#pragma once

#include <memory>
#include <vector>

#include "kernel.h"
#include "position_encoding.h"

namespace csp {

struct PositionFamily {
    const char *name;                   // canonical
    std::vector<const char *> aliases;  // published names
    // Parameters and network that suit it, on top of the general defaults.
    void (*set_defaults)(ModelConfig &config);
    // Throws Error(invalid_parameter) for parameters that it cannot work with; null: takes any.
    void (*check)(const ModelConfig &config);
    int (*dim)(const ModelConfig &config);
    std::unique_ptr<PositionEncoding> (*make)(const ModelConfig &config, const TensorMap &tensors,
                                              const Kernels &kernels);
};

// Each file's families, in the order of the papers.
std::vector<PositionFamily> grid_families();
std::vector<PositionFamily> theory_families();
std::vector<PositionFamily> sphere_families();
std::vector<PositionFamily> cartesian_families();
std::vector<PositionFamily> planar_families();
std::vector<PositionFamily> kernel_families();
std::vector<PositionFamily> tile_families();
std::vector<PositionFamily> harmonics_families();

// The family of a canonical name or alias, case ignored. Throws Error(undefined_object).
const PositionFamily &position_family(const std::string &name);

// As make_position_encoding, on chosen kernels.
std::unique_ptr<PositionEncoding> make_position_encoding(const ModelConfig &config, const TensorMap &tensors,
                                                         const Kernels &kernels);

// Default radii that several families share: the same scales in either unit.
void set_radii_in_degrees(ModelConfig &config);
void set_radii_in_radians(ModelConfig &config);

// Checks that several families share.
void require_scales(const ModelConfig &config);  // frequencies and radii of configured_frequencies
void require_extent(const ModelConfig &config);

}  // namespace csp

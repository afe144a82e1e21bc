// Position encodings: a location in, features out. Written once, used by training and by
// queries alike.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "config.h"

namespace csp {

// One encoding with its parameters fixed. Immutable and safe to share.
class PositionEncoding {
public:
    virtual ~PositionEncoding() = default;

    // Number of features of one location.
    virtual int dim() const = 0;

    // lonlat: n pairs (longitude, latitude) in degrees; features: n rows of dim() floats.
    // Coordinates are rounded to float32 first and angles are formed in float64, as the
    // published models were trained (Mai et al. 2020, 2023; see doc/numerics.md).
    virtual void encode(const double *lonlat, std::size_t n, float *features) const = 0;
};

// Builds config.position_encoding with config's parameters. Throws
// Error(undefined_object) with the list of known encodings.
std::unique_ptr<PositionEncoding> make_position_encoding(const ModelConfig &config);

// The canonical name for any published or alias name ("Space2Vec-grid", "gridcell" ->
// "grid"; "Sphere2Vec-sphereC+", "spheregrid" -> "sphereC+"). Case matters not.
std::string canonical_position_encoding(const std::string &name);

// Canonical names, in the order of the papers.
std::vector<std::string> position_encoding_names();

}  // namespace csp

// Position encodings: a location in, features out. Written once, used by training and by
// queries alike.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "config.h"
#include "tensors.h"

namespace csp {

// One encoding with its parameters fixed. Immutable and safe to share.
class PositionEncoding {
public:
    explicit PositionEncoding(int dim) : dim_(dim) {}
    virtual ~PositionEncoding() = default;

    // Number of features of one location.
    int dim() const { return dim_; }

    // lonlat: n pairs (longitude, latitude) in degrees; features: n rows of dim() floats.
    // Coordinates are rounded to float32 first and angles are formed in float64, as the
    // published models were trained (Mai et al. 2020, 2023; see doc/numerics.md).
    void encode(const double *lonlat, std::size_t n, float *features) const {
        for (std::size_t i = 0; i < n; ++i)
            encode_one(static_cast<float>(lonlat[2 * i]), static_cast<float>(lonlat[2 * i + 1]), features + i * static_cast<std::size_t>(dim_));
    }

    // The same for one location, given as float32. (Rounding in here would be at the mercy of the compiler: GCC 12 drops
    // the rounding of two doubles to floats and back where it vectorizes them.)
    virtual void encode_one(float lon, float lat, float *features) const = 0;

private:
    int dim_;
};

// Builds config.position_encoding with config's parameters. `tensors` are those of the model: anchors and random draws
// are part of it. Throws Error(undefined_object) with the list of known encodings, Error(data_corrupted) for a tensor
// that is missing.
std::unique_ptr<PositionEncoding> make_position_encoding(const ModelConfig &config, const TensorMap &tensors = {});

// The encoding as training sees it. It is the same, but for `tile`, whose features are trained: it gives the number of
// the tile, one feature.
std::unique_ptr<PositionEncoding> make_trainable_encoding(const ModelConfig &config, const TensorMap &tensors = {});

// dim() of make_position_encoding's result, without tensors.
int position_dim(const ModelConfig &config);

// The canonical name for any published or alias name ("Space2Vec-grid", "gridcell" ->
// "grid"; "Sphere2Vec-sphereC+", "spheregrid" -> "sphereC+"). Case matters not.
std::string canonical_position_encoding(const std::string &name);

// Canonical names, in the order of the papers.
std::vector<std::string> position_encoding_names();

}  // namespace csp

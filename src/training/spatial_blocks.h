// Spatial blocks: the globe in cells, so that neighbours can be kept together. What is near is alike (spatial autocorrelation):
// test rows among training rows flatter a model, and intervals as of independent rows are too narrow.
#pragma once

#include <cstdint>
#include <string>

namespace csp {

// square: cells of equal degrees, which shrink towards the poles. hexagon: cells of nearly equal area all over the globe.
enum class BlockShape { square, hexagon };

const char *to_string(BlockShape value);
// Throws Error(invalid_parameter) that lists the words.
BlockShape block_shape_from_string(const std::string &word);

class SpatialBlocks {
public:
    // size: the side of a square in degrees, 0.001 to 180; about the distance in km between the centres of neighbouring
    // hexagons, 1 to 20000. Throws Error(invalid_parameter) for another.
    SpatialBlocks(BlockShape shape, double size);

    // The block of a place, longitude within [-180, 180]; numbers mean something only among blocks of one shape and size.
    // A pole is one place, and so are the two sides of the antimeridian.
    int64_t block(double lon, double lat) const;

private:
    int64_t square(double lon, double lat) const;
    int64_t hexagon(double lon, double lat) const;

    BlockShape shape_;
    double size_;
    int subdivisions_;  // of an edge of the icosahedron
};

// The fold of a block, 1 to folds: drawn from the number of the block and the seed alone.
int fold_of_block(int64_t block, int folds, int64_t seed);

}  // namespace csp

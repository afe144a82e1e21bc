// tile [tile_ffn]: one trained vector for each cell of a grid over the extent (after Tang et al., Improving Image
// Classification with Location Context, ICCV 2015).
#pragma once

#include <cstdint>
#include <memory>

#include "position_encoding.h"

namespace csp {

constexpr const char *tile_tensor = "spa_enc.position_encoder.embedding.weight";  // (tile_count, D)

bool is_tile(const ModelConfig &config);

// Cells of min_radius degrees that cover the extent.
int64_t tile_count(const ModelConfig &config);

// The number of the cell as the one feature: row * columns + column, from the south-west; places outside the extent
// belong to the nearest cell.
std::unique_ptr<PositionEncoding> make_tile_number(const ModelConfig &config);

}  // namespace csp

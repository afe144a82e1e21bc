// Which rows of a run are held out to validate: whole places, or whole spatial blocks.
#pragma once

#include <cstdint>
#include <vector>

#include "options.h"

namespace csp {

// One mark a row of lonlat (rows x 2, degrees), 1: held out. A draw by place and seed: the same rows give the same marks
// in whatever order they come, and rows of one place stay together.
//
// With validation_block_size whole spatial blocks are held out (see SpatialBlocks), in a random order, each that brings their rows
// nearer to validation_fraction of all; at least one, the smallest if all are too large. Throws Error(invalid_data) if
// all rows are in one block.
std::vector<uint8_t> draw_validation_rows(const std::vector<double> &lonlat, const TrainingOptions &options);

}  // namespace csp

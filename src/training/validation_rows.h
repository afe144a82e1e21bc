// Which rows of a run are held out to validate: whole places, or whole spatial blocks.
#pragma once

#include <cstdint>
#include <vector>

#include "options.h"

namespace csp {

// One mark a row of lonlat (rows x 2, degrees) and classes (rows; -1: no label), 1: held out. A draw by place and seed: the
// same rows give the same marks in whatever order they come, and rows of one place stay together.
//
// With validation_block_size whole spatial blocks are held out (see SpatialBlocks). Of rows with a label, if there are any:
// blocks without are left to pre-training, of which there may be many more. They come in a random order, and each is held
// out that brings the count nearer to validation_fraction of all; at least one is, the smallest if all are too large. Throws
// Error(invalid_data) if all rows that count are in one block.
std::vector<uint8_t> draw_validation_rows(const std::vector<double> &lonlat, const std::vector<int32_t> &classes,
                                          const TrainingOptions &options);

}  // namespace csp

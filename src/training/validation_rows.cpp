// Drawing of rows to hold out.
#include "validation_rows.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <unordered_map>
#include <unordered_set>

#include "../encoder/error.h"
#include "options_table.h"
#include "random.h"
#include "spatial_blocks.h"

namespace csp {
namespace {

// A number in [0, 1) from a place and a seed (finalizer of splitmix64).
double place_hash(const double *lonlat, int64_t seed) {
    uint64_t bits[2];
    std::memcpy(bits, lonlat, sizeof bits);
    uint64_t hash = static_cast<uint64_t>(seed) * 0x9e3779b97f4a7c15u;
    for (uint64_t part : bits) {
        hash += part + 0x9e3779b97f4a7c15u;
        hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9u;
        hash = (hash ^ (hash >> 27)) * 0x94d049bb133111ebu;
        hash ^= hash >> 31;
    }
    return static_cast<double>(hash >> 11) * 0x1p-53;
}

std::vector<uint8_t> draw_places(const std::vector<double> &lonlat, const TrainingOptions &options) {
    std::vector<uint8_t> held_out(lonlat.size() / 2);
    for (std::size_t i = 0; i < held_out.size(); ++i)
        held_out[i] = place_hash(&lonlat[2 * i], options.seed) < options.validation_fraction;
    return held_out;
}

struct Block {
    uint64_t order;  // random
    int64_t number;
    int64_t rows;  // that count
    bool held_out;
};

std::vector<int64_t> block_of_rows(const std::vector<double> &lonlat, const TrainingOptions &options) {
    const SpatialBlocks blocks(options.validation_block_shape, options.validation_block_size);
    std::vector<int64_t> numbers(lonlat.size() / 2);
    for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = blocks.block(lonlat[2 * i], lonlat[2 * i + 1]);
    return numbers;
}

// The blocks that have rows that count, in random order.
std::vector<Block> shuffled_blocks(const std::vector<int64_t> &of_rows, const std::vector<int32_t> &classes, int64_t seed) {
    const bool labels_count = std::any_of(classes.begin(), classes.end(), [](int32_t id) { return id >= 0; });
    std::unordered_map<int64_t, int64_t> counts;
    for (std::size_t i = 0; i < of_rows.size(); ++i)
        if (!labels_count || classes[i] >= 0) ++counts[of_rows[i]];
    const uint64_t key = mix_bits(static_cast<uint64_t>(seed), 0x76616c6964);
    std::vector<Block> blocks;
    for (const auto &[number, rows] : counts)
        blocks.push_back({mix_bits(key, static_cast<uint64_t>(number)), number, rows, false});
    std::sort(blocks.begin(), blocks.end(), [](const Block &a, const Block &b) {
        return std::pair(a.order, a.number) < std::pair(b.order, b.number);
    });
    return blocks;
}

void require_several(const std::vector<Block> &blocks, const TrainingOptions &options) {
    if (blocks.size() >= 2) return;
    const bool square = options.validation_block_shape == BlockShape::square;
    throw Error(ErrorKind::invalid_data, "all rows are in one spatial block, which cannot be held out",
                "validation_block_size is " + number_text(options.validation_block_size) +
                    (square ? " degrees." : " km.") + " Where there are labels, rows with a label count.",
                "Lower validation_block_size, or set it to 0 to hold out single places.");
}

void hold_out(std::vector<Block> &blocks, double fraction) {
    double all = 0, so_far = 0;
    for (const Block &block : blocks) all += static_cast<double>(block.rows);
    for (Block &block : blocks) {
        const double with = so_far + static_cast<double>(block.rows);
        block.held_out = std::abs(with - fraction * all) < std::abs(so_far - fraction * all);
        if (block.held_out) so_far = with;
    }
    if (so_far > 0) return;
    std::min_element(blocks.begin(), blocks.end(), [](const Block &a, const Block &b) { return a.rows < b.rows; })->held_out = true;
}

std::vector<uint8_t> draw_blocks(const std::vector<double> &lonlat, const std::vector<int32_t> &classes,
                                 const TrainingOptions &options) {
    const std::vector<int64_t> of_rows = block_of_rows(lonlat, options);
    std::vector<Block> blocks = shuffled_blocks(of_rows, classes, options.seed);
    require_several(blocks, options);
    hold_out(blocks, options.validation_fraction);
    std::unordered_set<int64_t> held_out;
    for (const Block &block : blocks)
        if (block.held_out) held_out.insert(block.number);
    std::vector<uint8_t> marks(of_rows.size());
    for (std::size_t i = 0; i < of_rows.size(); ++i) marks[i] = held_out.count(of_rows[i]) > 0;
    return marks;
}

}  // namespace

std::vector<uint8_t> draw_validation_rows(const std::vector<double> &lonlat, const std::vector<int32_t> &classes,
                                          const TrainingOptions &options) {
    const bool by_blocks = options.validation_block_size > 0 && options.validation_fraction > 0 && !lonlat.empty();
    return by_blocks ? draw_blocks(lonlat, classes, options) : draw_places(lonlat, options);
}

}  // namespace csp

// tile: one trained vector for each cell of a grid.
#include "tile.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "error.h"
#include "position_family.h"
#include "tensor_access.h"

namespace csp {

namespace {

constexpr int64_t most_tiles = 1 << 22;  // a float counts them exactly, and a table of them fits into memory

class Cells {
public:
    // The published class never learns the interval, and its default leaves one cell.
    explicit Cells(const ModelConfig &config)
        : extent_(config.extent), interval_(config.published_defects ? 1e6 : config.min_radius) {
        columns_ = std::ceil((extent_.east - extent_.west) / interval_);
        rows_ = std::ceil((extent_.north - extent_.south) / interval_);
    }

    double count() const { return columns_ * rows_; }

    int64_t number(float lon, float lat) const {
        const double column = std::floor((lon - extent_.west) / interval_);
        const double row = std::floor((lat - extent_.south) / interval_);
        return static_cast<int64_t>(std::clamp(row, 0.0, rows_ - 1) * columns_ + std::clamp(column, 0.0, columns_ - 1));
    }

private:
    Extent extent_;
    double interval_;
    double columns_, rows_;
};

class TileNumber : public PositionEncoding {
public:
    explicit TileNumber(const ModelConfig &config) : PositionEncoding(1), cells_(config) {}

    void encode_one(float lon, float lat, float *features) const override {
        features[0] = static_cast<float>(cells_.number(lon, lat));
    }

private:
    Cells cells_;
};

class Tile : public PositionEncoding {
public:
    Tile(const ModelConfig &config, std::vector<float> table)
        : PositionEncoding(config.embedding_dim), cells_(config), table_(std::move(table)) {}

    void encode_one(float lon, float lat, float *features) const override {
        const auto width = static_cast<std::size_t>(dim());
        std::memcpy(features, table_.data() + static_cast<std::size_t>(cells_.number(lon, lat)) * width,
                    width * sizeof(float));
    }

private:
    Cells cells_;
    std::vector<float> table_;
};

int dim(const ModelConfig &config) {
    return config.embedding_dim;
}

void check(const ModelConfig &config) {
    require_extent(config);
    if (Cells(config).count() > static_cast<double>(most_tiles))
        throw Error(ErrorKind::invalid_parameter, "position encoding \"tile\" has too many cells",
                    "Cells of min_radius degrees in this extent are more than " + std::to_string(most_tiles) + ".",
                    "Raise min_radius, the width of a cell, or give a smaller map_range.");
}

std::unique_ptr<PositionEncoding> make(const ModelConfig &config, const TensorMap &tensors, const Kernels &) {
    return std::make_unique<Tile>(
        config, require_tensor(tensors, tile_tensor, {tile_count(config), config.embedding_dim}).values);
}

void set_defaults(ModelConfig &config) {
    config.min_radius = 5;
    config.max_radius = 360;
}

}  // namespace

bool is_tile(const ModelConfig &config) {
    return config.position_encoding == "tile";
}

int64_t tile_count(const ModelConfig &config) {
    return static_cast<int64_t>(Cells(config).count());
}

std::unique_ptr<PositionEncoding> make_tile_number(const ModelConfig &config) {
    return std::make_unique<TileNumber>(config);
}

std::vector<PositionFamily> tile_families() {
    return {{"tile", {"tile_ffn"}, set_defaults, check, dim, make}};
}

}  // namespace csp

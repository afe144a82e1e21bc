// Squares of degrees, and hexagons on an icosahedron.
//
// Hexagons, as those of Uber's H3 and of geodesic grids: every face of an icosahedron is divided into small triangles, and a
// cell is what lies nearest to one of their corners, so that six triangles make a hexagon, and five a pentagon around each of
// the icosahedron's twelve corners. There is no seam and no pole. Within a face a place has areal coordinates, the shares
// of the face's area of the three triangles that it makes with the corners (Lexell's small circles): on an edge they are the
// same from both sides, and cells of them differ in area by much less than in the gnomonic projection of H3.
#include "spatial_blocks.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "../encoder/error.h"
#include "options_table.h"
#include "random.h"

namespace csp {
namespace {

constexpr double pi = 3.14159265358979323846;
constexpr double earth_radius_km = 6371.0088;

using Vector = std::array<double, 3>;

double dot(const Vector &a, const Vector &b) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }

double determinant(const Vector &a, const Vector &b, const Vector &c) {
    return a[0] * (b[1] * c[2] - b[2] * c[1]) + a[1] * (b[2] * c[0] - b[0] * c[2]) + a[2] * (b[0] * c[1] - b[1] * c[0]);
}

// Of a spherical triangle of unit vectors (Van Oosterom and Strackee, 1983).
double area(const Vector &a, const Vector &b, const Vector &c) {
    return 2 * std::atan2(std::fabs(determinant(a, b, c)), 1 + dot(a, b) + dot(b, c) + dot(c, a));
}

struct Face {
    std::array<int, 3> corners;  // ascending
    Vector centre;               // not of unit length
};

struct Icosahedron {
    std::array<Vector, 12> corners;
    std::vector<Face> faces;

    Icosahedron() {
        const double golden = (1 + std::sqrt(5.0)) / 2, length = std::sqrt(1 + golden * golden);
        const double one = 1 / length, phi = golden / length;
        int n = 0;
        for (double a : {-one, one})
            for (double b : {-phi, phi}) {
                corners[n++] = {0, a, b};
                corners[n++] = {a, b, 0};
                corners[n++] = {b, 0, a};
            }
        const double neighbours = 0.4;  // the cosine of two neighbours is 0.447, of others negative
        for (int a = 0; a < 12; ++a)
            for (int b = a + 1; b < 12; ++b)
                for (int c = b + 1; c < 12; ++c)
                    if (dot(corners[a], corners[b]) > neighbours && dot(corners[b], corners[c]) > neighbours &&
                        dot(corners[c], corners[a]) > neighbours)
                        add_face(a, b, c);
    }

    void add_face(int a, int b, int c) {
        Face face{{a, b, c}, {}};
        for (int i = 0; i < 3; ++i) face.centre[i] = corners[a][i] + corners[b][i] + corners[c][i];
        faces.push_back(face);
    }

    const Face &face_of(const Vector &place) const {
        const Face *nearest = &faces[0];
        for (const Face &face : faces)
            if (dot(face.centre, place) > dot(nearest->centre, place)) nearest = &face;
        return *nearest;
    }
};

const Icosahedron &icosahedron() {
    static const Icosahedron solid;
    return solid;
}

// The corner of a triangular lattice that is nearest, from coordinates that add up to n: they are rounded, and the one that
// moved farthest makes up for the sum.
std::array<int64_t, 3> round_to_lattice(const std::array<double, 3> &coordinates, int64_t n) {
    std::array<int64_t, 3> rounded;
    int farthest = 0;
    double distance = -1;
    int64_t sum = 0;
    for (int i = 0; i < 3; ++i) {
        rounded[i] = std::clamp<int64_t>(std::llround(coordinates[i]), 0, n);
        sum += rounded[i];
        const double moved = std::fabs(coordinates[i] - static_cast<double>(rounded[i]));
        if (moved > distance) {
            distance = moved;
            farthest = i;
        }
    }
    rounded[farthest] += n - sum;
    return rounded;
}

// Corners of weight 0 are left out, so that a cell on an edge has the same number from both sides: 4 bits for each corner,
// and 20 for their weights but for the last, which makes up for the sum.
int64_t number_of(const Face &face, const std::array<int64_t, 3> &lattice) {
    std::array<int64_t, 3> corners = {15, 15, 15}, weights = {0, 0, 0};
    for (int i = 0, used = 0; i < 3; ++i) {
        if (lattice[i] == 0) continue;
        corners[used] = face.corners[i];
        weights[used++] = lattice[i];
    }
    return corners[0] << 48 | corners[1] << 44 | corners[2] << 40 | weights[0] << 20 | weights[1];
}

}  // namespace

const char *to_string(BlockShape value) { return value == BlockShape::square ? "square" : "hexagon"; }

BlockShape block_shape_from_string(const std::string &word) {
    for (BlockShape shape : {BlockShape::square, BlockShape::hexagon})
        if (word == to_string(shape)) return shape;
    throw Error(ErrorKind::invalid_parameter, "spatial blocks have no shape \"" + word + "\"", {}, "Use one of: square, hexagon.");
}

SpatialBlocks::SpatialBlocks(BlockShape shape, double size) : shape_(shape), size_(size), subdivisions_(0) {
    const bool square = shape == BlockShape::square;
    const double low = square ? 0.001 : 1, high = square ? 180 : 20000;
    if (!(size >= low && size <= high))
        throw Error(ErrorKind::invalid_parameter, "size " + number_text(size) + " is out of range for spatial blocks",
                    square ? "The range for squares is 0.001 to 180 degrees." : "The range for hexagons is 1 to 20000 km.");
    // There are 10 n^2 + 2 cells; the centres of hexagons of area A are sqrt(2 A / sqrt(3)) apart.
    const double all = 8 * pi * earth_radius_km * earth_radius_km / std::sqrt(3.0);
    subdivisions_ = std::max(1, static_cast<int>(std::lround(std::sqrt(all / 10) / size)));
}

int64_t SpatialBlocks::block(double lon, double lat) const {
    if (std::fabs(lat) == 90 || lon == 180) lon = -180;
    return shape_ == BlockShape::square ? square(lon, lat) : hexagon(lon, lat);
}

int64_t SpatialBlocks::square(double lon, double lat) const {
    const auto rows = static_cast<int64_t>(std::ceil(180 / size_)), columns = static_cast<int64_t>(std::ceil(360 / size_));
    const auto row = std::clamp<int64_t>(static_cast<int64_t>(std::floor((lat + 90) / size_)), 0, rows - 1);
    const auto column = std::clamp<int64_t>(static_cast<int64_t>(std::floor((lon + 180) / size_)), 0, columns - 1);
    return row * columns + column;
}

int64_t SpatialBlocks::hexagon(double lon, double lat) const {
    const Icosahedron &solid = icosahedron();
    const double x = lon * pi / 180, y = lat * pi / 180;
    const Vector place = {std::cos(y) * std::cos(x), std::cos(y) * std::sin(x), std::sin(y)};
    const Face &face = solid.face_of(place);
    std::array<double, 3> coordinates;
    double sum = 0;
    for (int i = 0; i < 3; ++i) {
        const int next = face.corners[(i + 1) % 3], last = face.corners[(i + 2) % 3];
        sum += coordinates[i] = area(place, solid.corners[next], solid.corners[last]);
    }
    for (double &coordinate : coordinates) coordinate *= subdivisions_ / sum;
    const std::array<int64_t, 3> lattice = round_to_lattice(coordinates, subdivisions_);
    return number_of(face, lattice);
}

int fold_of_block(int64_t block, int folds, int64_t seed) {
    const uint64_t bits = mix_bits(mix_bits(static_cast<uint64_t>(seed), 0x666f6c64), static_cast<uint64_t>(block));
    return 1 + static_cast<int>((bits >> 32) * static_cast<uint64_t>(folds) >> 32);
}

}  // namespace csp

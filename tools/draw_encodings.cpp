// Draws what position encodings take for alike: the globe in longitude and latitude, one pixel a degree, coloured by the
// cosine of a place's features with those of Berlin, after subtracting the mean of the globe. Encodings have their usual
// parameters, and stand beside and below each other in each picture.
//
//   draw_encodings FOLDER     writes FOLDER/encodings-1.png and so on
#include <zlib.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "../bench/encoding_samples.h"
#include "../src/encoder/error.h"

namespace {

constexpr int width = 360;
constexpr int height = 180;
constexpr int gap = 6;
constexpr int columns = 2;
constexpr int samples = 4;  // a side of a pixel: finer waves than pixels would leave false patterns
constexpr double home[2] = {13.4, 52.5};
// In three pictures, row by row. doc/encoders.md has the names in the same order.
const std::vector<std::vector<std::string>> pictures = {
    {"grid", "gridcellnorm", "theory", "theorynorm", "theorydiag", "hexagridcell"},
    {"sphereC", "sphereC+", "sphereM", "sphereM+", "dfs", "spherical_harmonics", "xyz", "NeRF"},
    {"naive", "wrap", "wrap_ffn", "rbf", "rff", "tile"}};

// ---- similarity ---------------------------------------------------------------------------------------------

class Similarity {
public:
    explicit Similarity(const std::string &name)
        : encoding_(csp_bench::encoding_of(csp_bench::config_of(name, 0))),
          mean_(static_cast<std::size_t>(encoding_->dim())),
          home_(mean_.size()),
          features_(mean_.size()) {
        find_mean();
        encode(home[0], home[1]);
        home_.assign(features_.begin(), features_.end());
    }

    double at(double lon, double lat) {
        encode(lon, lat);
        double product = 0, here = 0, there = 0;
        for (std::size_t i = 0; i < mean_.size(); ++i) {
            const double a = features_[i] - mean_[i];
            const double b = home_[i] - mean_[i];
            product += a * b;
            here += a * a;
            there += b * b;
        }
        return product / std::sqrt(std::max(here * there, 1e-30));
    }

private:
    void encode(double lon, double lat) {
        encoding_->encode_one(static_cast<float>(lon), static_cast<float>(lat), features_.data());
    }

    // Over the surface of the globe.
    void find_mean() {
        double total = 0;
        for (double lat = -89.5; lat < 90; ++lat)
            for (double lon = -179.5; lon < 180; ++lon) {
                const double area = std::cos(lat * 0.017453292519943295);
                encode(lon, lat);
                for (std::size_t i = 0; i < mean_.size(); ++i)
                    mean_[i] += area * features_[i];
                total += area;
            }
        for (double &value : mean_)
            value /= total;
    }

    std::unique_ptr<csp::PositionEncoding> encoding_;
    std::vector<double> mean_;
    std::vector<float> home_;
    std::vector<float> features_;
};

// ---- pictures -----------------------------------------------------------------------------------------------

constexpr int shades = 24;
constexpr uint8_t paper = shades;     // white, between the maps
constexpr uint8_t marker = shades + 1;  // red, around the place

struct Picture {
    int width, height;
    std::vector<uint8_t> pixels;  // numbers of colours

    uint8_t &at(int x, int y) { return pixels[static_cast<std::size_t>(y) * static_cast<std::size_t>(width) + static_cast<std::size_t>(x)]; }
};

// From -1 to 1.
uint8_t shade(double similarity) {
    return static_cast<uint8_t>(std::clamp(static_cast<int>((similarity + 1) / 2 * shades), 0, shades - 1));
}

// Of equal steps in lightness, dark blue to light yellow.
std::vector<uint8_t> palette() {
    const double stops[5][3] = {{68, 1, 84}, {59, 82, 139}, {33, 145, 140}, {94, 201, 98}, {253, 231, 37}};
    std::vector<uint8_t> colours;
    for (int i = 0; i < shades; ++i) {
        const double position = 4.0 * i / (shades - 1);
        const int stop = std::min(static_cast<int>(position), 3);
        for (int c = 0; c < 3; ++c)
            colours.push_back(static_cast<uint8_t>(stops[stop][c] + (position - stop) * (stops[stop + 1][c] - stops[stop][c])));
    }
    colours.insert(colours.end(), {255, 255, 255, 220, 30, 30});
    return colours;
}

double mean_of_pixel(Similarity &similarity, int x, int y) {
    double sum = 0;
    for (int i = 0; i < samples; ++i)
        for (int j = 0; j < samples; ++j)
            sum += similarity.at(-180 + x + (i + 0.5) / samples, 90 - y - (j + 0.5) / samples);
    return sum / (samples * samples);
}

void draw_map(const std::string &name, Picture &picture, int left, int top) {
    Similarity similarity(name);
    for (int y = 0; y < height; ++y)
        for (int x = 0; x < width; ++x)
            picture.at(left + x, top + y) = shade(mean_of_pixel(similarity, x, y));
    const int x = left + static_cast<int>(std::floor(home[0] + 180));
    const int y = top + static_cast<int>(std::floor(90 - home[1]));
    for (int i = -8; i <= 8; ++i)
        if (std::abs(i) > 4)
            picture.at(x + i, y) = picture.at(x, y + i) = marker;
}

Picture draw(const std::vector<std::string> &names) {
    const int rows = (static_cast<int>(names.size()) + columns - 1) / columns;
    Picture picture{columns * (width + gap) - gap, rows * (height + gap) - gap, {}};
    picture.pixels.assign(static_cast<std::size_t>(picture.width) * static_cast<std::size_t>(picture.height), paper);
    for (int i = 0; i < static_cast<int>(names.size()); ++i)
        draw_map(names[static_cast<std::size_t>(i)], picture, i % columns * (width + gap), i / columns * (height + gap));
    return picture;
}

// ---- PNG ----------------------------------------------------------------------------------------------------

void add_number(std::vector<uint8_t> &bytes, std::size_t number) {
    for (int shift = 24; shift >= 0; shift -= 8)
        bytes.push_back(static_cast<uint8_t>(number >> shift));
}

void add_chunk(std::vector<uint8_t> &file, const char *type, const std::vector<uint8_t> &data) {
    add_number(file, data.size());
    const std::size_t start = file.size();
    file.insert(file.end(), type, type + 4);
    file.insert(file.end(), data.begin(), data.end());
    add_number(file, crc32(0, file.data() + start, static_cast<uInt>(file.size() - start)));
}

std::vector<uint8_t> compressed(const std::vector<uint8_t> &bytes) {
    uLongf size = compressBound(bytes.size());
    std::vector<uint8_t> result(size);
    if (compress2(result.data(), &size, bytes.data(), bytes.size(), 9) != Z_OK)
        throw csp::Error(csp::ErrorKind::external_library, "zlib could not compress a picture");
    result.resize(size);
    return result;
}

std::vector<uint8_t> png(Picture &picture) {
    std::vector<uint8_t> file = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    std::vector<uint8_t> header;
    add_number(header, static_cast<std::size_t>(picture.width));
    add_number(header, static_cast<std::size_t>(picture.height));
    header.insert(header.end(), {8, 3, 0, 0, 0});  // 8 bits a pixel, a palette
    add_chunk(file, "IHDR", header);
    add_chunk(file, "PLTE", palette());
    std::vector<uint8_t> rows;
    for (int y = 0; y < picture.height; ++y) {
        rows.push_back(0);  // no filter
        rows.insert(rows.end(), &picture.at(0, y), &picture.at(0, y) + picture.width);
    }
    add_chunk(file, "IDAT", compressed(rows));
    add_chunk(file, "IEND", {});
    return file;
}

bool write(const std::string &path, const std::vector<uint8_t> &bytes) {
    std::FILE *file = std::fopen(path.c_str(), "wb");
    if (!file)
        return false;
    const bool written = std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size();
    return std::fclose(file) == 0 && written;
}

}  // namespace

int main(int argc, char **argv) {
    if (argc != 2) {
        std::fprintf(stderr, "usage: draw_encodings FOLDER\n");
        return 2;
    }
    try {
        for (std::size_t i = 0; i < pictures.size(); ++i) {
            const std::string path = std::string(argv[1]) + "/encodings-" + std::to_string(i + 1) + ".png";
            Picture picture = draw(pictures[i]);
            if (!write(path, png(picture))) {
                std::fprintf(stderr, "cannot write %s\n", path.c_str());
                return 1;
            }
        }
    } catch (const csp::Error &error) {
        std::fprintf(stderr, "%s\n%s\n", error.message().c_str(), error.hint().c_str());
        return 1;
    }
    return 0;
}

// Which rows are held out to validate.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <set>

#include "../../src/encoder/error.h"
#include "../../src/training/random.h"
#include "../../src/training/spatial_blocks.h"
#include "../../src/training/validation_rows.h"
#include "training_support.h"

namespace csp {
namespace {

using csp_test::error_of;

struct Globe {
    std::vector<double> lonlat;

    explicit Globe(std::size_t rows, int64_t seed = 1) {
        RandomStream random(seed, RandomPurpose::order);
        for (std::size_t i = 0; i < rows; ++i) {
            lonlat.push_back(360 * random.uniform() - 180);
            lonlat.push_back(120 * random.uniform() - 60);
        }
    }
    std::size_t rows() const { return lonlat.size() / 2; }
};

// Without labels, if none are given.
std::vector<uint8_t> draw(const Globe &globe, const TrainingOptions &options, std::vector<int32_t> classes = {}) {
    classes.resize(globe.rows(), -1);
    return draw_validation_rows(globe.lonlat, classes, options);
}

double share(const std::vector<uint8_t> &held_out) {
    return std::accumulate(held_out.begin(), held_out.end(), 0.0) / static_cast<double>(held_out.size());
}

TrainingOptions by_blocks(double size, BlockShape shape = BlockShape::square) {
    TrainingOptions options;
    options.validation_block_size = size;
    options.validation_block_shape = shape;
    return options;
}

// Of each block that has rows, whether they are held out; all of them are or none.
std::map<int64_t, bool> marks_of_blocks(const Globe &globe, const TrainingOptions &options) {
    const std::vector<uint8_t> held_out = draw(globe, options);
    const SpatialBlocks blocks(options.validation_block_shape, options.validation_block_size);
    std::map<int64_t, bool> marks;
    for (std::size_t i = 0; i < globe.rows(); ++i) {
        const auto [entry, is_new] = marks.emplace(blocks.block(globe.lonlat[2 * i], globe.lonlat[2 * i + 1]), held_out[i]);
        EXPECT_TRUE(is_new || entry->second == (held_out[i] == 1)) << "a block is torn apart";
    }
    return marks;
}

TEST(ValidationRows, PlacesStayTogetherAndTheShareIsThatAskedFor) {
    Globe globe(4000);
    globe.lonlat.insert(globe.lonlat.end(), globe.lonlat.begin(), globe.lonlat.end());
    TrainingOptions options;
    options.validation_fraction = 0.3;
    const std::vector<uint8_t> held_out = draw(globe, options);
    EXPECT_NEAR(share(held_out), 0.3, 0.03);
    EXPECT_TRUE(std::equal(held_out.begin(), held_out.begin() + 4000, held_out.begin() + 4000));
    options.seed = 1;
    EXPECT_NE(draw(globe, options), held_out);
    options.validation_fraction = 0;
    EXPECT_EQ(share(draw(globe, options)), 0);
}

TEST(ValidationRows, BlocksAreHeldOutAsAWhole) {
    const Globe globe(5000);
    for (const TrainingOptions &options : {by_blocks(10), by_blocks(1000, BlockShape::hexagon)}) {
        const std::map<int64_t, bool> marks = marks_of_blocks(globe, options);
        EXPECT_GT(marks.size(), 200u);
        EXPECT_NEAR(share(draw(globe, options)), 0.1, 0.002) << "the last blocks make up for the first";
    }
}

TEST(ValidationRows, BlocksAreAMatterOfTheRowsAndTheSeedNotOfTheOrder) {
    const Globe globe(2000);
    Globe reversed(0);
    for (std::size_t i = globe.rows(); i-- > 0;) reversed.lonlat.insert(reversed.lonlat.end(), &globe.lonlat[2 * i], &globe.lonlat[2 * i] + 2);
    TrainingOptions options = by_blocks(20);
    std::vector<uint8_t> marks = draw(globe, options);
    std::vector<uint8_t> of_reversed = draw(reversed, options);
    std::reverse(of_reversed.begin(), of_reversed.end());
    EXPECT_EQ(marks, of_reversed);
    options.seed = 7;
    EXPECT_NE(draw(globe, options), marks);
}

TEST(ValidationRows, WhereThereAreLabelsBlocksWithLabelsAreHeldOut) {
    const Globe globe(5000);
    std::vector<int32_t> classes(globe.rows(), -1);  // labels in the east, one row in two
    double labelled = 0, labelled_held_out = 0;
    for (std::size_t i = 0; i < globe.rows(); i += 2)
        if (globe.lonlat[2 * i] > 60) classes[i] = 0, ++labelled;
    const std::vector<uint8_t> marks = draw(globe, by_blocks(10), classes);
    for (std::size_t i = 0; i < globe.rows(); ++i) {
        EXPECT_TRUE(globe.lonlat[2 * i] > 60 || marks[i] == 0) << "a block without labels";
        if (classes[i] >= 0) labelled_held_out += marks[i];
    }
    EXPECT_NEAR(labelled_held_out / labelled, 0.1, 0.002);
    EXPECT_GT(share(marks), 1.7 * labelled_held_out / static_cast<double>(globe.rows())) << "rows without a label of the same blocks too";

    std::fill(classes.begin(), classes.end(), -1);
    classes[0] = classes[1] = 0;
    Globe apart = globe;
    for (std::size_t i : {0, 1, 2, 3}) apart.lonlat[i] = 5;
    EXPECT_EQ(error_of([&] { draw(apart, by_blocks(10), classes); }).kind(), ErrorKind::invalid_data) << "all labels in one block";
}

TEST(ValidationRows, ABlockTooLargeIsLeftAndOneIsHeldOutAtLeast) {
    Globe globe(0);
    const auto add = [&](int rows, double lon) {
        for (int i = 0; i < rows; ++i) globe.lonlat.insert(globe.lonlat.end(), {lon, 5});
    };
    add(900, 5);
    add(60, 25);
    add(40, 45);
    for (int64_t seed = 0; seed < 10; ++seed) {
        TrainingOptions options = by_blocks(10);
        options.seed = seed;
        const std::vector<uint8_t> marks = draw(globe, options);
        EXPECT_EQ(marks[0], 0) << "nine tenths of the rows would be";
        EXPECT_NEAR(share(marks), 0.1, 1e-9);
        options.validation_fraction = 0.001;
        EXPECT_NEAR(share(draw(globe, options)), 0.04, 1e-9) << "the smallest";
        options.validation_fraction = 0;
        EXPECT_EQ(share(draw(globe, options)), 0);
    }
}

TEST(ValidationRows, OneBlockCannotBeHeldOut) {
    const std::vector<double> lonlat = {1, 1, 2, 2, 3, 3};
    const Error error = error_of([&] { draw_validation_rows(lonlat, {-1, -1, -1}, by_blocks(10)); });
    EXPECT_EQ(error.kind(), ErrorKind::invalid_data);
    EXPECT_NE(error.detail().find("10 degrees"), std::string::npos);
    EXPECT_NE(error.hint().find("Lower validation_block_size"), std::string::npos);
    EXPECT_EQ(draw_validation_rows({}, {}, by_blocks(10)).size(), 0u) << "that there are no rows is told elsewhere";
}

TEST(ValidationRows, SizesOfBlocksHaveRanges) {
    TrainingOptions options = by_blocks(181);
    EXPECT_EQ(error_of([&] { validate(options); }).kind(), ErrorKind::invalid_parameter);
    options.validation_block_shape = BlockShape::hexagon;
    EXPECT_NO_THROW(validate(options));
    options.validation_block_size = 0.5;
    EXPECT_EQ(error_of([&] { validate(options); }).kind(), ErrorKind::invalid_parameter);
}

}  // namespace
}  // namespace csp

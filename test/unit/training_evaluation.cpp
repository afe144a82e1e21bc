// Evaluation: outcomes, figures, intervals, spatial blocks and retrieval, against sums by hand and by brute force.
#include "../../src/training/evaluation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <random>
#include <set>

#include "encoder_support.h"

namespace csp {
namespace {

using csp_test::expect_error;
using csp_test::random_values;

const Check no_check = [] {};
using Key = std::pair<std::string, std::string>;  // metric and part

std::map<Key, Figure> by_name(const std::vector<Figure> &figures, const std::string &scope) {
    std::map<Key, Figure> map;
    for (const Figure &figure : figures)
        if (figure.scope == scope) {
            EXPECT_TRUE(map.emplace(Key(figure.metric, figure.part.value_or("")), figure).second) << figure.metric;
        }
    return map;
}

// ---- outcomes of a row ---------------------------------------------------------------------------------------------------

Outcome judge_by_sorting(const std::vector<float> &values, int truth) {
    std::vector<std::size_t> order(values.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return values[a] > values[b]; });
    const double sum = std::accumulate(values.begin(), values.end(), 0.0);
    const auto position = std::find(order.begin(), order.end(), static_cast<std::size_t>(truth)) - order.begin();
    return {static_cast<std::size_t>(position) + 1, values[static_cast<std::size_t>(truth)] / sum, values[order[0]] / sum};
}

TEST(Outcome, IsThatOfSortedClasses) {
    unsigned seed = 0;
    for (std::size_t n : {1, 2, 15, 16, 17, 31, 100, 4096, 4097, 9000}) {
        for (const bool ties : {false, true}) {
            std::vector<float> values = random_values(n, 1, ++seed);
            for (float &value : values) value = ties ? std::round(std::fabs(value) * 4) / 4 + 0.25f : std::fabs(value) + 1e-6f;
            for (std::size_t truth = 0; truth < n; truth += 1 + n / 37) {
                const Outcome expected = judge_by_sorting(values, static_cast<int>(truth));
                const Outcome outcome = judge(values.data(), n, static_cast<int>(truth));
                EXPECT_EQ(outcome.rank, expected.rank) << n << " classes";
                EXPECT_NEAR(outcome.probability, expected.probability, 1e-6 * expected.probability);
                EXPECT_NEAR(outcome.confidence, expected.confidence, 1e-6 * expected.confidence);
            }
        }
    }
}

TEST(Outcome, OfAnUnknownClassAndOfNothing) {
    const std::vector<float> values = {0.5f, 0.25f, 0.75f};
    EXPECT_EQ(judge(values.data(), 3, -1).rank, 0u);
    EXPECT_FLOAT_EQ(static_cast<float>(judge(values.data(), 3, -1).confidence), 0.5f);
    const std::vector<float> zeros(40, 0);
    EXPECT_EQ(judge(zeros.data(), 40, 7).rank, 8u) << "equal ones in the order of the classes";
    EXPECT_EQ(judge(zeros.data(), 40, 7).confidence, 0);
}

TEST(Outcome, ManySmallProbabilitiesAreNotLost) {
    std::vector<float> values(1 << 21, 1e-7f);
    values[0] = 1;
    const double sum = 1 + 1e-7 * ((1 << 21) - 1);
    EXPECT_NEAR(judge(values.data(), values.size(), 0).probability, 1 / sum, 1e-6);
}

// ---- figures of a scope --------------------------------------------------------------------------------------------------

TEST(Figures, ByHand) {
    EvaluationOptions options;
    options.bins = 2;
    options.bootstrap = 0;
    options.per_class = true;
    ScopeSums sums(options, 3);
    sums.add({0, 0}, 0, {1, 0.5, 0.5});
    sums.add({0, 0}, 0, {2, 0.25, 0.75});
    sums.add({0, 0}, 1, {4, 0.125, 0.375});
    sums.add({0, 0}, -1, {0, 0, 0.25});
    const auto figures = by_name(sums.figures("s", {"a", "b", "c"}, no_check), "s");
    auto value = [&](const char *metric, const char *part = "") { return figures.at({metric, part}).value; };
    EXPECT_DOUBLE_EQ(value("top1"), 0.25);
    EXPECT_DOUBLE_EQ(value("top3"), 0.5);
    EXPECT_DOUBLE_EQ(value("top5"), 0.75);
    EXPECT_DOUBLE_EQ(value("top10"), 0.75) << "a class that the model does not know is a miss at every rank";
    EXPECT_DOUBLE_EQ(value("mrr"), (1 + 0.5 + 0.25 + 0) / 4);
    EXPECT_DOUBLE_EQ(value("log_loss"), std::log(2.0) * (1 + 2 + 3) / 3);
    EXPECT_EQ(figures.at({"log_loss", ""}).rows, 3);
    EXPECT_EQ(figures.at({"top1", ""}).rows, 4);
    EXPECT_DOUBLE_EQ(value("macro_accuracy"), (0.5 + 0) / 2) << "of the classes that have rows";
    // Bins 0-0.5: confidences 0.375, 0.25, no hit; 0.5-1: 0.5 and 0.75, one hit.
    EXPECT_DOUBLE_EQ(value("bin_confidence", "0-0.5"), 0.3125);
    EXPECT_DOUBLE_EQ(value("bin_accuracy", "0-0.5"), 0);
    EXPECT_DOUBLE_EQ(value("bin_confidence", "0.5-1"), 0.625);
    EXPECT_DOUBLE_EQ(value("bin_accuracy", "0.5-1"), 0.5);
    EXPECT_DOUBLE_EQ(value("ece"), 0.5 * 0.3125 + 0.5 * 0.125);
    EXPECT_DOUBLE_EQ(value("class_top1", "a"), 0.5);
    EXPECT_DOUBLE_EQ(value("class_top3", "a"), 1);
    EXPECT_DOUBLE_EQ(value("class_mrr", "b"), 0.25);
    EXPECT_TRUE(std::isnan(value("class_top1", "c")));
    EXPECT_EQ(figures.at({"class_top1", "c"}).rows, 0);
    EXPECT_TRUE(std::isnan(figures.at({"top1", ""}).low)) << "no bootstrap, no interval";
}

TEST(Figures, NoRowsGiveNoValues) {
    EvaluationOptions options;
    options.block_size = 1;
    options.folds = 2;
    const auto figures = ScopeSums(options, 2).figures("s", {"a", "b"}, no_check);
    ASSERT_FALSE(figures.empty());
    for (const Figure &figure : figures) {
        EXPECT_TRUE(std::isnan(figure.value)) << figure.metric;
        EXPECT_EQ(figure.rows, 0);
    }
}

TEST(Figures, OfFoldsAreThoseOfTheirRows) {
    EvaluationOptions options;
    options.bootstrap = 0;
    options.block_size = 1;
    options.folds = 3;
    ScopeSums sums(options, 2);
    const double truth[][3] = {{1, 1, 2}, {2, 2, 2}, {}};  // ranks, by fold
    for (int fold = 0; fold < 2; ++fold)
        for (double rank : truth[fold]) sums.add({0, fold + 1}, rank == 1 ? 0 : 1, {static_cast<std::size_t>(rank), 0.5, 0.5});
    const auto figures = by_name(sums.figures("s", {"a", "b"}, no_check), "s");
    EXPECT_DOUBLE_EQ(figures.at({"fold_top1", "1"}).value, 2.0 / 3);
    EXPECT_DOUBLE_EQ(figures.at({"fold_top1", "2"}).value, 0);
    EXPECT_TRUE(std::isnan(figures.at({"fold_top1", "3"}).value));
    EXPECT_DOUBLE_EQ(figures.at({"fold_macro_accuracy", "1"}).value, 0.5);
    EXPECT_DOUBLE_EQ(figures.at({"fold_mean_top1", ""}).value, 1.0 / 3);
    EXPECT_DOUBLE_EQ(figures.at({"fold_sd_top1", ""}).value, std::sqrt(2.0) / 3);
    EXPECT_DOUBLE_EQ(figures.at({"top1", ""}).value, 2.0 / 6);
}

// ---- bootstrap -----------------------------------------------------------------------------------------------------------

TEST(Bootstrap, DrawsAsManyGroupsAsThereAre) {
    const std::vector<int> used = {1, 4, 5};
    std::vector<uint64_t> totals(6);
    for (int i = 0; i < 3000; ++i) {
        const auto weights = draw_groups(used, 6, 7, i);
        EXPECT_EQ(weights, draw_groups(used, 6, 7, i));
        EXPECT_EQ(std::accumulate(weights.begin(), weights.end(), 0u), 3u);
        for (std::size_t group = 0; group < 6; ++group) totals[group] += weights[group];
    }
    EXPECT_EQ(totals[0] + totals[2] + totals[3], 0u);
    for (int group : used) EXPECT_NEAR(static_cast<double>(totals[static_cast<std::size_t>(group)]), 3000, 4 * std::sqrt(3000 * 2.0 / 3));
    EXPECT_NE(draw_groups(used, 6, 7, 1), draw_groups(used, 6, 8, 2));
}

TEST(Bootstrap, Quantiles) {
    EXPECT_TRUE(std::isnan(quantile({}, 0.5)));
    EXPECT_DOUBLE_EQ(quantile({3}, 0.9), 3);
    EXPECT_DOUBLE_EQ(quantile({1, 2, 3, 4}, 0.5), 2.5);
    EXPECT_DOUBLE_EQ(quantile({1, 2, 3, 4}, 1), 4);
    std::vector<double> values = {NAN};
    for (int i = 0; i <= 100; ++i) values.push_back(100 - i);
    EXPECT_NEAR(percentile_interval(values, 0.9).low, 5, 1e-9);
    EXPECT_NEAR(percentile_interval(values, 0.9).high, 95, 1e-9);
}

// The interval of Top-1 of rows of which a share is right; rows of a block are right or wrong together.
Figure top1_of(const EvaluationOptions &options, int rows, int rows_of_a_block, double share) {
    RowPlaces places(options);
    ScopeSums sums(options, 4);
    std::mt19937 random(3);
    std::bernoulli_distribution right(share);
    bool hit = false;
    for (int i = 0; i < rows; ++i) {
        if (i % rows_of_a_block == 0) hit = right(random);
        const int block = i / rows_of_a_block;
        const double lonlat[] = {block % 300 - 149.5, block / 300 - 49.5};
        sums.add(places.next(lonlat), i % 4, {hit ? std::size_t{1} : std::size_t{2}, 0.5, 0.5});
    }
    return by_name(sums.figures("s", {"a", "b", "c", "d"}, no_check), "s").at({"top1", ""});
}

TEST(Bootstrap, IntervalOfAShareIsThatOfTheory) {
    EvaluationOptions options;
    options.bootstrap = 2000;
    // One row a group; rows that share groups; runs of rows; a block of its own for every row; blocks that share groups.
    for (const double block_size : {0.0, 1.0})
        for (const int rows : {600, 20000, 200000}) {
            if (block_size > 0 && rows > 30000) continue;  // more than there are blocks
            options.block_size = block_size;
            const Figure top1 = top1_of(options, rows, 1, 0.3);
            const double width = 2 * 1.96 * std::sqrt(0.3 * 0.7 / rows);
            EXPECT_NEAR(top1.high - top1.low, width, 0.12 * width) << rows << " rows, blocks of " << block_size;
            EXPECT_LT(top1.low, top1.value);
            EXPECT_GT(top1.high, top1.value);
        }
}

TEST(Bootstrap, OfBlocksIsAsWideAsThereAreFewBlocks) {
    EvaluationOptions options;
    options.bootstrap = 2000;
    options.block_size = 1;
    const Figure blocks = top1_of(options, 10000, 50, 0.5);
    const double width = 2 * 1.96 * std::sqrt(0.25 / 200);
    EXPECT_NEAR(blocks.high - blocks.low, width, 0.15 * width);
    options.block_size = 0;
    const Figure rows = top1_of(options, 10000, 50, 0.5);
    EXPECT_LT(rows.high - rows.low, 0.25 * width) << "as of independent rows, which these are not";
    EXPECT_DOUBLE_EQ(rows.value, blocks.value);
}

TEST(Bootstrap, MacroAccuracyOfManyClassesHasAnInterval) {
    EvaluationOptions options;
    const int classes = 5000;
    ScopeSums sums(options, classes);
    RowPlaces places(options);
    std::mt19937 random(5);
    for (int i = 0; i < 20000; ++i) sums.add(places.next(nullptr), i % classes, {1 + random() % 2, 0.5, 0.5});
    const std::vector<std::string> labels(classes, "");
    const Figure macro = by_name(sums.figures("s", labels, no_check), "s").at({"macro_accuracy", ""});
    EXPECT_NEAR(macro.value, 0.5, 0.02);
    EXPECT_GT(macro.high - macro.low, 0.005);
    EXPECT_LT(macro.high - macro.low, 0.05);
}

TEST(Bootstrap, OneGroupHasNoInterval) {
    EvaluationOptions options;
    options.block_size = 180;
    EXPECT_TRUE(std::isnan(top1_of(options, 10, 100, 1).low)) << "one block tells nothing of others";
}

TEST(RowPlaces, FirstRowsAndBlocksHaveGroupsOfTheirOwn) {
    EvaluationOptions options;
    RowPlaces rows(options);
    std::set<int> groups;
    for (int i = 0; i < bootstrap_groups; ++i) groups.insert(rows.next(nullptr).group);
    EXPECT_EQ(groups.size(), static_cast<std::size_t>(bootstrap_groups));
    for (int i = 0; i < 5000; ++i) {
        const int group = rows.next(nullptr).group;
        EXPECT_TRUE(group >= 0 && group < bootstrap_groups);
    }
    options.block_size = 1;
    options.folds = 4;
    RowPlaces blocks(options);
    std::map<std::pair<int, int>, RowPlace> known;
    for (int round = 0; round < 2; ++round)
        for (int lon = -150; lon < 150; ++lon)
            for (int lat = -10; lat < 10; ++lat) {
                const double lonlat[] = {lon + 0.3 + round * 0.4, lat + 0.5};
                const RowPlace place = blocks.next(lonlat);
                const auto found = known.emplace(std::pair(lon, lat), place).first;
                EXPECT_EQ(found->second.group, place.group);
                EXPECT_EQ(found->second.fold, place.fold);
                EXPECT_TRUE(place.fold >= 1 && place.fold <= 4);
            }
}

// ---- spatial blocks ------------------------------------------------------------------------------------------------------

TEST(SpatialBlocks, SquaresHaveNoSeamAndNoPole) {
    const SpatialBlocks blocks(BlockShape::square, 10);
    EXPECT_EQ(blocks.block(1, 1), blocks.block(9.99, 9.99));
    EXPECT_NE(blocks.block(1, 1), blocks.block(10, 1));
    EXPECT_NE(blocks.block(1, 1), blocks.block(1, -1));
    EXPECT_EQ(blocks.block(180, 5), blocks.block(-180, 5));
    for (double lat : {-90, 90}) EXPECT_EQ(blocks.block(-77, lat), blocks.block(123, lat));
    std::set<int64_t> all;
    for (double lon = -179.5; lon < 180; ++lon)
        for (double lat = -89.5; lat < 90; ++lat) all.insert(blocks.block(lon, lat));
    EXPECT_EQ(all.size(), 36u * 18);
    const SpatialBlocks uneven(BlockShape::square, 7);
    EXPECT_NE(uneven.block(179, 0), uneven.block(-179, 1)) << "a last column is narrower";
}

struct Cell {
    double x = 0, y = 0, z = 0;
    int points = 0;
};

TEST(SpatialBlocks, HexagonsCoverTheGlobeEvenly) {
    const double km = 1000;
    const SpatialBlocks blocks(BlockShape::hexagon, km);
    std::mt19937 random(1);
    std::uniform_real_distribution<double> uniform(-1, 1);
    constexpr int points = 400000;
    std::vector<std::array<double, 2>> places(points);
    std::map<int64_t, Cell> cells;
    for (auto &place : places) {
        place = {180 * uniform(random), std::asin(uniform(random)) * 180 / M_PI};
        Cell &cell = cells[blocks.block(place[0], place[1])];
        const double lon = place[0] * M_PI / 180, lat = place[1] * M_PI / 180;
        cell.x += std::cos(lat) * std::cos(lon);
        cell.y += std::cos(lat) * std::sin(lon);
        cell.z += std::sin(lat);
        ++cell.points;
    }
    // 10 n^2 + 2 with n = 8.
    EXPECT_EQ(cells.size(), 642u);
    int fewest = points, most = 0;
    for (const auto &[number, cell] : cells) {
        fewest = std::min(fewest, cell.points);
        most = std::max(most, cell.points);
    }
    // Some 623 each, by chance 25 more or less; pentagons are smaller.
    EXPECT_GT(fewest, 420);
    EXPECT_LT(most, 780);
    // No cell is torn apart: all of its places lie around its middle.
    for (const auto &place : places) {
        const Cell &cell = cells[blocks.block(place[0], place[1])];
        const double centre[] = {std::atan2(cell.y, cell.x) * 180 / M_PI,
                                 std::atan2(cell.z, std::hypot(cell.x, cell.y)) * 180 / M_PI};
        ASSERT_LT(great_circle_km(place.data(), centre), 0.8 * km) << place[0] << " " << place[1];
    }
}

TEST(SpatialBlocks, HexagonsHaveNoSeamAndNoPole) {
    for (double km : {1.0, 50.0, 333.0, 20000.0}) {
        const SpatialBlocks blocks(BlockShape::hexagon, km);
        for (double lat = -80; lat <= 80; lat += 7.3) EXPECT_EQ(blocks.block(180, lat), blocks.block(-180, lat));
        for (double lat : {-90, 90}) EXPECT_EQ(blocks.block(-77, lat), blocks.block(123, lat));
    }
    // A step of a metre hardly ever leads into another cell of 100 km, wherever it is.
    const SpatialBlocks blocks(BlockShape::hexagon, 100);
    std::mt19937 random(2);
    std::uniform_real_distribution<double> uniform(-1, 1);
    int changed = 0;
    for (int i = 0; i < 20000; ++i) {
        const double lon = 179.99 * uniform(random), lat = 89 * uniform(random);
        changed += blocks.block(lon, lat) != blocks.block(lon + 1e-5, lat);
    }
    EXPECT_LT(changed, 20);
}

TEST(SpatialBlocks, SizesOutOfRangeAreErrors) {
    for (double size : {0.0, -1.0, 1e-4, 180.5, std::nan("")})
        expect_error(ErrorKind::invalid_parameter, [&] { SpatialBlocks(BlockShape::square, size); });
    for (double size : {0.5, 20001.0, std::nan("")})
        expect_error(ErrorKind::invalid_parameter, [&] { SpatialBlocks(BlockShape::hexagon, size); });
    expect_error(ErrorKind::invalid_parameter, [] { block_shape_from_string("round"); });
}

TEST(SpatialBlocks, FoldsShareOutTheBlocks) {
    std::vector<int> blocks_of(6);
    int moved = 0;
    for (int64_t block = 0; block < 10000; ++block) {
        const int fold = fold_of_block(block, 5, 1);
        ASSERT_TRUE(fold >= 1 && fold <= 5);
        ++blocks_of[static_cast<std::size_t>(fold)];
        moved += fold != fold_of_block(block, 5, 2);
    }
    for (int fold = 1; fold <= 5; ++fold) EXPECT_NEAR(blocks_of[static_cast<std::size_t>(fold)], 2000, 200);
    EXPECT_NEAR(moved, 8000, 300);
}

// ---- retrieval -----------------------------------------------------------------------------------------------------------

TEST(Retrieval, ReservoirGivesEveryRowTheSameChance) {
    std::vector<int> kept(100);
    for (uint64_t key = 0; key < 4000; ++key) {
        Reservoir reservoir(10, key);
        std::vector<int> slots;
        for (int row = 0; row < 100; ++row)
            if (const auto slot = reservoir.next()) {
                ASSERT_LE(*slot, slots.size());
                slots.resize(std::max(slots.size(), *slot + 1));
                slots[*slot] = row;
            }
        ASSERT_EQ(slots.size(), 10u);
        for (int row : slots) ++kept[static_cast<std::size_t>(row)];
    }
    for (int count : kept) EXPECT_NEAR(count, 400, 100);
}

TEST(Retrieval, GreatCircles) {
    const double zero[] = {0, 0}, pole[] = {50, 90}, east[] = {179.5, 0}, west[] = {-179.5, 0}, antipode[] = {180, 0};
    EXPECT_EQ(great_circle_km(zero, zero), 0);
    EXPECT_NEAR(great_circle_km(zero, pole), 10007.56, 0.01);
    EXPECT_NEAR(great_circle_km(east, west), 111.195, 0.01);
    EXPECT_NEAR(great_circle_km(zero, antipode), 20015.11, 0.02);
}

ModelConfig small_config(ImageSide side = ImageSide::image_projection) {
    ModelConfig config;
    config.frequencies = 8;
    config.min_radius = 0.1;
    config.max_radius = 360;
    config.hidden_dim = 40;
    config.embedding_dim = 24;
    config.image_dim = 19;
    config.image_side = side;
    config.class_count = 30;
    config.class_head = ClassHead::softmax;
    return config;
}

Model small_model(const ModelConfig &config) {
    TensorMap tensors = csp_test::encoder_tensors(config, 4 * config.frequencies, 50);
    auto random = [](std::vector<int64_t> shape, unsigned seed) { return csp_test::random_tensor(shape, 1, seed); };
    std::vector<std::string> labels;
    for (int i = 0; i < config.class_count; ++i) labels.push_back("class " + std::to_string(i));
    if (config.class_count > 0) tensors["class_emb.weight"] = random({config.class_count, config.embedding_dim}, 60);
    if (config.image_dim > 0 && config.image_side == ImageSide::image_projection) {
        tensors["img_dec.weight"] = random({config.embedding_dim, config.image_dim}, 61);
        tensors["img_dec.bias"] = random({config.embedding_dim}, 62);
    } else if (config.image_dim > 0) {
        tensors["loc_dec.weight"] = random({config.image_dim, config.embedding_dim}, 63);
        tensors["loc_dec.bias"] = random({config.image_dim}, 64);
    }
    if (config.image_classifier) {
        tensors["image_class.weight"] = random({config.class_count, config.image_dim}, 65);
        tensors["image_class.bias"] = random({config.class_count}, 66);
    }
    return Model(config, labels, tensors);
}

struct Rows {
    std::vector<double> lonlat;
    std::vector<float> features;
};

Rows random_rows(std::size_t n, int image_dim) {
    Rows rows;
    const std::vector<float> numbers = random_values(2 * n, 1, 8);
    for (std::size_t i = 0; i < n; ++i) {
        rows.lonlat.push_back(numbers[2 * i] * 179);
        rows.lonlat.push_back(numbers[2 * i + 1] * 80);
    }
    rows.features = random_values(n * static_cast<std::size_t>(image_dim), 1, 9);
    return rows;
}

// Cosines of every image with every place.
std::vector<std::vector<float>> all_similarities(const Model &model, const Rows &images, const Rows &places) {
    const std::size_t n = images.lonlat.size() / 2, m = places.lonlat.size() / 2;
    const auto dim = static_cast<std::size_t>(model.config().embedding_dim), width = static_cast<std::size_t>(model.config().image_dim);
    std::vector<float> embeddings(m * dim);
    model.embed(places.lonlat.data(), m, embeddings.data());
    std::vector<std::vector<float>> scores(n, std::vector<float>(m));
    for (std::size_t i = 0; i < n; ++i)
        for (std::size_t j = 0; j < m; ++j) scores[i][j] = model.similarity(&embeddings[j * dim], &images.features[i * width]);
    return scores;
}

TEST(Retrieval, IsThatOfAllCosines) {
    for (const ImageSide side : {ImageSide::image_projection, ImageSide::location_decoder}) {
        const Model model = small_model(small_config(side));
        const std::size_t n = 1100, width = 19;
        const Rows rows = random_rows(n, width);
        EvaluationOptions options;
        options.bootstrap = 20;
        Retrieval retrieval(model, options);
        for (std::size_t i = 0; i < n; ++i) retrieval.add_image(&rows.lonlat[2 * i], 0, &rows.features[i * width], static_cast<int>(i % 1024));
        const auto figures = by_name(retrieval.figures(no_check), "retrieval");
        const auto scores = all_similarities(model, rows, rows);
        std::vector<double> distances;
        double within_5 = 0, within_2500 = 0;
        for (std::size_t i = 0; i < n; ++i) {
            const auto best = static_cast<std::size_t>(std::max_element(scores[i].begin(), scores[i].end()) - scores[i].begin());
            distances.push_back(great_circle_km(&rows.lonlat[2 * i], &rows.lonlat[2 * best]));
            within_2500 += distances.back() <= 2500;
            within_5 += std::count_if(scores[i].begin(), scores[i].end(), [&](float s) { return s > scores[i][i]; }) < 5;
        }
        std::sort(distances.begin(), distances.end());
        // Scores that are equal but for rounding may change places.
        EXPECT_NEAR(figures.at({"median_km", ""}).value, (distances[n / 2 - 1] + distances[n / 2]) / 2, 20);
        EXPECT_NEAR(figures.at({"recall_2500_km", ""}).value, within_2500 / n, 2.1 / n);
        EXPECT_NEAR(figures.at({"recall_at_5", ""}).value, within_5 / n, 2.1 / n);
        EXPECT_EQ(figures.at({"gallery_places", ""}).value, n);
        EXPECT_LE(figures.at({"median_km", ""}).low, figures.at({"median_km", ""}).value);
        EXPECT_GE(figures.at({"median_km", ""}).high, figures.at({"median_km", ""}).value);
    }
}

TEST(Retrieval, FromAGalleryOfItsOwn) {
    const Model model = small_model(small_config());
    const Rows rows = random_rows(3, 19);
    EvaluationOptions options;
    options.gallery = "g";
    Retrieval retrieval(model, options);
    for (std::size_t i = 0; i < 3; ++i) retrieval.add_image(&rows.lonlat[2 * i], 0, &rows.features[i * 19], static_cast<int>(i));
    EXPECT_TRUE(std::isnan(by_name(retrieval.figures(no_check), "retrieval").at({"median_km", ""}).value)) << "an empty gallery";
    const double place[] = {10, 20};
    retrieval.add_place(place, 0);
    const auto figures = by_name(retrieval.figures(no_check), "retrieval");
    std::vector<double> distances;
    for (std::size_t i = 0; i < 3; ++i) distances.push_back(great_circle_km(&rows.lonlat[2 * i], place));
    std::sort(distances.begin(), distances.end());
    EXPECT_DOUBLE_EQ(figures.at({"median_km", ""}).value, distances[1]);
    EXPECT_EQ(figures.count({"recall_at_1", ""}), 0u) << "it need not hold the places of the images";
}

TEST(Retrieval, AModelThatTellsNothingApartDoesNotShine) {
    ModelConfig config = small_config();
    TensorMap tensors = csp_test::encoder_tensors(config, 4 * config.frequencies, 50);
    for (auto &[name, tensor] : tensors)
        if (name.find("layers.1.linear.weight") != std::string::npos) std::fill(tensor.values.begin(), tensor.values.end(), 0.0f);
    for (auto &[name, tensor] : tensors)
        if (name.find("layers.1.linear.bias") != std::string::npos) std::fill(tensor.values.begin(), tensor.values.end(), 1.0f);
    tensors["img_dec.weight"] = csp_test::random_tensor({24, 19}, 1, 61);
    tensors["img_dec.bias"] = csp_test::random_tensor({24}, 1, 62);
    config.class_count = 0;
    const Model model(config, {}, tensors);
    const Rows rows = random_rows(200, 19);
    EvaluationOptions options;
    Retrieval retrieval(model, options);
    for (std::size_t i = 0; i < 200; ++i) retrieval.add_image(&rows.lonlat[2 * i], 0, &rows.features[i * 19], static_cast<int>(i));
    EXPECT_EQ(by_name(retrieval.figures(no_check), "retrieval").at({"recall_at_10", ""}).value, 0) << "all places rank equal";
}

// ---- the whole -----------------------------------------------------------------------------------------------------------

// Top-1 and mean reciprocal rank of rows of probabilities.
std::pair<double, double> top1_and_mrr(const std::vector<std::vector<float>> &probabilities, const std::vector<int> &truth) {
    double top1 = 0, mrr = 0;
    for (std::size_t i = 0; i < truth.size(); ++i) {
        const Outcome outcome = judge_by_sorting(probabilities[i], truth[i]);
        top1 += outcome.rank == 1;
        mrr += 1.0 / static_cast<double>(outcome.rank);
    }
    return {top1 / static_cast<double>(truth.size()), mrr / static_cast<double>(truth.size())};
}

TEST(Evaluation, IsThatOfTheModelRowByRow) {
    for (const bool own_classifier : {false, true}) {
        ModelConfig config = small_config();
        config.image_classifier = own_classifier;
        config.prior_strength = 0.5;
        const Model model = small_model(config);
        const std::size_t n = 2500, width = 19, classes = 30;
        const Rows rows = random_rows(n, width);
        std::vector<float> images = random_values(n * classes, 1, 12);
        for (float &value : images) value = std::fabs(value);
        EvaluationOptions options;
        options.bootstrap = 10;
        Evaluation evaluation(model, options, {true, own_classifier, !own_classifier}, no_check);
        std::vector<std::vector<float>> place(n), image(n), fused(n);
        std::vector<int> truth;
        for (std::size_t i = 0; i < n; ++i) {
            truth.push_back(static_cast<int>(i * 7 % classes));
            const std::string label = "class " + std::to_string(truth.back());
            EvaluationRow row;
            row.lonlat = &rows.lonlat[2 * i];
            row.label = &label;
            (own_classifier ? row.features : row.image_probabilities) = own_classifier ? &rows.features[i * width] : &images[i * classes];
            evaluation.add(row);
            std::vector<float> embedding(24);
            place[i].resize(classes);
            fused[i].resize(classes);
            image[i].assign(&images[i * classes], &images[i * classes] + classes);
            model.embed(row.lonlat, 1, embedding.data());
            model.probabilities(embedding.data(), 1, place[i].data());
            if (own_classifier) model.image_probabilities(row.features, 1, image[i].data(), classes);
            model.fuse(image[i].data(), place[i].data(), 1, fused[i].data());
        }
        const auto figures = evaluation.figures();
        const std::map<std::string, const std::vector<std::vector<float>> *> scopes = {
            {"location", &place}, {"image", &image}, {"fused", &fused}};
        for (const auto &[scope, probabilities] : scopes) {
            const auto of_scope = by_name(figures, scope);
            const auto [top1, mrr] = top1_and_mrr(*probabilities, truth);
            EXPECT_DOUBLE_EQ(of_scope.at({"top1", ""}).value, top1) << scope;
            EXPECT_NEAR(of_scope.at({"mrr", ""}).value, mrr, 1e-12) << scope;
            EXPECT_EQ(of_scope.at({"top1", ""}).rows, static_cast<int64_t>(n));
        }
        EXPECT_EQ(by_name(figures, "retrieval").empty(), !own_classifier);
    }
}

TEST(Evaluation, CountsWhatRowsLack) {
    const Model model = small_model(small_config());
    EvaluationOptions options;
    Evaluation evaluation(model, options, {true, false, true}, no_check);
    const double place[] = {1, 2};
    const std::string known = "class 3", unknown = "another";
    const std::vector<float> image(30, 0.5f);
    auto add = [&](const double *lonlat, const std::string *label, const float *probabilities) {
        EvaluationRow row;
        row.lonlat = lonlat;
        row.label = label;
        row.image_probabilities = probabilities;
        evaluation.add(row);
    };
    add(place, &known, image.data());
    add(place, &unknown, image.data());
    add(nullptr, &known, image.data());
    add(place, nullptr, image.data());
    add(place, &known, nullptr);
    const auto figures = evaluation.figures();
    const auto source = by_name(figures, "source");
    EXPECT_EQ(source.at({"rows_read", ""}).value, 5);
    EXPECT_EQ(source.at({"rows_evaluated", ""}).value, 2);
    for (const char *count : {"rows_without_location", "rows_without_label", "rows_without_image_probabilities", "rows_unknown_label"})
        EXPECT_EQ(source.at({count, ""}).value, 1) << count;
    EXPECT_EQ(by_name(figures, "image").at({"top10", ""}).value, 0.5) << "the fourth of equal classes, and a miss";
    EXPECT_EQ(by_name(figures, "fused").at({"top1", ""}).rows, 2);
}

TEST(Evaluation, OptionsForWhatRowsLack) {
    const Model model = small_model(small_config());
    EvaluationOptions options;
    options.unknown_labels = UnknownLabels::skip;
    options.missing_locations = MissingLocations::image;
    Evaluation evaluation(model, options, {true, false, true}, no_check);
    const double place[] = {1, 2};
    const std::string known = "class 0", unknown = "another";
    std::vector<float> image(30, 0.1f);
    image[0] = 0.5f;
    for (const std::string *label : {&known, &unknown})
        for (const double *lonlat : {static_cast<const double *>(place), static_cast<const double *>(nullptr)}) {
            EvaluationRow row;
            row.lonlat = lonlat;
            row.label = label;
            row.image_probabilities = image.data();
            evaluation.add(row);
        }
    const auto figures = evaluation.figures();
    EXPECT_EQ(by_name(figures, "location").at({"top1", ""}).rows, 1);
    EXPECT_EQ(by_name(figures, "image").at({"top1", ""}).rows, 2);
    EXPECT_EQ(by_name(figures, "fused").at({"top1", ""}).rows, 2);
    EXPECT_EQ(by_name(figures, "source").at({"rows_without_location", ""}).value, 2);
    EXPECT_EQ(by_name(figures, "source").at({"rows_evaluated", ""}).value, 2);
}

TEST(Evaluation, ErrorsNameTheRemedy) {
    const Model model = small_model(small_config());
    EvaluationOptions options;
    auto evaluate = [&](const Model &of, const EvaluationInputs &inputs) { Evaluation(of, options, inputs, no_check); };
    expect_error(ErrorKind::invalid_parameter, [&] { evaluate(model, {}); });
    expect_error(ErrorKind::invalid_parameter, [&] { evaluate(model, {false, true, true}); });
    ModelConfig config = small_config();
    config.class_count = 0;
    const Model without_classes = small_model(config);
    EXPECT_NO_THROW(evaluate(without_classes, {false, true, false}));
    options.missing_locations = MissingLocations::image;
    expect_error(ErrorKind::invalid_parameter, [&] { evaluate(model, {true, false, false}); });
    options = {};
    options.gallery = "places";
    expect_error(ErrorKind::invalid_parameter, [&] { evaluate(model, {true, false, false}); });

    options = {};
    Evaluation evaluation(model, options, {true, false, true}, no_check);
    const double place[] = {1, 2};
    const std::string label = "class 0";
    const std::vector<float> zeros(30, 0.0f);
    EvaluationRow row;
    row.lonlat = place;
    row.label = &label;
    row.image_probabilities = zeros.data();
    evaluation.add(row);
    try {
        evaluation.figures();
        ADD_FAILURE() << "no error was thrown";
    } catch (const Error &error) {
        EXPECT_EQ(error.kind(), ErrorKind::invalid_data);
        EXPECT_NE(error.detail().find("Row 1 of the source."), std::string::npos);
    }
}

TEST(Evaluation, Options) {
    EvaluationOptions options;
    set_options(options, {{"bins", OptionKind::number, "10"},
                          {"block_size", OptionKind::number, "500"},
                          {"block_shape", OptionKind::text, "hexagon"},
                          {"folds", OptionKind::number, "5"},
                          {"per_class", OptionKind::boolean, "true"},
                          {"unknown_labels", OptionKind::text, "skip"}});
    EXPECT_EQ(options.bins, 10);
    EXPECT_EQ(options.folds, 5);
    EXPECT_TRUE(options.per_class);
    EXPECT_EQ(options.block_shape, BlockShape::hexagon);
    EXPECT_EQ(options.unknown_labels, UnknownLabels::skip);
    auto refuse = [](ErrorKind kind, const char *name, OptionKind of, const char *value) {
        EvaluationOptions others;
        expect_error(kind, [&] { set_options(others, {{name, of, value}}); }, name);
    };
    refuse(ErrorKind::undefined_object, "bin", OptionKind::number, "3");
    refuse(ErrorKind::invalid_parameter, "bins", OptionKind::number, "0");
    refuse(ErrorKind::invalid_parameter, "bins", OptionKind::text, "many");
    refuse(ErrorKind::invalid_parameter, "folds", OptionKind::number, "5");
    refuse(ErrorKind::invalid_parameter, "block_size", OptionKind::number, "1000");
    refuse(ErrorKind::invalid_parameter, "block_shape", OptionKind::text, "round");
    refuse(ErrorKind::invalid_parameter, "missing_locations", OptionKind::text, "wrong");
}

}  // namespace
}  // namespace csp

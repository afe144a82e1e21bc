// Images against the places of a gallery, a block of both at a time.
#include "evaluation_retrieval.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "../encoder/linear.h"
#include "options_table.h"
#include "random.h"

namespace csp {
namespace {

constexpr double none = std::numeric_limits<double>::quiet_NaN();
constexpr double recall_km[] = {1, 25, 200, 750, 2500};
constexpr int recall_ranks[] = {1, 5, 10};

// What images are kept as may take so many bytes.
constexpr std::size_t most_image_bytes = std::size_t{128} << 20;

// Places of the gallery, and images, whose scores are there at a time.
constexpr std::size_t place_block = 1024;
constexpr std::size_t image_block = 64;

bool decodes_locations(const Model &model) { return model.config().image_side == ImageSide::location_decoder; }

std::size_t compared_width(const Model &model) {
    const ModelConfig &config = model.config();
    return static_cast<std::size_t>(decodes_locations(model) ? config.image_dim : config.embedding_dim);
}

void scale_to_unit(float *vector, std::size_t n) {
    double squares = 0;
    for (std::size_t i = 0; i < n; ++i) squares += static_cast<double>(vector[i]) * vector[i];
    if (!(squares > 0)) return;
    const auto factor = static_cast<float>(1 / std::sqrt(squares));
    for (std::size_t i = 0; i < n; ++i) vector[i] *= factor;
}

// Vectors of places as images are compared with them, one a row.
Tensor place_vectors(const Model &model, const double *lonlat, const float *dates, std::size_t n) {
    const std::size_t width = compared_width(model);
    const auto dim = static_cast<std::size_t>(model.config().embedding_dim);
    std::vector<float> embeddings(n * dim);
    model.embed(lonlat, dates, n, embeddings.data());
    Tensor vectors{{static_cast<int64_t>(n), static_cast<int64_t>(width)}, {}};
    if (decodes_locations(model)) {
        vectors.values.resize(n * width);
        model.predict_features(embeddings.data(), n, vectors.values.data());
    } else {
        vectors.values = std::move(embeddings);
    }
    for (std::size_t i = 0; i < n; ++i) scale_to_unit(&vectors.values[i * width], width);
    return vectors;
}

// Of values in ascending order with weights; half the way between two where exactly half lie below.
double weighted_median(const std::vector<std::pair<double, uint64_t>> &values) {
    uint64_t total = 0, below = 0;
    for (const auto &[value, weight] : values) total += weight;
    double lower = none;
    for (const auto &[value, weight] : values) {
        if (weight == 0) continue;
        if (!std::isnan(lower)) return (lower + value) / 2;
        below += weight;
        if (2 * below > total) return value;
        if (2 * below == total) lower = value;
    }
    return lower;
}

}  // namespace

std::optional<std::size_t> Reservoir::next() {
    const auto row = static_cast<std::size_t>(seen_++);
    if (row < capacity_) return row;
    const std::size_t slot = mix_bits(key_, row) % (row + 1);
    return slot < capacity_ ? std::optional(slot) : std::nullopt;
}

double great_circle_km(const double *lonlat, const double *other) {
    constexpr double radius_km = 6371.0088, degree = 3.14159265358979323846 / 180;
    const double across = std::sin((other[0] - lonlat[0]) * degree / 2), along = std::sin((other[1] - lonlat[1]) * degree / 2);
    const double haversine =
        along * along + std::cos(lonlat[1] * degree) * std::cos(other[1] * degree) * across * across;
    return 2 * radius_km * std::asin(std::sqrt(std::min(1.0, haversine)));
}

Retrieval::Retrieval(const Model &model, const EvaluationOptions &options)
    : model_(model),
      options_(options),
      own_gallery_(options.gallery.empty()),
      width_(compared_width(model)),
      image_draw_(std::min(static_cast<std::size_t>(options.retrieval_rows), most_image_bytes / (width_ * sizeof(float))),
                  mix_bits(static_cast<uint64_t>(options.seed), 0x696d61)),
      place_draw_(static_cast<std::size_t>(options.gallery_rows), mix_bits(static_cast<uint64_t>(options.seed), 0x706c61)) {}

void Retrieval::Places::put(std::size_t slot, const double *place, float date) {
    if (slot == size()) {
        lonlat.resize(lonlat.size() + 2);
        dates.resize(dates.size() + 1);
    }
    lonlat[2 * slot] = place[0];
    lonlat[2 * slot + 1] = place[1];
    dates[slot] = date;
}

void Retrieval::add_image(const double *lonlat, float date, const float *features, int group) {
    const auto slot = image_draw_.next();
    if (!slot) return;
    images_.put(*slot, lonlat, date);
    vectors_.resize(images_.size() * width_);
    groups_.resize(images_.size());
    groups_[*slot] = group;
    float *vector = &vectors_[*slot * width_];
    if (decodes_locations(model_))
        std::copy_n(features, width_, vector);
    else
        model_.embed_image(features, 1, vector);
    require_finite_answer(vector, width_);
    scale_to_unit(vector, width_);
}

void Retrieval::add_place(const double *lonlat, float date) {
    if (const auto slot = place_draw_.next()) places_.put(*slot, lonlat, date);
}

// The scores of an image with `count` places from `first` on.
void Retrieval::take_scores(const float *scores, std::size_t image, std::size_t first, std::size_t count, Found &found) const {
    for (std::size_t i = 0; i < count; ++i) {
        if (scores[i] > found.score) {
            found.score = scores[i];
            found.place = first + i;
        }
    }
    if (!own_gallery_) return;
    for (std::size_t i = 0; i < count; ++i) {
        if (scores[i] < found.own_score) continue;
        const double *own = &images_.lonlat[2 * image], *other = &images_.lonlat[2 * (first + i)];
        if (own[0] == other[0] && own[1] == other[1]) continue;
        found.ahead += scores[i] > found.own_score ? 1 : 0.5;
    }
}

std::vector<Retrieval::Found> Retrieval::search(const Check &check) const {
    const Places &places = gallery();
    std::vector<Found> found(places.size() > 0 ? images_.size() : 0);
    const Epilogue linear_only = {false, Activation::relu};
    std::vector<float> scores(image_block * place_block);
    // Twice: how many are ahead of an image's own place shows only when that is known.
    for (const bool own_pass : {true, false}) {
        if (own_pass && !own_gallery_) continue;
        for (std::size_t first = 0; first < places.size(); first += place_block) {
            check();
            const std::size_t count = std::min(place_block, places.size() - first);
            const Tensor vectors = place_vectors(model_, &places.lonlat[2 * first], &places.dates[first], count);
            const Linear block(best_kernels(), vectors, nullptr);
            if (own_pass) {
                for (std::size_t i = 0; i < count; ++i)
                    block.apply_column(vector_of(first + i), width_, 1, i, linear_only, &found[first + i].own_score);
                continue;
            }
            for (std::size_t image = 0; image < found.size(); image += image_block) {
                check();
                const std::size_t rows = std::min(image_block, found.size() - image);
                block.apply_tall(vector_of(image), width_, rows, linear_only, scores.data(), place_block);
                for (std::size_t i = 0; i < rows; ++i)
                    take_scores(&scores[i * place_block], image + i, first, count, found[image + i]);
            }
        }
    }
    for (std::size_t i = 0; i < found.size(); ++i)
        found[i].distance = great_circle_km(&images_.lonlat[2 * i], &places.lonlat[2 * found[i].place]);
    return found;
}

// order: images by distance. weights: of groups; null for one each.
std::vector<double> Retrieval::values_of(const std::vector<Found> &found, const std::vector<std::size_t> &order,
                                         const std::vector<uint32_t> *weights) const {
    auto weight = [&](std::size_t image) -> uint64_t {
        return weights ? (*weights)[static_cast<std::size_t>(groups_[image])] : 1;
    };
    auto share = [&](auto &&holds) {
        uint64_t all = 0, those = 0;
        for (std::size_t image : order) {
            all += weight(image);
            those += holds(found[image]) ? weight(image) : 0;
        }
        return all > 0 ? static_cast<double>(those) / static_cast<double>(all) : none;
    };
    std::vector<std::pair<double, uint64_t>> distances;
    for (std::size_t image : order) distances.emplace_back(found[image].distance, weight(image));
    std::vector<double> values = {weighted_median(distances)};
    for (double km : recall_km) values.push_back(share([&](const Found &f) { return f.distance <= km; }));
    if (own_gallery_)
        for (int rank : recall_ranks) values.push_back(share([&](const Found &f) { return f.ahead < rank; }));
    return values;
}

std::vector<std::vector<double>> Retrieval::resample(const std::vector<Found> &found, const std::vector<std::size_t> &order,
                                                     std::size_t values, const Check &check) const {
    std::vector<std::vector<double>> resampled(values);
    std::vector<int> used = groups_;
    std::sort(used.begin(), used.end());
    used.erase(std::unique(used.begin(), used.end()), used.end());
    if (used.size() < 2) return resampled;
    for (int i = 0; i < options_.bootstrap; ++i) {
        check();
        const std::vector<uint32_t> weights = draw_groups(used, bootstrap_groups, options_.seed, i);
        const std::vector<double> of_draw = values_of(found, order, &weights);
        for (std::size_t value = 0; value < values; ++value) resampled[value].push_back(of_draw[value]);
    }
    return resampled;
}

std::vector<Figure> Retrieval::figures(const Check &check) const {
    const std::vector<Found> found = search(check);
    std::vector<std::size_t> order(found.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return found[a].distance < found[b].distance; });
    const std::vector<double> values = values_of(found, order, nullptr);
    std::vector<std::vector<double>> resampled = resample(found, order, values.size(), check);
    std::vector<std::string> names = {"median_km"};
    for (double km : recall_km) names.push_back("recall_" + number_text(km) + "_km");
    for (int rank : recall_ranks) names.push_back("recall_at_" + std::to_string(rank));
    const auto rows = static_cast<int64_t>(found.size());
    std::vector<Figure> figures;
    for (std::size_t value = 0; value < values.size(); ++value) {
        const Interval interval = percentile_interval(std::move(resampled[value]), options_.confidence);
        figures.push_back({names[value], "retrieval", std::nullopt, values[value], interval.low, interval.high, rows});
    }
    figures.push_back({"gallery_places", "retrieval", std::nullopt, static_cast<double>(gallery().size()), none, none, rows});
    return figures;
}

}  // namespace csp

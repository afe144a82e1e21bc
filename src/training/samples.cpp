// The rows of a run as tensors.
#include "samples.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <system_error>

#include "../encoder/error.h"
#include "negatives.h"

namespace csp {
namespace {

[[noreturn]] void throw_invalid_row(std::size_t row, const char *what, const char *hint) {
    throw Error(ErrorKind::invalid_data, std::string("training rows contain ") + what,
                "The first is row " + std::to_string(row + 1) + " of the source.", hint);
}

bool on_the_globe(const double *lonlat) {  // false for NaN too
    return lonlat[0] >= -180 && lonlat[0] <= 180 && lonlat[1] >= -90 && lonlat[1] <= 90;
}

at::Tensor as_tensor(const RowIds &rows) {
    return at::from_blob(const_cast<int64_t *>(rows.data()), {static_cast<int64_t>(rows.size())}, at::kLong);
}

}  // namespace

void check_rows(const TrainingData &data) {
    for (std::size_t i = 0; i < data.rows; ++i) {
        if (!on_the_globe(data.lonlat + 2 * i)) {
            throw_invalid_row(i, "a place that is not on the globe",
                              "Give longitudes of -180 to 180 and latitudes of -90 to 90.");
        }
        if (data.dates && !(data.dates[i] >= 0 && data.dates[i] <= 1))
            throw_invalid_row(i, "a date that is not a part of a year", "");
        if (data.classes && (data.classes[i] < -1 || data.classes[i] >= data.class_count)) {
            throw_invalid_row(i, "a class number out of range", "");
        }
        if (data.users && (data.users[i] < -1 || data.users[i] >= data.user_count)) {
            throw_invalid_row(i, "a user number out of range", "");
        }
    }
}

Samples::Samples(const TrainingData &data, const ModelConfig &config, const at::TensorOptions &options,
                 const TensorMap &position_tensors)
    : data_(data), config_(config), options_(options), encoding_(make_trainable_encoding(config, position_tensors)) {
    const auto rows = static_cast<int64_t>(data.rows);
    const int64_t bytes = rows * feature_dim() * static_cast<int64_t>(sizeof(float));
    if (data.keep_position_features && bytes <= position_cache_limit) cache_ = at::empty({rows, feature_dim()}, at::kFloat);
}

bool Samples::encode_some() {
    if (!cache_.defined() || encoded_ == data_.rows) return false;
    const std::size_t count = std::min<std::size_t>(data_.rows - encoded_, 8192);
    float *out = cache_.data_ptr<float>() + encoded_ * static_cast<std::size_t>(feature_dim());
    encode_into(data_.lonlat + 2 * encoded_, data_.dates ? data_.dates + encoded_ : nullptr, count, out);
    encoded_ += count;
    return true;
}

void Samples::encode_into(const double *lonlat, const float *dates, std::size_t count, float *features) const {
    if (!config_.dates) return encoding_->encode(lonlat, count, features);
    for (std::size_t i = 0; i < count; ++i) {
        float *row = features + i * static_cast<std::size_t>(feature_dim());
        encoding_->encode(lonlat + 2 * i, 1, row);
        encode_date(config_, dates[i], row + encoding_->dim());
    }
}

std::vector<float> Samples::dates_of(const RowIds &rows) const {
    std::vector<float> dates;
    for (int64_t row : rows)
        if (data_.dates) dates.push_back(data_.dates[row]);
    return dates;
}

at::Tensor Samples::encode(const std::vector<double> &lonlat, const std::vector<float> &dates) const {
    const std::size_t count = lonlat.size() / 2;
    at::Tensor features = at::empty({static_cast<int64_t>(count), feature_dim()}, at::kFloat);
    encode_into(lonlat.data(), dates.data(), count, features.data_ptr<float>());
    return features.to(options_);
}

at::Tensor Samples::position_features(const RowIds &rows) const {
    if (cache_.defined()) return cache_.index_select(0, as_tensor(rows)).to(options_);
    std::vector<double> lonlat;
    lonlat.reserve(2 * rows.size());
    for (int64_t row : rows) lonlat.insert(lonlat.end(), data_.lonlat + 2 * row, data_.lonlat + 2 * row + 2);
    return encode(lonlat, dates_of(rows));
}

RandomPlaces Samples::draw_places(std::size_t count, NegativeSampler sampler, RandomStream &random) const {
    RandomPlaces places;
    if (sampler == NegativeSampler::observed) {
        places.rows = random_rows(count, random);
        return places;
    }
    places.lonlat.resize(2 * count);
    sample_locations(sampler, random, places.lonlat);
    while (config_.dates && places.dates.size() < count) places.dates.push_back(static_cast<float>(random.uniform()));
    return places;
}

at::Tensor Samples::position_features(const RandomPlaces &places, int64_t begin, int64_t count) const {
    const auto part = [&](const auto &values, int64_t width) {
        const auto first = values.begin() + (values.empty() ? 0 : begin * width);
        return std::decay_t<decltype(values)>(first, first + (values.empty() ? 0 : count * width));
    };
    if (!places.rows.empty()) return position_features(part(places.rows, 1));
    return encode(part(places.lonlat, 2), part(places.dates, 1));
}

bool Samples::twins_differ() const {
    const bool wrap = config_.position_encoding == "wrap" || config_.position_encoding == "wrap_ffn";
    return wrap && config_.published_defects;
}

at::Tensor Samples::twin_features(const RowIds &rows) const {
    std::vector<double> lonlat;
    for (int64_t row : rows)
        lonlat.insert(lonlat.end(), {data_.lonlat[2 * row] / 180, data_.lonlat[2 * row + 1] / 90});
    return encode(lonlat, dates_of(rows));
}

RowIds Samples::random_rows(std::size_t count, RandomStream &random) const {
    RowIds rows;
    while (rows.size() < count) {
        const auto row = static_cast<int64_t>(random.below(data_.rows));
        if (!data_.validation || !data_.validation[row]) rows.push_back(row);
    }
    return rows;
}

at::Tensor Samples::room_for_images(const RowIds &rows) const {
    return at::empty({static_cast<int64_t>(rows.size()), data_.image_dim}, at::kFloat);
}

at::Tensor Samples::images(const RowIds &rows) const {
    for (const Prefetched *batch : {&this_batch_, &next_batch_}) {
        const auto found = std::search(batch->rows.begin(), batch->rows.end(), rows.begin(), rows.end());
        if (found == batch->rows.end()) continue;
        const at::Tensor images = std::shared_future<at::Tensor>(batch->images).get();
        return images.narrow(0, found - batch->rows.begin(), static_cast<int64_t>(rows.size())).to(options_);
    }
    const at::Tensor images = room_for_images(rows);
    data_.features->read(rows.data(), rows.size(), images.data_ptr<float>());
    return images.to(options_);
}

void Samples::prefetch(const Epoch &epoch, int64_t batch) {
    if (!data_.features || !data_.features->worth_prefetching()) return;
    this_batch_ = std::move(next_batch_);
    next_batch_ = {};
    if (batch + 1 == epoch.batches()) return;
    next_batch_.rows = epoch.batch(batch + 1);
    // The thread does nothing of LibTorch, whatever ends the process meanwhile.
    const auto read = [&store = *data_.features, images = room_for_images(next_batch_.rows), rows = next_batch_.rows,
                       ahead = epoch.rows_ahead(batch)] {
        store.announce(ahead.data(), ahead.size());
        store.read(rows.data(), rows.size(), static_cast<float *>(images.data_ptr()));
        return images;
    };
    try {
        next_batch_.images = std::async(std::launch::async, read).share();
    } catch (const std::system_error &) {
        next_batch_ = {};  // no thread to be had: images() reads by itself
    }
}

at::Tensor Samples::ids(const int32_t *of_rows, const RowIds &rows) const {
    at::Tensor ids = at::empty({static_cast<int64_t>(rows.size())}, at::kLong);
    std::transform(rows.begin(), rows.end(), ids.data_ptr<int64_t>(), [&](int64_t row) { return of_rows[row]; });
    return ids.to(options_.device());
}

at::Tensor Samples::classes(const RowIds &rows) const { return ids(data_.classes, rows); }
at::Tensor Samples::users(const RowIds &rows) const { return ids(data_.users, rows); }

Epoch::Epoch(RowIds rows, int batch_size, RandomStream &random, const ShuffleWindows &windows)
    : rows_(std::move(rows)), windows_(windows), batch_size_(batch_size) {
    shuffle(rows_, windows_, random);
}

int64_t Epoch::batches(std::size_t rows, int batch_size) {
    const auto n = static_cast<int64_t>(rows);
    return std::max<int64_t>(1, n / batch_size + (n % batch_size > 1));
}

RowIds Epoch::batch(int64_t index) const {
    const auto begin = rows_.begin() + index * batch_size_;
    return RowIds(begin, index + 1 == batches() ? rows_.end() : begin + batch_size_);
}

std::size_t Epoch::window_of(int64_t index) const {
    const auto first = static_cast<std::size_t>(index * batch_size_);
    std::size_t window = 0;
    while (windows_.begin(window + 1, rows_.size()) <= first) ++window;
    return window;
}

RowIds Epoch::rows_ahead(int64_t index) const {
    const std::size_t count = windows_.count(rows_.size()), window = window_of(index);
    if (count == 1) return index + 1 < batches() ? batch(index + 1) : RowIds();
    if (index > 0 && window_of(index - 1) == window) return {};
    const auto at = [&](std::size_t w) {
        return rows_.begin() + static_cast<std::ptrdiff_t>(windows_.begin(std::min(w, count), rows_.size()));
    };
    return RowIds(at(index == 0 ? window : window + 1), at(window + 2));
}

}  // namespace csp

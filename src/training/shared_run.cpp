// Sending the rows of a run to its processes.
#include "shared_run.h"

#include <algorithm>
#include <numeric>

#include "../encoder/safetensors.h"

namespace csp {

SharedRun::SharedRun(ProcessGroup &group, const TrainingData &data, const std::string &checkpoint,
                     FeatureStorage storage)
    : data_(data), checkpoint_(checkpoint) {
    if (group.size() == 1) return;
    if (group.rank() > 0) data_ = {}, checkpoint_.clear();
    int64_t numbers[] = {static_cast<int64_t>(data_.rows), data_.image_dim, data_.class_count, data_.user_count,
                         data_.keep_position_features};
    group.broadcast(numbers, sizeof numbers);
    data_.rows = static_cast<std::size_t>(numbers[0]);
    data_.image_dim = static_cast<int>(numbers[1]);
    data_.class_count = static_cast<int>(numbers[2]);
    data_.user_count = static_cast<int>(numbers[3]);
    data_.keep_position_features = numbers[4] != 0;
    share(group, data_.lonlat, 2 * data_.rows, lonlat_);
    share_features(group, storage);
    share(group, data_.classes, data_.rows, classes_);
    share(group, data_.dates, data_.rows, dates_);
    share(group, data_.users, data_.rows, users_);
    share(group, data_.validation, data_.rows, validation_);
    share_labels(group);
    share_initial(group);
    share_text(group, checkpoint_);
}

template <class T>
void SharedRun::share(ProcessGroup &group, const T *&values, std::size_t count, std::vector<T> &received) {
    int64_t there = values != nullptr;
    share_number(group, there);
    if (!there) return;
    if (group.rank() > 0) {
        received.resize(count);
        values = received.data();
    }
    group.broadcast(const_cast<T *>(values), count * sizeof(T));  // the first member's are only read
}

// A few megabytes at a time, as the first reads them from wherever it keeps them.
void SharedRun::share_features(ProcessGroup &group, FeatureStorage storage) {
    int64_t there = data_.features != nullptr;
    share_number(group, there);
    if (!there) return;
    const auto dim = static_cast<std::size_t>(data_.image_dim);
    const std::size_t at_once = std::max<std::size_t>(1, (std::size_t{1} << 20) / dim);
    PackedRows received(storage, data_.image_dim);
    std::vector<float> features;
    std::vector<int64_t> rows;
    for (std::size_t begin = 0; begin < data_.rows; begin += at_once) {
        rows.resize(std::min(at_once, data_.rows - begin));
        std::iota(rows.begin(), rows.end(), static_cast<int64_t>(begin));
        features.resize(rows.size() * dim);
        if (group.rank() == 0) data_.features->read(rows.data(), rows.size(), features.data());
        group.broadcast(features.data(), features.size() * sizeof(float));
        for (std::size_t i = 0; group.rank() > 0 && i < rows.size(); ++i) received.append(features.data() + i * dim);
    }
    if (group.rank() > 0) data_.features = features_in_memory(std::move(received));
}

void SharedRun::share_text(ProcessGroup &group, std::string &text) {
    auto size = static_cast<int64_t>(text.size());
    share_number(group, size);
    text.resize(static_cast<std::size_t>(size));
    group.broadcast(text.data(), text.size());
}

void SharedRun::share_labels(ProcessGroup &group) {
    int64_t count = data_.labels ? static_cast<int64_t>(data_.labels->size()) : -1;
    share_number(group, count);
    for (int64_t i = 0; i < count; ++i) {
        std::string label = data_.labels ? (*data_.labels)[static_cast<std::size_t>(i)] : std::string();
        share_text(group, label);
        if (group.rank() > 0) labels_.push_back(std::move(label));
    }
    if (group.rank() > 0 && count >= 0) data_.labels = &labels_;
}

void SharedRun::share_initial(ProcessGroup &group) {
    ModelFile file;
    if (data_.initial) file.tensors = *data_.initial;
    std::string bytes = data_.initial ? write_safetensors(file) : std::string();
    share_text(group, bytes);
    if (group.rank() == 0 || bytes.empty()) return;
    initial_ = read_safetensors(bytes.data(), bytes.size()).tensors;
    data_.initial = &initial_;
}

}  // namespace csp

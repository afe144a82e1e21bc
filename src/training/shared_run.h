// What a run begins with, at all processes that work on it: the rows and the checkpoint of the first.
//
// Rows are sent rather than read by each: whatever the source is, a view with random() in it too, all have the same rows
// in the same order, and only the run's own worker needs a right to read them.
#pragma once

#include <string>
#include <vector>

#include "process_group.h"
#include "trainer.h"

namespace csp {

class SharedRun {
public:
    // The first member's data and checkpoint, which must outlive this object, for all; storage: how the others keep features,
    // which they do in memory.
    SharedRun(ProcessGroup &group, const TrainingData &data, const std::string &checkpoint, FeatureStorage storage);
    SharedRun(const SharedRun &) = delete;
    SharedRun &operator=(const SharedRun &) = delete;

    const TrainingData &data() const { return data_; }
    const std::string &checkpoint() const { return checkpoint_; }

private:
    template <class T>
    void share(ProcessGroup &group, const T *&values, std::size_t count, std::vector<T> &received);
    void share_features(ProcessGroup &group, FeatureStorage storage);
    void share_labels(ProcessGroup &group);
    void share_initial(ProcessGroup &group);
    static void share_number(ProcessGroup &group, int64_t &number) { group.broadcast(&number, sizeof number); }
    static void share_text(ProcessGroup &group, std::string &text);

    TrainingData data_;
    std::string checkpoint_;
    // What members but the first have received.
    std::vector<double> lonlat_;
    std::vector<float> dates_;
    std::vector<int32_t> classes_, users_;
    std::vector<uint8_t> validation_;
    std::vector<std::string> labels_;
    TensorMap initial_;
};

}  // namespace csp

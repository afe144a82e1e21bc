// The rows of a run as tensors, and how an epoch goes through them.
#pragma once

#include <ATen/core/Tensor.h>

#include <future>
#include <memory>
#include <vector>

#include "../encoder/dates.h"
#include "../encoder/position_encoding.h"
#include "random.h"
#include "row_sampler.h"
#include "trainer.h"

namespace csp {

// Throws Error(invalid_data) for coordinates off the globe, or class and user ids without a class or user. What
// features are kept is a matter of pack_features.
void check_rows(const TrainingData &data);

class Epoch;

// Random locations, drawn before they are encoded: places with dates, or rows of the data.
struct RandomPlaces {
    RowIds rows;
    std::vector<double> lonlat;
    std::vector<float> dates;  // empty without dates
};

// Tensors of rows picked by number, on the device of `options`. Const functions may be called by several threads.
class Samples {
public:
    // data must outlive this object. position_tensors as draw_position_tensors gives them.
    Samples(const TrainingData &data, const ModelConfig &config, const at::TensorOptions &options,
            const TensorMap &position_tensors = {});

    // Computes the next position features to be kept in memory, in portions short enough to
    // answer an interrupt between them; false when there are none left.
    bool encode_some();

    // Position features, then those of the date.
    int feature_dim() const { return encoding_->dim() + date_dim(config_); }

    at::Tensor position_features(const RowIds &rows) const;                              // (n, feature_dim)
    RandomPlaces draw_places(std::size_t count, NegativeSampler sampler, RandomStream &random) const;
    at::Tensor position_features(const RandomPlaces &places, int64_t begin, int64_t count) const;  // (count, feature_dim)
    // The published wrap writes the scaled coordinates into its input: on a CPU the second pass of a batch, that of the
    // dropout twins, scales them once more. With published_defects it does so here.
    bool twins_differ() const;
    at::Tensor twin_features(const RowIds &rows) const;  // (n, feature_dim)

    // (n, image_dim). Of rows that prefetch has begun to read, what it has read.
    at::Tensor images(const RowIds &rows) const;

    // To be called when the training on a batch begins: a thread reads the images of the next one meanwhile, where they
    // are on file. Not while another thread is in images(); signals should be blocked.
    void prefetch(const Epoch &epoch, int64_t batch);

    at::Tensor classes(const RowIds &rows) const;                                        // (n) int64
    at::Tensor users(const RowIds &rows) const;                                          // (n) int64, -1: none

    // Any rows that are not held out, repeated at times; there must be such rows.
    RowIds random_rows(std::size_t count, RandomStream &random) const;

private:
    std::vector<float> dates_of(const RowIds &rows) const;  // empty without dates
    at::Tensor encode(const std::vector<double> &lonlat, const std::vector<float> &dates) const;
    void encode_into(const double *lonlat, const float *dates, std::size_t count, float *features) const;
    at::Tensor ids(const int32_t *of_rows, const RowIds &rows) const;
    at::Tensor room_for_images(const RowIds &rows) const;

    struct Prefetched {
        RowIds rows;
        std::shared_future<at::Tensor> images;
    };

    const TrainingData &data_;
    ModelConfig config_;
    at::TensorOptions options_;
    std::unique_ptr<PositionEncoding> encoding_;
    Prefetched this_batch_, next_batch_;
    at::Tensor cache_;         // (rows, feature_dim) on the host; undefined if it would be too large
    std::size_t encoded_ = 0;  // rows of the cache that are filled
};

// One epoch: every row once, in a new order. The last batch may be smaller, but a single row
// joins the batch before it: alone it would have nothing to be told from.
class Epoch {
public:
    Epoch(RowIds rows, int batch_size, RandomStream &random, const ShuffleWindows &windows = {});

    static int64_t batches(std::size_t rows, int batch_size);
    int64_t batches() const { return batches(rows_.size(), batch_size_); }
    RowIds batch(int64_t index) const;

    // Rows that will be read soon after a batch: of the next batch; in windows, of the following window when the batch is
    // the first of its own, and of both at the start, else none.
    RowIds rows_ahead(int64_t index) const;

private:
    std::size_t window_of(int64_t index) const;

    RowIds rows_;
    ShuffleWindows windows_;
    int batch_size_;
};

}  // namespace csp

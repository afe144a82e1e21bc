// Dropout whose masks depend on nothing but the batch, the layer, the row and the column.
//
// Whoever computes a row, alone or as part of a batch, drops the same activations: a batch may be divided over threads
// and processes, and the run stays the same.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace csp {

// Rows of a batch that are computed one after the other, by their number in the whole batch.
struct RowRange {
    int64_t begin, count;
};

// One pass through a network. If it is given more rows than the network is, those beyond are the first ones once more,
// under masks of their own (dropout twins): what comes before the first layer of dropout is then computed once for both.
class Dropout {
public:
    // key: a random number of the batch.
    Dropout(double probability, uint64_t key, std::vector<RowRange> rows);

    int64_t rows() const { return row_count_; }

    // The first rows once more behind the others, up to rows().
    at::Tensor repeat(const at::Tensor &activations) const;

    // Sets a share of activations to zero and scales the others up; repeats rows.
    at::Tensor operator()(const at::Tensor &activations);

    // The same of leaky_relu(x, slope), in one pass over memory where that can be had.
    at::Tensor leaky_relu(const at::Tensor &x, double slope);

private:
    uint64_t next_layer();
    at::Tensor factors(uint64_t layer, int64_t columns, const at::TensorOptions &options) const;

    double probability_;
    uint64_t key_;
    std::vector<RowRange> ranges_;
    int64_t row_count_ = 0;
    uint64_t layers_ = 0;  // that have been through dropout
};

}  // namespace csp

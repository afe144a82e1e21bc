// Rows of real[] values in one block of memory: the kernels write behind the array headers.
#pragma once

#include "arrays.h"

#include "../encoder/scratch.h"

namespace csp::server {

class ArrayRows {
public:
    // Space for `rows` arrays of `width` elements. What was in it is lost, unless it fitted already.
    void reserve(std::size_t rows, std::size_t width) {
        if (rows <= capacity_ && width == width_)
            return;
        width_ = width;
        stride_ = (header_bytes / sizeof(float) + width + line - 1) / line * line;
        capacity_ = rows;
        block_ = allocate_floats(line + rows * stride_);
        for (std::size_t row = 0; row < rows; ++row)
            initialize_real_array(array(row), static_cast<int>(width));
    }

    ArrayType *array(std::size_t row) const {
        return reinterpret_cast<ArrayType *>(reinterpret_cast<char *>(elements(row)) - header_bytes);
    }
    float *elements(std::size_t row) const { return block_.get() + line + row * stride_; }
    std::size_t stride() const { return stride_; }  // in floats
    std::size_t row_memory() const { return stride_ * sizeof(float); }

private:
    static constexpr std::size_t line = 16;  // floats of a cache line, on which the elements of each row begin
    static constexpr std::size_t header_bytes = ARR_OVERHEAD_NONULLS(1);

    AlignedFloats block_;
    std::size_t capacity_ = 0;
    std::size_t width_ = 0;
    std::size_t stride_ = 0;
};

}  // namespace csp::server

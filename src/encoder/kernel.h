// The arithmetic inner loops, compiled once for each instruction set and chosen at run time.
//
// Every table computes a row of a result the same way whatever number of rows it is called
// with, so answers do not depend on the batch size, to the last bit. Between instruction
// sets they differ by rounding.
#pragma once

#include <cstddef>

#include "activation.h"

namespace csp {

// What follows a matrix product in the same pass.
struct Epilogue {
    bool activate;
    Activation activation;
};

// W (out, in) and b (out) of y = W x + b as the kernels read it: columns of the result are
// grouped in panels of Kernels::panel; panel p holds, for k = 0..in-1, the weights of input k
// for its columns, padded with zeros. Both arrays start on 64-byte boundaries.
struct PackedMatrix {
    const float *weights;
    const float *bias;  // padded like the panels
    std::size_t in;
    std::size_t out;
};

struct Kernels {
    const char *name;          // "AVX-512", "AVX2", "baseline"
    std::size_t panel;         // columns of a panel of PackedMatrix
    std::size_t row_block;     // rows that the matrix product likes best: multiples of it

    // sin and cos of n angles in radians, absolute error below 1.5e-7 for any finite angle.
    void (*sincos)(const double *angles, std::size_t n, float *sines, float *cosines);

    // out[2k] = sin(x w[k]), out[2k + 1] = cos(x w[k]); as exact.
    void (*waves)(double x, const double *w, std::size_t n, float *out);

    // out = epilogue(x W^T + b) for x (rows, in) and out (rows, out), strides in floats.
    void (*affine)(const float *x, std::size_t x_stride, std::size_t rows, const PackedMatrix &matrix,
                   Epilogue epilogue, float *out, std::size_t out_stride);

    // values[i] = exp(values[i]), relative error 1e-7; saturates where float ends.
    void (*exp)(float *values, std::size_t n);

    // values[i] += others[i]
    void (*add)(float *values, const float *others, std::size_t n);

    // Layer normalisation of one row in place: (x - mean) / sqrt(variance + 1e-5) * weight + bias.
    void (*layer_norm)(float *row, std::size_t n, const float *weight, const float *bias);

    // Softmax of one row in place.
    void (*softmax)(float *row, std::size_t n);

    float (*dot)(const float *a, const float *b, std::size_t n);
};

// The best table for this machine.
const Kernels &best_kernels();

// A table by its name; null if this machine or this build cannot run it.
const Kernels *find_kernels(const char *name);

}  // namespace csp

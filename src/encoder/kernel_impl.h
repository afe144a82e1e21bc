// The kernels in portable source (GCC vector extensions), included by one kernel_*.cpp for each
// instruction set, which sets CSP_KERNEL_NAMESPACE, CSP_KERNEL_NAME, CSP_VECTOR_BYTES and
// CSP_ROW_BLOCK.
//
// Everything here is static, and nothing of the standard library is used: an inline function
// compiled here for AVX-512 could otherwise be the copy that the linker keeps for all.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernel_tables.h"

namespace csp {
namespace CSP_KERNEL_NAMESPACE {

using std::size_t;

#define CSP_INLINE static inline __attribute__((always_inline))

constexpr size_t lanes = CSP_VECTOR_BYTES / 4;
constexpr size_t panel = 2 * lanes;

typedef float Floats __attribute__((vector_size(CSP_VECTOR_BYTES)));
typedef float UnalignedFloats __attribute__((vector_size(CSP_VECTOR_BYTES), aligned(4), may_alias));
typedef int32_t Ints __attribute__((vector_size(CSP_VECTOR_BYTES)));
typedef double Doubles __attribute__((vector_size(CSP_VECTOR_BYTES)));
typedef double UnalignedDoubles __attribute__((vector_size(CSP_VECTOR_BYTES), aligned(8), may_alias));
typedef int64_t Longs __attribute__((vector_size(CSP_VECTOR_BYTES)));
typedef float HalfFloats __attribute__((vector_size(CSP_VECTOR_BYTES / 2)));
typedef int32_t HalfInts __attribute__((vector_size(CSP_VECTOR_BYTES / 2)));

CSP_INLINE Floats load(const float *p) {
    return *reinterpret_cast<const UnalignedFloats *>(p);
}

CSP_INLINE void store(float *p, Floats v) {
    *reinterpret_cast<UnalignedFloats *>(p) = v;
}

CSP_INLINE Floats broadcast(float x) {
    return x - Floats{};
}

// The first n lanes, the others 0.
CSP_INLINE Floats load_part(const float *p, size_t n) {
    Floats v = {};
    __builtin_memcpy(&v, p, n * sizeof(float));
    return v;
}

CSP_INLINE void store_part(float *p, Floats v, size_t n) {
    __builtin_memcpy(p, &v, n * sizeof(float));
}

// Every lane changes places with the one `distance` away, a power of two.
CSP_INLINE Floats exchange(Floats v, int32_t distance) {
    alignas(CSP_VECTOR_BYTES) static constexpr int32_t numbers[] = {0, 1, 2,  3,  4,  5,  6,  7,
                                                                    8, 9, 10, 11, 12, 13, 14, 15};
    return __builtin_shuffle(v, *reinterpret_cast<const Ints *>(numbers) ^ distance);
}

CSP_INLINE float sum_of_lanes(Floats v) {
#pragma GCC unroll 4
    for (size_t half = lanes / 2; half > 0; half /= 2)
        v += exchange(v, static_cast<int32_t>(half));
    return v[0];
}

CSP_INLINE Floats larger(Floats a, Floats b) {
    return a > b ? a : b;
}

CSP_INLINE float largest_of_lanes(Floats v) {
#pragma GCC unroll 4
    for (size_t half = lanes / 2; half > 0; half /= 2)
        v = larger(exchange(v, static_cast<int32_t>(half)), v);
    return v[0];
}

// ---- exp and the activations -------------------------------------------------------------

// e^x, relative error about 1e-7; saturates at the ends of float's normal range. n = round(x / ln 2)
// falls out of the low bits of a float that was made large on purpose, r = x - n ln 2 in two
// steps; the polynomial is a minimax fit on |r| <= ln(2) / 2.
CSP_INLINE Floats exponential(Floats x) {
    const float magic = 12582912.0f;  // 1.5 * 2^23
    x = x < -87.3f ? broadcast(-87.3f) : x;
    x = x > 88.3f ? broadcast(88.3f) : x;
    const Floats shifted = x * 1.44269504f + magic;
    const Floats n = shifted - magic;
    const Floats r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    Floats p = 1.381453789e-3f * r + 8.368745320e-3f;
    p = p * r + 4.166839083e-2f;
    p = p * r + 1.666652040e-1f;
    p = p * r + 4.999999343e-1f;
    p = (p * r) * r + r + 1.0f;
    const Ints exponent = ((Ints)shifted - 0x4b400000 + 127) << 23;
    return p * (Floats)exponent;
}

CSP_INLINE Floats absolute(Floats x) {
    return (Floats)((Ints)x & 0x7fffffff);
}

// erf(t) = 1 - exp(-t R(t)) for t >= 0, with R a minimax fit on [0, 4], beyond which erf is 1 in
// float32. The absolute error is 1e-7, which is all that x * (1 + erf) asks for.
CSP_INLINE Floats error_function(Floats x) {
    Floats t = absolute(x);
    t = t > 4.0f ? broadcast(4.0f) : t;
    Floats r = 3.144013173e-5f * t - 3.088018007e-4f;
    r = r * t + 1.032400063e-3f;
    r = r * t + 5.369364556e-4f;
    r = r * t - 1.958396331e-2f;
    r = r * t + 1.029196148e-1f;
    r = r * t + 6.365977331e-1f;
    r = r * t + 1.128380252f;
    const Floats y = 1.0f - exponential(-(r * t));
    return (Floats)((Ints)y | ((Ints)x & INT32_MIN));
}

// sin(x), absolute error 2e-7 for |x| up to 10^4: x = n pi + r in three steps (Cody and Waite), a polynomial on
// |r| <= pi/2, the sign of an odd n.
CSP_INLINE Floats sine(Floats x) {
    const float magic = 12582912.0f;  // 1.5 * 2^23: n appears in the low bits
    const Floats shifted = x * 0.318309886f + magic;
    const Floats n = shifted - magic;
    Floats r = ((x - n * 3.140625f) - n * 9.670257568359375e-4f) - n * 6.278329571e-7f;
    r = absolute(r) > 2.0f ? Floats{} : r;  // beyond what float32 can reduce; NaN stays
    const Floats square = r * r;
    Floats p = 2.6019031e-6f * square - 1.9807418e-4f;
    p = p * square + 8.3330255e-3f;
    p = p * square - 1.6666657e-1f;
    p = (p * square) * r + r;
    return (Floats)((Ints)p ^ ((Ints)shifted << 31));
}

// Comparisons are written so that NaN stays NaN.
template <Activation kind>
CSP_INLINE Floats activated(Floats x) {
    switch (kind) {
        case Activation::relu: return x < 0.0f ? Floats{} : x;
        case Activation::leakyrelu: return x < 0.0f ? 0.2f * x : x;
        case Activation::gelu: return 0.5f * x * (1.0f + error_function(x * 0.707106781f));
        case Activation::sigmoid: return 1.0f / (1.0f + exponential(-x));
        case Activation::tanh: return 1.0f - 2.0f / (exponential(2.0f * x) + 1.0f);
        case Activation::sine: return sine(x);
    }
    return x;
}

template <Activation kind>
CSP_INLINE void activate_rows(float *values, size_t stride, size_t rows, size_t n) {
    for (size_t row = 0; row < rows; ++row) {
        float *p = values + row * stride;
        size_t i = 0;
        for (; i + lanes <= n; i += lanes)
            store(p + i, activated<kind>(load(p + i)));
        if (i < n)
            store_part(p + i, activated<kind>(load_part(p + i, n - i)), n - i);
    }
}

static void apply(Epilogue epilogue, float *values, size_t stride, size_t rows, size_t n) {
    if (!epilogue.activate)
        return;
    switch (epilogue.activation) {
        case Activation::relu: return activate_rows<Activation::relu>(values, stride, rows, n);
        case Activation::leakyrelu: return activate_rows<Activation::leakyrelu>(values, stride, rows, n);
        case Activation::gelu: return activate_rows<Activation::gelu>(values, stride, rows, n);
        case Activation::sigmoid: return activate_rows<Activation::sigmoid>(values, stride, rows, n);
        case Activation::tanh: return activate_rows<Activation::tanh>(values, stride, rows, n);
        case Activation::sine: return activate_rows<Activation::sine>(values, stride, rows, n);
    }
}

// ---- matrix product ----------------------------------------------------------------------

// Every element of a product is the bias plus, one after the other, chains of multiply-adds over `chain` inputs each: in
// the block below and in the single row alike, which makes them agree bit by bit. One chain over all inputs would lose
// two or three times as much to rounding.
constexpr size_t chain = 128;

CSP_INLINE void store_panel(float *out, Floats low, Floats high, size_t columns) {
    if (columns >= panel) {
        store(out, low);
        store(out + lanes, high);
    } else if (columns > lanes) {
        store(out, low);
        store_part(out + lanes, high, columns - lanes);
    } else {
        store_part(out, low, columns);
    }
}

// Asks for the cache lines that a block of results will be written to while it is being computed. A row of the result is
// far from the next, which hardware does not foresee.
CSP_INLINE void prefetch_for_writing(const float *out, size_t out_stride, size_t rows, size_t columns) {
    constexpr size_t line = 16;
    for (size_t r = 0; r < rows; ++r, out += out_stride) {
        for (size_t column = 0; column < columns; column += line)
            __builtin_prefetch(out + column, 1);
        __builtin_prefetch(out + columns - 1, 1);
    }
}

// `rows` rows times one panel, or the first of its `vectors`, held in registers all along.
template <size_t rows, size_t vectors>
static void multiply_block(const float *x, size_t x_stride, const float *weights, const float *bias, size_t in,
                           float *out, size_t out_stride, size_t columns) {
    prefetch_for_writing(out, out_stride, rows, columns < panel ? columns : panel);
    Floats totals[rows][vectors];
#pragma GCC unroll 16
    for (size_t r = 0; r < rows; ++r)
#pragma GCC unroll 2
        for (size_t v = 0; v < vectors; ++v)
            totals[r][v] = load(bias + v * lanes);
    for (size_t first = 0; first < in; first += chain) {
        const size_t end = in - first < chain ? in : first + chain;
        Floats sums[rows][vectors] = {};
        for (size_t k = first; k < end; ++k) {
            const Floats low = load(weights);
            const Floats high = load(weights + (vectors - 1) * lanes);
            weights += panel;
#pragma GCC unroll 16
            for (size_t r = 0; r < rows; ++r) {
                const float value = x[r * x_stride + k];
                sums[r][0] += value * low;
                if constexpr (vectors > 1)
                    sums[r][1] += value * high;
            }
        }
#pragma GCC unroll 16
        for (size_t r = 0; r < rows; ++r)
#pragma GCC unroll 2
            for (size_t v = 0; v < vectors; ++v)
                totals[r][v] += sums[r][v];
    }
#pragma GCC unroll 16
    for (size_t r = 0; r < rows; ++r)
        store_panel(out + r * out_stride, totals[r][0], totals[r][vectors - 1], columns);
}

typedef void (*BlockFunction)(const float *, size_t, const float *, const float *, size_t, float *, size_t, size_t);

// A result of few columns, of a few classes, say, may fill half a panel only: the other half is left out.
template <size_t rows>
CSP_INLINE BlockFunction block_function(size_t wanted, size_t columns) {
    if constexpr (rows > 1)
        if (wanted != rows)
            return block_function<rows - 1>(wanted, columns);
    return columns > lanes ? multiply_block<rows, 2> : multiply_block<rows, 1>;
}

// Several rows: panel by panel, so that a panel's weights come from memory once, through
// blocks of nearly equal height (two of 8 and 7 rows are faster than 14 and 1).
static void affine_rows(const float *x, size_t x_stride, size_t rows, const PackedMatrix &matrix, Epilogue epilogue,
                        float *out, size_t out_stride) {
    const size_t blocks = (rows + CSP_ROW_BLOCK - 1) / CSP_ROW_BLOCK;
    for (size_t column = 0; column < matrix.out; column += panel) {
        const size_t columns = matrix.out - column < panel ? matrix.out - column : panel;
        for (size_t block = 0; block < blocks; ++block) {
            const size_t first = rows * block / blocks;
            const size_t height = rows * (block + 1) / blocks - first;
            float *target = out + first * out_stride + column;
            block_function<CSP_ROW_BLOCK>(height, columns)(x + first * x_stride, x_stride,
                                                           matrix.weights + column * matrix.in, matrix.bias + column,
                                                           matrix.in, target, out_stride, columns);
            apply(epilogue, target, out_stride, height, columns);
        }
    }
}

// One row times `panels` panels at once: the weights are used once, so memory sets the pace,
// and several panels give enough independent chains to keep it busy.
template <size_t panels>
static void multiply_row(const float *x, const float *weights, const float *bias, size_t in, float *out,
                         size_t columns) {
    Floats totals[panels][2];
#pragma GCC unroll 16
    for (size_t p = 0; p < panels; ++p) {
        totals[p][0] = load(bias + p * panel);
        totals[p][1] = load(bias + p * panel + lanes);
    }
    const size_t size = panel * in;
    for (size_t first = 0; first < in; first += chain) {
        const size_t end = in - first < chain ? in : first + chain;
        Floats sums[panels][2] = {};
        for (size_t k = first; k < end; ++k) {
#pragma GCC unroll 16
            for (size_t p = 0; p < panels; ++p) {
                sums[p][0] += x[k] * load(weights + p * size);
                sums[p][1] += x[k] * load(weights + p * size + lanes);
            }
            weights += panel;
        }
#pragma GCC unroll 16
        for (size_t p = 0; p < panels; ++p) {
            totals[p][0] += sums[p][0];
            totals[p][1] += sums[p][1];
        }
    }
#pragma GCC unroll 16
    for (size_t p = 0; p < panels; ++p)
        store_panel(out + p * panel, totals[p][0], totals[p][1], columns - p * panel);
}

typedef void (*RowFunction)(const float *, const float *, const float *, size_t, float *, size_t);

template <size_t most_panels>
CSP_INLINE RowFunction row_function(size_t columns) {
    if constexpr (most_panels > 1)
        if (columns <= (most_panels - 1) * panel)
            return row_function<most_panels - 1>(columns);
    return multiply_row<most_panels>;
}

static void affine_row(const float *x, const PackedMatrix &matrix, Epilogue epilogue, float *out) {
    constexpr size_t together = 4;
    for (size_t column = 0; column < matrix.out; column += together * panel) {
        const size_t columns = matrix.out - column;
        row_function<together>(columns)(x, matrix.weights + column * matrix.in, matrix.bias + column, matrix.in,
                                        out + column, columns);
    }
    apply(epilogue, out, matrix.out, 1, matrix.out);
}

static void affine(const float *x, size_t x_stride, size_t rows, const PackedMatrix &matrix, Epilogue epilogue,
                   float *out, size_t out_stride) {
    if (rows == 1)
        affine_row(x, matrix, epilogue, out);
    else
        affine_rows(x, x_stride, rows, matrix, epilogue, out, out_stride);
}

// ---- rows --------------------------------------------------------------------------------

static void add(float *values, const float *others, size_t n) {
    size_t i = 0;
    for (; i + lanes <= n; i += lanes)
        store(values + i, load(values + i) + load(others + i));
    for (; i < n; ++i)
        values[i] += others[i];
}

// The sum of term(x) over the row, whole vectors and scalars, in four independent chains: one alone would wait for each
// of its additions.
template <typename Term>
CSP_INLINE float sum_of(const float *row, size_t n, Term term) {
    constexpr size_t chains = 4;
    Floats sums[chains] = {};
    size_t i = 0;
    for (; i + chains * lanes <= n; i += chains * lanes)
#pragma GCC unroll 4
        for (size_t c = 0; c < chains; ++c)
            sums[c] += term(load(row + i + c * lanes));
    for (; i + lanes <= n; i += lanes)
        sums[0] += term(load(row + i));
    float rest = 0;
    for (; i < n; ++i)
        rest += term(row[i]);
    return sum_of_lanes((sums[0] + sums[1]) + (sums[2] + sums[3])) + rest;
}

// Two passes (mean, then the squares of what is left) keep float32 accurate for rows far from 0.
static void layer_norm(float *row, size_t n, const float *weight, const float *bias) {
    const float mean = sum_of(row, n, [](auto x) { return x; }) / static_cast<float>(n);
    const float squares = sum_of(row, n, [mean](auto x) { return (x - mean) * (x - mean); });
    const float scale = 1.0f / __builtin_sqrtf(squares / static_cast<float>(n) + 1e-5f);
    size_t i = 0;
    for (; i + lanes <= n; i += lanes)
        store(row + i, (load(row + i) - mean) * scale * load(weight + i) + load(bias + i));
    for (; i < n; ++i)
        row[i] = (row[i] - mean) * scale * weight[i] + bias[i];
}

// In float64: thousands of classes must add up to 1.
static double precise_sum(const float *row, size_t n) {
    constexpr size_t step = lanes / 2;
    Doubles sums[2] = {};
    size_t i = 0;
    for (; i + lanes <= n; i += lanes) {
        HalfFloats low, high;
        __builtin_memcpy(&low, row + i, sizeof low);
        __builtin_memcpy(&high, row + i + step, sizeof high);
        sums[0] += __builtin_convertvector(low, Doubles);
        sums[1] += __builtin_convertvector(high, Doubles);
    }
    double total = 0;
    for (; i < n; ++i)
        total += row[i];
    sums[0] += sums[1];
    for (size_t lane = 0; lane < step; ++lane)
        total += sums[0][lane];
    return total;
}

static float largest_of(const float *row, size_t n) {
    float largest = n > 0 ? row[0] : 0.0f;
    Floats most = broadcast(largest);
    size_t i = 0;
    for (; i + lanes <= n; i += lanes)
        most = larger(load(row + i), most);
    largest = largest_of_lanes(most);
    for (; i < n; ++i)
        largest = row[i] > largest ? row[i] : largest;
    return largest;
}

static void softmax(float *row, size_t n) {
    const float largest = largest_of(row, n);
    size_t i = 0;
    for (; i + lanes <= n; i += lanes)
        store(row + i, exponential(load(row + i) - largest));
    if (i < n)
        store_part(row + i, exponential(load_part(row + i, n - i) - largest), n - i);
    const auto scale = static_cast<float>(1.0 / precise_sum(row, n));
    for (i = 0; i < n; ++i)
        row[i] *= scale;
}

static float dot(const float *a, const float *b, size_t n) {
    Floats sums[2] = {};
    size_t i = 0;
    for (; i + 2 * lanes <= n; i += 2 * lanes) {
        sums[0] += load(a + i) * load(b + i);
        sums[1] += load(a + i + lanes) * load(b + i + lanes);
    }
    float rest = 0;
    for (; i < n; ++i)
        rest += a[i] * b[i];
    return sum_of_lanes(sums[0] + sums[1]) + rest;
}

// ---- sin and cos -------------------------------------------------------------------------

constexpr size_t angle_chunk = 32;
// n = angle / (pi/2) must fit the 26 bits that the high part of pi/2 leaves of a double.
constexpr double largest_reduced_angle = 1e8;

// angle = n pi/2 + r with |r| <= pi/4, in float64: pi/2 is a high part of 27 bits, whose
// product with n is exact, and a low part (Cody and Waite). False if an angle is too large.
static bool reduce(const double *angles, float *remainders, int32_t *quadrants) {
    constexpr double magic = 6755399441055744.0;  // 1.5 * 2^52: n appears in the low bits
    constexpr double high = 0x1.921fb54p+0;
    constexpr double low = 0x1.10b4611a62633p-30;
    constexpr size_t step = lanes / 2;
    Longs too_large = {};
    for (size_t i = 0; i < angle_chunk; i += step) {
        const Doubles x = *reinterpret_cast<const UnalignedDoubles *>(angles + i);
        too_large |= (x > largest_reduced_angle) | (x < -largest_reduced_angle);
        const Doubles shifted = x * 0.63661977236758134308 + magic;
        const Doubles n = shifted - magic;
        const Doubles r = (x - n * high) - n * low;
        *reinterpret_cast<HalfFloats *>(remainders + i) = __builtin_convertvector(r, HalfFloats);
        *reinterpret_cast<HalfInts *>(quadrants + i) = __builtin_convertvector((Longs)shifted, HalfInts);
    }
    int64_t any = 0;
    for (size_t i = 0; i < step; ++i)
        any |= too_large[i];
    return any == 0;
}

// Minimax polynomials on |r| <= pi/4, then swapped and signed by the quadrant.
CSP_INLINE void evaluate(Floats r, Ints quadrant, float *sines, float *cosines) {
    const Floats square = r * r;
    Floats s = -1.949529313e-4f * square + 8.331975964e-3f;
    s = s * square - 1.666665062e-1f;
    s = (s * square) * r + r;
    Floats c = 2.443809015e-5f * square - 1.388736448e-3f;
    c = c * square + 4.166664681e-2f;
    c = (c * square) * square + (1.0f - 0.5f * square);
    const Ints swapped = (quadrant & 1) != 0;
    const Floats sine = swapped ? c : s;
    const Floats cosine = swapped ? s : c;
    store(sines, (Floats)((Ints)sine ^ ((quadrant & 2) << 30)));
    store(cosines, (Floats)((Ints)cosine ^ (((quadrant + 1) & 2) << 30)));
}

static void sincos_chunk(const double *angles, float *sines, float *cosines) {
    alignas(64) float remainders[angle_chunk];
    alignas(64) int32_t quadrants[angle_chunk];
    const bool reduced = reduce(angles, remainders, quadrants);
    for (size_t i = 0; i < angle_chunk; i += lanes)
        evaluate(*reinterpret_cast<const Floats *>(remainders + i), *reinterpret_cast<const Ints *>(quadrants + i),
                 sines + i, cosines + i);
    if (reduced)
        return;
    for (size_t i = 0; i < angle_chunk; ++i)
        if (angles[i] > largest_reduced_angle || angles[i] < -largest_reduced_angle) {
            sines[i] = static_cast<float>(__builtin_sin(angles[i]));
            cosines[i] = static_cast<float>(__builtin_cos(angles[i]));
        }
}

static void sincos(const double *angles, size_t n, float *sines, float *cosines) {
    size_t i = 0;
    for (; i + angle_chunk <= n; i += angle_chunk)
        sincos_chunk(angles + i, sines + i, cosines + i);
    if (i == n)
        return;
    double rest[angle_chunk] = {};
    float rest_sines[angle_chunk];
    float rest_cosines[angle_chunk];
    __builtin_memcpy(rest, angles + i, (n - i) * sizeof(double));
    sincos_chunk(rest, rest_sines, rest_cosines);
    __builtin_memcpy(sines + i, rest_sines, (n - i) * sizeof(float));
    __builtin_memcpy(cosines + i, rest_cosines, (n - i) * sizeof(float));
}

// Sines and cosines side by side.
CSP_INLINE void interleave(const float *sines, const float *cosines, size_t n, float *out) {
    for (size_t k = 0; k < n; ++k) {
        out[2 * k] = sines[k];
        out[2 * k + 1] = cosines[k];
    }
}

static void waves(double x, const double *w, size_t n, float *out) {
    alignas(64) double angles[angle_chunk];
    alignas(64) float sines[angle_chunk];
    alignas(64) float cosines[angle_chunk];
    size_t first = 0;
    for (; first + angle_chunk <= n; first += angle_chunk) {
        for (size_t k = 0; k < angle_chunk; ++k)
            angles[k] = x * w[first + k];
        sincos_chunk(angles, sines, cosines);
        interleave(sines, cosines, angle_chunk, out + 2 * first);
    }
    if (first == n)
        return;
    for (size_t k = 0; k < angle_chunk; ++k)
        angles[k] = k < n - first ? x * w[first + k] : 0.0;
    sincos_chunk(angles, sines, cosines);
    interleave(sines, cosines, n - first, out + 2 * first);
}

static void exp_in_place(float *values, size_t n) {
    size_t i = 0;
    for (; i + lanes <= n; i += lanes)
        store(values + i, exponential(load(values + i)));
    if (i < n)
        store_part(values + i, exponential(load_part(values + i, n - i)), n - i);
}

static constexpr Kernels table = {CSP_KERNEL_NAME, panel, CSP_ROW_BLOCK, sincos,  waves, affine,
                                  exp_in_place,    add,   layer_norm,    softmax, dot};

}  // namespace CSP_KERNEL_NAMESPACE
}  // namespace csp

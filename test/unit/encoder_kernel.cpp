// The kernels of every instruction set of this machine, against libm and double precision.
#include "../../src/encoder/kernel.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "../../src/encoder/linear.h"
#include "encoder_support.h"

namespace {

using csp::Activation;
using csp::Kernels;
using csp_test::all_kernels;
using csp_test::random_values;

TEST(Kernels, TablesAreComplete) {
    EXPECT_STREQ(csp::find_kernels("baseline")->name, "baseline");
    EXPECT_EQ(csp::find_kernels("abacus"), nullptr);
    EXPECT_EQ(csp::find_kernels(csp::best_kernels().name), &csp::best_kernels());
#if defined(__x86_64__)
    // A table that is missing on a machine that could run it means wrong compiler flags.
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        EXPECT_NE(csp::find_kernels("AVX2"), nullptr);
    }
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl")) {
        EXPECT_NE(csp::find_kernels("AVX-512"), nullptr);
    }
#endif
}

// ---- sin and cos

void check_sincos(const Kernels &kernels, const std::vector<double> &angles) {
    std::vector<float> sines(angles.size()), cosines(angles.size());
    kernels.sincos(angles.data(), angles.size(), sines.data(), cosines.data());
    double worst = 0;
    for (std::size_t i = 0; i < angles.size(); ++i) {
        worst = std::max(worst, std::fabs(sines[i] - std::sin(angles[i])));
        worst = std::max(worst, std::fabs(cosines[i] - std::cos(angles[i])));
        ASSERT_LT(worst, 1.5e-7) << kernels.name << " at " << angles[i];
    }
}

TEST(Kernels, SincosOverAllMagnitudes) {
    std::mt19937_64 random(3);
    std::uniform_real_distribution<double> exponent(-30, 15), sign(-1, 1);
    std::vector<double> angles(200001);
    for (double &angle : angles)
        angle = std::copysign(std::pow(10.0, exponent(random)), sign(random));
    for (const Kernels *kernels : all_kernels())
        check_sincos(*kernels, angles);
}

TEST(Kernels, SincosNearMultiplesOfAQuarterTurn) {
    std::vector<double> angles = {0.0, -0.0, std::numeric_limits<double>::denorm_min()};
    for (double n : {1.0, 2.0, 3.0, 4.0, 7.0, 1001.0, 123456.0, 1273239.0, 63661977.0})
        for (double half : {0.0, 0.5})
            for (double sign : {-1.0, 1.0}) {
                const double angle = sign * (n + half) * M_PI_2;
                angles.insert(angles.end(), {angle, std::nextafter(angle, 1e300), std::nextafter(angle, -1e300)});
            }
    for (double limit : {1e8, -1e8, 1.8e6, 2e6, 1e300, -1e300})
        angles.insert(angles.end(), {limit, std::nextafter(limit, 1e301), std::nextafter(limit, -1e301)});
    for (const Kernels *kernels : all_kernels())
        check_sincos(*kernels, angles);
}

TEST(Kernels, SincosOfAnyLengthEqualsItsElements) {
    const double angles[70] = {1, 2, 3, 4e5, -5, 6e9, 7, 8, 9, 10, 1e6};
    for (const Kernels *kernels : all_kernels())
        for (std::size_t n = 0; n <= 70; ++n) {
            float sines[71], cosines[71];
            sines[n] = cosines[n] = 42;
            kernels->sincos(angles, n, sines, cosines);
            EXPECT_EQ(sines[n], 42);
            EXPECT_EQ(cosines[n], 42);
            for (std::size_t i = 0; i < n; ++i) {
                float sine, cosine;
                kernels->sincos(angles + i, 1, &sine, &cosine);
                EXPECT_EQ(sines[i], sine);
                EXPECT_EQ(cosines[i], cosine);
            }
        }
}

TEST(Kernels, SincosOfNoNumberIsNoNumber) {
    const double infinity = std::numeric_limits<double>::infinity();
    const double angles[3] = {std::nan(""), infinity, -infinity};
    for (const Kernels *kernels : all_kernels()) {
        float sines[3], cosines[3];
        kernels->sincos(angles, 3, sines, cosines);
        for (int i = 0; i < 3; ++i) {
            EXPECT_TRUE(std::isnan(sines[i])) << kernels->name << i;
            EXPECT_TRUE(std::isnan(cosines[i])) << kernels->name << i;
        }
    }
}

// ---- matrix product

double activated(Activation activation, double x) {
    switch (activation) {
        case Activation::relu: return std::max(x, 0.0);
        case Activation::leakyrelu: return x < 0 ? 0.2 * x : x;
        case Activation::gelu: return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
        case Activation::sigmoid: return 1 / (1 + std::exp(-x));
        case Activation::tanh: return std::tanh(x);
        case Activation::sine: return std::sin(x);
    }
    return NAN;
}

constexpr Activation activations[] = {Activation::relu, Activation::leakyrelu, Activation::gelu, Activation::sigmoid,
                                      Activation::tanh, Activation::sine};

TEST(Kernels, AffineAgreesWithDoublePrecision) {
    for (const Kernels *kernels : all_kernels())
        for (int in : {1, 3, 17, 33, 256})
            for (int out : {1, 3, 17, 33, 64, 96, 130}) {
                const csp::Tensor weight = csp_test::random_tensor({out, in}, 1.0f / std::sqrt(float(in)), 1);
                const csp::Tensor bias = csp_test::random_tensor({out}, 1, 2);
                const csp::Linear linear(*kernels, weight, &bias);
                for (std::size_t rows : {1, 2, 5, 14, 15, 29}) {
                    const std::vector<float> x = random_values(rows * in, 1, 3);
                    std::vector<float> y(rows * out + 1, 42);
                    linear.apply(x.data(), in, rows, {false, Activation::relu}, y.data(), out);
                    EXPECT_EQ(y.back(), 42) << "written beyond the end";
                    for (std::size_t r = 0; r < rows; ++r)
                        for (int c = 0; c < out; ++c) {
                            double sum = bias.values[c];
                            for (int k = 0; k < in; ++k)
                                sum += double(x[r * in + k]) * weight.values[c * in + k];
                            ASSERT_NEAR(y[r * out + c], sum, 3e-6) << kernels->name << in << " " << out;
                        }
                }
            }
}

// A 1 x 1 layer with weight 1 shows an activation alone, over the whole range of floats.
TEST(Kernels, ActivationsAgreeWithLibm) {
    std::vector<float> x = random_values(20000, 12, 4);
    for (float special : {0.0f, -0.0f, 1e-30f, -1e-30f, 87.0f, -87.0f, 89.0f, -89.0f, 1e4f, -1e4f, 3e38f, -3e38f})
        x.push_back(special);
    const csp::Tensor one = {{1, 1}, {1}};
    for (const Kernels *kernels : all_kernels()) {
        const csp::Linear identity(*kernels, one, nullptr);
        for (Activation activation : activations) {
            std::vector<float> y(x.size());
            identity.apply(x.data(), 1, x.size(), {true, activation}, y.data(), 1);
            for (std::size_t i = 0; i < x.size(); ++i) {
                const double expected = activated(activation, x[i]);
                if (activation == Activation::sine && std::fabs(x[i]) > 1e4f) {
                    EXPECT_LE(std::fabs(y[i]), 1.0f) << x[i];  // a sine, if not the sine
                    continue;
                }
                ASSERT_NEAR(y[i], expected, 3e-7 * std::max(1.0, std::fabs(expected)))
                    << kernels->name << " " << csp::to_string(activation) << "(" << x[i] << ")";
            }
            const float nan = NAN;
            float result = 0;
            identity.apply(&nan, 1, 1, {true, activation}, &result, 1);
            EXPECT_TRUE(std::isnan(result)) << kernels->name << " " << csp::to_string(activation);
        }
    }
}

TEST(Kernels, RowsDoNotDependOnTheirBatch) {
    for (const Kernels *kernels : all_kernels())
        for (int out : {1, 31, 32, 97, 128, 160}) {
            const int in = 65;
            const csp::Tensor weight = csp_test::random_tensor({out, in}, 1, 5);
            const csp::Linear linear(*kernels, weight, nullptr);
            const std::vector<float> x = random_values(100 * in, 1, 6);
            for (std::size_t rows = 1; rows <= 100; ++rows) {
                std::vector<float> batch(rows * out), single(out);
                linear.apply_tall(x.data(), in, rows, {true, Activation::gelu}, batch.data(), out);
                for (std::size_t r = 0; r < rows; ++r) {
                    linear.apply_tall(x.data() + r * in, in, 1, {true, Activation::gelu}, single.data(), out);
                    ASSERT_EQ(0, std::memcmp(single.data(), &batch[r * out], out * sizeof(float)))
                        << kernels->name << " row " << r << " of " << rows;
                }
            }
            for (int c = 0; c < out; ++c) {
                std::vector<float> all(out);
                linear.apply_tall(x.data(), in, 1, {true, Activation::sigmoid}, all.data(), out);
                float one = 0;
                linear.apply_column(x.data(), in, 1, c, {true, Activation::sigmoid}, &one);
                ASSERT_EQ(one, all[c]);
            }
        }
}

// More rows than one pass takes, wide enough (an image feature) to make the passes short.
TEST(Kernels, DenseRowsInSeveralPasses) {
    const int in = 2048, out = 5;
    const std::size_t rows = 301;
    const csp::Tensor weight = csp_test::random_tensor({out, in}, 0.05f, 13);
    const std::vector<float> x = random_values(rows * in, 1, 14);
    for (const Kernels *kernels : all_kernels()) {
        ASSERT_LT(2 * csp::rows_in_cache(*kernels, in), rows);
        const csp::Linear linear(*kernels, weight, nullptr);
        std::vector<float> y(rows * out);
        linear.apply_tall(x.data(), in, rows, {false, Activation::relu}, y.data(), out);
        for (std::size_t r = 0; r < rows; ++r)
            for (int c = 0; c < out; ++c) {
                double sum = 0;
                for (int k = 0; k < in; ++k)
                    sum += double(x[r * in + k]) * weight.values[c * in + k];
                ASSERT_NEAR(y[r * out + c], sum, 1e-5) << kernels->name << " row " << r;
            }
    }
}

// ---- rows

TEST(Kernels, LayerNormAgreesWithDoublePrecision) {
    for (const Kernels *kernels : all_kernels())
        for (std::size_t n : {1, 2, 3, 15, 16, 17, 33, 512, 1000})
            for (float offset : {0.0f, 100.0f}) {
                std::vector<float> row = random_values(n, 2, 7);
                for (float &value : row)
                    value += offset;
                const std::vector<float> weight = random_values(n, 2, 8), bias = random_values(n, 1, 9), x = row;
                double mean = 0, variance = 0;
                for (float value : x)
                    mean += value / double(n);
                for (float value : x)
                    variance += (value - mean) * (value - mean) / double(n);
                kernels->layer_norm(row.data(), n, weight.data(), bias.data());
                // float32 keeps 1e-5 of a coordinate near 100; next to a variance of 1 that shows.
                const double tolerance = offset > 0 ? 1e-4 : 3e-6;
                for (std::size_t i = 0; i < n; ++i)
                    ASSERT_NEAR(row[i], (x[i] - mean) / std::sqrt(variance + 1e-5) * weight[i] + bias[i], tolerance)
                        << kernels->name << " " << n;
            }
}

TEST(Kernels, SoftmaxAgreesWithDoublePrecision) {
    for (const Kernels *kernels : all_kernels())
        for (std::size_t n : {1, 2, 15, 16, 17, 33, 8142})
            for (float offset : {0.0f, -300.0f, 300.0f}) {
                std::vector<float> row = random_values(n, 9, 10);
                for (float &value : row)
                    value += offset;
                double largest = -1e9, total = 0;
                const std::vector<float> x = row;
                for (float value : x)
                    largest = std::max<double>(largest, value);
                for (float value : x)
                    total += std::exp(value - largest);
                kernels->softmax(row.data(), n);
                double sum = 0;
                for (std::size_t i = 0; i < n; ++i) {
                    ASSERT_NEAR(row[i], std::exp(x[i] - largest) / total, 1e-6) << kernels->name << " " << n;
                    sum += row[i];
                }
                EXPECT_NEAR(sum, 1, 1e-6);
            }
}

TEST(Kernels, DotAndAdd) {
    for (const Kernels *kernels : all_kernels())
        for (std::size_t n = 0; n < 150; ++n) {
            std::vector<float> a = random_values(n, 1, 11);
            const std::vector<float> b = random_values(n, 1, 12), before = a;
            double expected = 0;
            for (std::size_t i = 0; i < n; ++i)
                expected += double(a[i]) * b[i];
            EXPECT_NEAR(kernels->dot(a.data(), b.data(), n), expected, 2e-6);
            kernels->add(a.data(), b.data(), n);
            for (std::size_t i = 0; i < n; ++i)
                EXPECT_EQ(a[i], before[i] + b[i]);
        }
}

}  // namespace

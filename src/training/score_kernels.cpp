// Loops that the compiler turns into vectors of any width: sums are kept in sixteen parts for it.
#include "score_kernels.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace csp {
namespace {

constexpr int parts = 16;

// e^x, x cut to [-87, 88]: 2^k times a polynomial on half an interval of ln 2 to either side (Cephes' coefficients).
CSP_INLINE float exponential(float x) {
    x = x > 88.0f ? 88.0f : x;
    x = x < -87.0f ? -87.0f : x;
    const float shifted = x * 1.44269504f + 12582912.0f;  // the low bits are now the nearest integer
    const float k = shifted - 12582912.0f;
    const float r = x - k * 0.693359375f + k * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    return p * bits_as<float>((bits_as<uint32_t>(shifted) + 127u) << 23);
}

// ln x of a normal x > 0 (Cephes' coefficients).
CSP_INLINE float logarithm(float x) {
    const auto bits = bits_as<uint32_t>(x);
    int32_t exponent = static_cast<int32_t>(bits >> 23) - 126;
    float m = bits_as<float>((bits & 0x007fffffu) | 0x3f000000u);  // [0.5, 1)
    const bool low = m < 0.70710678f;
    exponent -= low;
    m = low ? m + m - 1.0f : m - 1.0f;
    float p = 7.0376836292e-2f;
    p = p * m - 1.1514610310e-1f;
    p = p * m + 1.1676998740e-1f;
    p = p * m - 1.2420140846e-1f;
    p = p * m + 1.4249322787e-1f;
    p = p * m - 1.6668057665e-1f;
    p = p * m + 2.0000714765e-1f;
    p = p * m - 2.4999993993e-1f;
    p = p * m + 3.3333331174e-1f;
    const float square = m * m, k = static_cast<float>(exponent);
    const float result = m + (p * m * square - 0.5f * square + k * -2.12194440e-4f) + k * 0.693359375f;
    return x == x ? result : x;
}

// step(part, i) for all i < n, in runs of `parts`.
template <class Step>
CSP_INLINE void in_parts(int64_t n, Step &&step) {
    int64_t i = 0;
    for (; i + parts <= n; i += parts)
        for (int part = 0; part < parts; ++part) step(part, i + part);
    for (int part = 0; i < n; ++i, ++part) step(part, i);
}

CSP_INLINE double total(const float (&sums)[parts]) {
    double sum = 0;
    for (float part : sums) sum += static_cast<double>(part);
    return sum;
}

// powers: room for n numbers, which may be the scores themselves.
template <class T>
CSP_INLINE double pick(T *scores, float *powers, int64_t n, int64_t target, double smoothing, bool derive) {
    const auto own = static_cast<double>(load(scores[target]));
    float highest[parts], sums[parts] = {}, plain[parts] = {};
    std::fill(highest, highest + parts, load(scores[0]));
    in_parts(n, [&](int part, int64_t i) CSP_INLINED {
        const float score = load(scores[i]);
        highest[part] = score > highest[part] ? score : highest[part];
        plain[part] += score;
    });
    const float most = *std::max_element(highest, highest + parts);
    if (!derive) {
        in_parts(n, [&](int part, int64_t i) CSP_INLINED { sums[part] += exponential(load(scores[i]) - most); });
    } else {
        in_parts(n, [&](int part, int64_t i) CSP_INLINED {
            powers[i] = exponential(load(scores[i]) - most);
            sums[part] += powers[i];
        });
    }
    const double sum = total(sums), log_sum = static_cast<double>(most) + std::log(sum);
    if (derive) {
        const auto scale = static_cast<float>(1 / sum), spread = static_cast<float>(smoothing / static_cast<double>(n));
        const float of_target = powers[target] * scale - spread - static_cast<float>(1 - smoothing);
        for (int64_t i = 0; i < n; ++i) store(scores[i], powers[i] * scale - spread);
        store(scores[target], of_target);
    }
    return log_sum - (1 - smoothing) * own - smoothing * total(plain) / static_cast<double>(n);
}

// ell(1 - P) = ln ratio, and its derivative by the score; of the score turned round they are those of ell(P). With
// a = 1 + e^score, 1 - P is 1 / a: one division serves both.
struct Absent {
    float ratio, derivative;
};
CSP_INLINE Absent tell_absent(float score) {
    const float odds = exponential(score > 40.0f ? 40.0f : score), a = 1.0f + odds;
    const float d = 1.0f / (a * (1.0f + 1e-5f * a));
    return {a * a * d, odds * d};
}

// The sum of ell(1 - P). Ratios are 1e5 at most: the product of four is far from the end of float32, and has one
// logarithm.
template <class T>
CSP_INLINE double tell_all_absent(T *scores, int64_t n, float weight, bool derive) {
    constexpr int64_t run = 4 * parts;
    float sums[parts] = {};
    int64_t begin = 0;
    for (; begin + run <= n; begin += run) {
        float products[parts];
        std::fill(products, products + parts, 1.0f);
        in_parts(run, [&](int part, int64_t i) CSP_INLINED {
            const Absent value = tell_absent(load(scores[begin + i]));
            products[part] *= value.ratio;
            if (derive) store(scores[begin + i], weight * value.derivative);
        });
        for (int part = 0; part < parts; ++part) sums[part] += logarithm(products[part]);
    }
    in_parts(n - begin, [&](int part, int64_t i) CSP_INLINED {
        const Absent value = tell_absent(load(scores[begin + i]));
        sums[part] += logarithm(value.ratio);
        if (derive) store(scores[begin + i], weight * value.derivative);
    });
    return total(sums);
}

template <class T>
CSP_INLINE double tell(T *scores, int64_t n, int64_t target, double present, double absent, bool derive) {
    const auto weight = static_cast<float>(absent), weight_present = static_cast<float>(present);
    double corrected = 0;
    Absent own{0, 0};
    if (target >= 0) {
        const float score = load(scores[target]);
        own = tell_absent(-score);
        corrected = present * static_cast<double>(logarithm(own.ratio)) -
                    absent * static_cast<double>(logarithm(tell_absent(score).ratio));
    }
    const double sum = derive ? tell_all_absent(scores, n, weight, true) : tell_all_absent(scores, n, weight, false);
    if (derive && target >= 0) store(scores[target], -weight_present * own.derivative);
    return absent * sum + corrected;
}

}  // namespace

CSP_VECTORIZED double pick_column(float *scores, int64_t n, int64_t target, double smoothing, bool derive) {
    return pick(scores, scores, n, target, smoothing, derive);
}
CSP_VECTORIZED double pick_column(Bfloat16 *scores, int64_t n, int64_t target, double smoothing, bool derive) {
    static thread_local std::vector<float> powers;
    powers.resize(static_cast<std::size_t>(n));
    return pick(scores, powers.data(), n, target, smoothing, derive);
}
CSP_VECTORIZED double tell_column(float *scores, int64_t n, int64_t target, double present, double absent, bool derive) {
    return tell(scores, n, target, present, absent, derive);
}
CSP_VECTORIZED double tell_column(Bfloat16 *scores, int64_t n, int64_t target, double present, double absent,
                                  bool derive) {
    return tell(scores, n, target, present, absent, derive);
}

}  // namespace csp

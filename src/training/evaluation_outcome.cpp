// Rank, probability and confidence in one pass over the classes each, without sorting.
#include "evaluation_outcome.h"

#include <algorithm>

#include "vectorized.h"

namespace csp {
namespace {

// So many partial results side by side, which the compiler keeps in vectors.
constexpr std::size_t lanes = 16;

CSP_VECTORIZED
void sum_and_largest(const float *values, std::size_t n, double *sum, float *largest) {
    float sums[lanes] = {}, tops[lanes] = {};
    double total = 0;
    std::size_t i = 0;
    while (n - i >= lanes) {
        // A float sums up no more than so many rounds, lest small ones are lost.
        const std::size_t end = std::min(n - n % lanes, i + 32 * lanes);
        for (; i < end; i += lanes)
            for (std::size_t lane = 0; lane < lanes; ++lane) {
                sums[lane] += values[i + lane];
                tops[lane] = tops[lane] > values[i + lane] ? tops[lane] : values[i + lane];
            }
        for (float &part : sums) {
            total += part;
            part = 0;
        }
    }
    float top = 0;
    for (float lane : tops) top = std::max(top, lane);
    for (; i < n; ++i) {
        total += values[i];
        top = std::max(top, values[i]);
    }
    *sum = total;
    *largest = top;
}

// Classes before `truth` that are no less probable, and those after it that are more so.
CSP_VECTORIZED
std::size_t classes_ahead(const float *values, std::size_t n, std::size_t truth) {
    const float own = values[truth];
    uint32_t ahead = 0;
    for (std::size_t i = 0; i < truth; ++i) ahead += values[i] >= own;
    for (std::size_t i = truth + 1; i < n; ++i) ahead += values[i] > own;
    return ahead;
}

}  // namespace

Outcome judge(const float *values, std::size_t n, int truth) {
    double sum;
    float largest;
    sum_and_largest(values, n, &sum, &largest);
    // A head of sigmoids may have given up every class. The sum is rounded: it may be less than one of its terms.
    const double scale = sum > 0 ? 1 / sum : 0;
    const double confidence = std::min(1.0, largest * scale);
    if (truth < 0) return {0, 0, confidence};
    const auto own = static_cast<std::size_t>(truth);
    return {1 + classes_ahead(values, n, own), std::min(confidence, values[own] * scale), confidence};
}

}  // namespace csp

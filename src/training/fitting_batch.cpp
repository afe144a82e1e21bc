// Search for a batch size.
#include "fitting_batch.h"

#include <algorithm>

namespace csp {

int fitting_batch_size(int failed, int64_t memory, const std::function<int64_t(int)> &estimate) {
    constexpr double margin = 0.9;
    auto limit = static_cast<int64_t>(margin * static_cast<double>(estimate(failed)));
    if (memory >= 0) limit = std::min(limit, memory);
    if (failed <= smallest_batch_size || estimate(smallest_batch_size) > limit) return 0;
    int fits = smallest_batch_size, too_large = failed;
    while (too_large - fits > 1) {
        const int middle = fits + (too_large - fits) / 2;
        (estimate(middle) <= limit ? fits : too_large) = middle;
    }
    return fits;
}

}  // namespace csp

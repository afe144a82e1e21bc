// Which batch would have fitted.
#include "batch_size_advice.h"

#include "../training/fitting_batch.h"

#include <algorithm>

namespace csp::server {

std::string advice_on_batch_size(const TrainingOptions &options, bool first, bool second, int64_t rows, int64_t memory,
                                 const std::function<int64_t(const TrainingOptions &)> &estimate) {
    const int first_size = first ? options.batch_size : 0;
    const int second_size = second && options.epochs > 0 ? options.fine_tune_batch_size : 0;
    const int64_t failed = std::min<int64_t>(std::max(first_size, second_size), rows);
    const int fits = fitting_batch_size(int(failed), memory, [&](int most) {
        TrainingOptions tried = options;
        tried.batch_size = std::min(options.batch_size, most);
        tried.fine_tune_batch_size = std::min(options.fine_tune_batch_size, most);
        return estimate(tried);
    });
    if (fits == 0)
        return "No batch size would have fitted, by estimate: lower hidden_dim or negatives.";
    const std::string names = second_size <= fits  ? "batch_size"
                              : first_size <= fits ? "fine_tune_batch_size"
                                                   : "batch_size and fine_tune_batch_size";
    return "By estimate " + names + " of " + std::to_string(fits) + " would have fitted.";
}

}  // namespace csp::server

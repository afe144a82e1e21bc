// Rungs of successive halving.
#include "options_halving.h"

#include <cstdint>

namespace csp {

std::vector<int> plan_rungs(int trials, int reduction, int epochs) {
    std::vector<int> sizes = {trials};
    for (int64_t factor = reduction; sizes.back() >= reduction && factor <= epochs; factor *= reduction)
        sizes.push_back(sizes.back() / reduction);
    return sizes;
}

void scale_to_rung(TrainingOptions &options, int rung, int rungs, int reduction) {
    int64_t factor = 1;
    for (int i = rung + 1; i < rungs; ++i) factor *= reduction;
    const auto share = [factor](int whole) { return static_cast<int>((whole + factor - 1) / factor); };
    options.pretrain_epochs = share(options.pretrain_epochs);
    options.epochs = share(options.epochs);
    options.min_steps = share(options.min_steps);
    options.image_epochs = share(options.image_epochs);
}

}  // namespace csp

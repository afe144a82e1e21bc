// How BatchLosses sends the shares of a batch into its lanes: for its source files alone.
#pragma once

#include "batch_losses.h"

namespace csp {

// work(i) for each share, side by side; lanes without a share rest.
template <class Work>
void BatchLosses::in_lanes(std::size_t shares, Work &&work) {
    lanes_.run([&](int lane) {
        if (static_cast<std::size_t>(lane) < shares) work(static_cast<std::size_t>(lane));
    });
}

}  // namespace csp

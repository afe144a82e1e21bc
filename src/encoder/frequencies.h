// Lists of frequencies that position encodings multiply coordinates by.
#pragma once

#include <vector>

namespace csp {

// The geometric list w_k = 1 / (min_radius * (max_radius / min_radius)^(k / (count - 1))),
// k = 0 the finest scale (Mai et al. 2020). There is no 2 pi in it: the period at scale k is
// 2 pi / w_k. count >= 2.
std::vector<double> geometric_frequencies(int count, double min_radius, double max_radius);

}  // namespace csp

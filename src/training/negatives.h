// Random locations, where the contrastive objective expects to find nothing.
#pragma once

#include <vector>

#include "random.h"

namespace csp {

// Fills lonlat with lonlat.size() / 2 places drawn uniformly by area over the sphere:
// longitude in [-180, 180) and latitude in [-90, 90], in degrees. Degrees drawn uniformly
// would crowd the poles: a third of the draws beyond 60 degrees instead of 13 %.
void sample_locations(RandomStream &random, std::vector<double> &lonlat);

}  // namespace csp

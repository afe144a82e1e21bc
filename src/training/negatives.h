// Random locations, where the contrastive objective expects to find nothing.
#pragma once

#include <vector>

#include "options.h"
#include "random.h"

namespace csp {

// Fills lonlat with lonlat.size() / 2 places, longitude in [-180, 180] and latitude in
// [-90, 90], in degrees:
//   area          uniform by area over the sphere
//   uniform       uniform in degrees, which crowds the poles: a third of the draws beyond 60
//                 degrees instead of 13 %
//   spherical     as published under this name: longitude in [0, 180), latitude in [0, 90),
//                 uniform in degrees, so that three quarters of the globe are never drawn
//   sphericalold  as published under this name: a sphere projected onto the disc and stretched;
//                 uniform in degrees each, within the ellipse that the map's sides touch
// observed is not of this kind: its locations are the rows' own.
void sample_locations(NegativeSampler sampler, RandomStream &random, std::vector<double> &lonlat);

}  // namespace csp

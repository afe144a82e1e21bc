// Area-uniform locations: equal steps of sin(latitude) cut the sphere into equal areas (Archimedes).
#include "negatives.h"

#include <cmath>

namespace csp {

void sample_locations(RandomStream &random, std::vector<double> &lonlat) {
    constexpr double degrees = 180 / 3.14159265358979323846;
    for (std::size_t i = 0; i + 1 < lonlat.size(); i += 2) {
        lonlat[i] = 360 * random.uniform() - 180;
        lonlat[i + 1] = std::asin(2 * random.uniform() - 1) * degrees;
    }
}

}  // namespace csp

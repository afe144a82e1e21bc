// Random locations by the published and by better distributions.
#include "negatives.h"

#include <cmath>

#include "../encoder/error.h"

namespace csp {
namespace {

constexpr double pi = 3.14159265358979323846;

// Equal steps of sin(latitude) cut the sphere into equal areas (Archimedes).
void by_area(RandomStream &random, double *lonlat) {
    lonlat[0] = 360 * random.uniform() - 180;
    lonlat[1] = std::asin(2 * random.uniform() - 1) * (180 / pi);
}

void by_degrees(RandomStream &random, double *lonlat) {
    lonlat[0] = 360 * random.uniform() - 180;
    lonlat[1] = 180 * random.uniform() - 90;
}

void in_north_east(RandomStream &random, double *lonlat) {
    lonlat[0] = 180 * random.uniform();
    lonlat[1] = 90 * random.uniform();
}

void in_ellipse(RandomStream &random, double *lonlat) {
    const double height = 2 * random.uniform() - 1, angle = 2 * pi * random.uniform();
    const double radius = std::sqrt(1 - height * height);
    lonlat[0] = 180 * radius * std::cos(angle);
    lonlat[1] = 90 * radius * std::sin(angle);
}

using Draw = void (*)(RandomStream &, double *);

Draw draw_of(NegativeSampler sampler) {
    switch (sampler) {
        case NegativeSampler::area: return by_area;
        case NegativeSampler::uniform: return by_degrees;
        case NegativeSampler::spherical: return in_north_east;
        case NegativeSampler::sphericalold: return in_ellipse;
        case NegativeSampler::observed: break;
    }
    throw Error(ErrorKind::internal, "observed locations are not drawn from a distribution");
}

}  // namespace

void sample_locations(NegativeSampler sampler, RandomStream &random, std::vector<double> &lonlat) {
    const Draw draw = draw_of(sampler);
    for (std::size_t i = 0; i + 1 < lonlat.size(); i += 2) draw(random, &lonlat[i]);
}

}  // namespace csp

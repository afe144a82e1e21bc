// What an image classifier and a place say together.
#pragma once

#include <cstddef>

#include "config.h"

namespace csp {

// P(y | I, x) of n classes by the product rule of Mac Aodha et al. (2019): image P(y | I) times place P(y | x), scaled to
// add up to 1. Both are finite and not negative; neither needs to add up to 1. Where no class has a chance with both, the
// place has ruled out all that the image shows: the image alone then decides. out may be one of the inputs. Throws
// Error(invalid_data) if all of `image` is 0.
void fuse(const float *image, const float *place, std::size_t n, float *out);

// How far each of both is believed: (image place^strength)^(1 / temperature), the product rule itself with 1 and 1.
// strength is at least 0, which leaves the place out; temperature is above 0.
struct Pooling {
    double strength = 1, temperature = 1;
};

inline Pooling pooling_of(const ModelConfig &config) { return {config.prior_strength, config.fusion_temperature}; }

// The same with exponents. An image alone, also where no class has a chance with both, keeps its probabilities.
void fuse(const float *image, const float *place, const Pooling &pooling, std::size_t n, float *out);

// Where one of the two is missing: the other alone, scaled to add up to 1. Of a place that gives no class a chance all are
// equal; an image that does so is Error(invalid_data), as above.
void image_alone(const float *image, std::size_t n, float *out);
void place_alone(const float *place, std::size_t n, float *out);

// Whichever of the above fits what there is: null for what is missing, one of them at most.
void fuse_known(const float *image, const float *place, const Pooling &pooling, std::size_t n, float *out);

}  // namespace csp

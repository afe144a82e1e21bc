// What an image classifier and a place say together.
#pragma once

#include <cstddef>

namespace csp {

// P(y | I, x) of n classes by the product rule of Mac Aodha et al. (2019): image P(y | I) times place P(y | x), scaled to
// add up to 1. Both are finite and not negative; neither needs to add up to 1. Where no class has a chance with both, the
// place has ruled out all that the image shows: the image alone then decides. out may be one of the inputs. Throws
// Error(invalid_data) if all of `image` is 0.
void fuse(const float *image, const float *place, std::size_t n, float *out);

}  // namespace csp

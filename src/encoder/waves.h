// sin and cos at many scales.
#pragma once

#include <cstddef>
#include <vector>

#include "kernel.h"

namespace csp {

// Calls body(k, axis, sin, cos) with the sine and cosine of coordinates[axis] * frequencies[k], for every scale k and
// each of the `axes` coordinates: scale by scale, the axes of a scale one after the other.
template <std::size_t axes, typename Body>
void for_each_wave(const Kernels &kernels, const double (&coordinates)[axes], const std::vector<double> &frequencies,
                   Body &&body) {
    constexpr std::size_t chunk = 32;
    double angles[axes * chunk];
    float sines[axes * chunk];
    float cosines[axes * chunk];
    for (std::size_t first = 0; first < frequencies.size(); first += chunk) {
        const std::size_t size = frequencies.size() - first < chunk ? frequencies.size() - first : chunk;
        for (std::size_t axis = 0; axis < axes; ++axis)
            for (std::size_t k = 0; k < size; ++k)
                angles[axis * size + k] = coordinates[axis] * frequencies[first + k];
        kernels.sincos(angles, axes * size, sines, cosines);
        for (std::size_t k = 0; k < size; ++k)
            for (std::size_t axis = 0; axis < axes; ++axis)
                body(first + k, axis, sines[axis * size + k], cosines[axis * size + k]);
    }
}

}  // namespace csp

// How position encodings read a location.
#pragma once

namespace csp {

constexpr double pi = 3.14159265358979323846;

inline double radians(float degrees) {
    return static_cast<double>(degrees) * pi / 180.0;
}

// [low, high] to [-1, 1], in float32 like the published code.
inline float normalized(float coordinate, double low, double high) {
    const float from_zero = (coordinate - static_cast<float>(low)) / static_cast<float>(high - low);
    return from_zero * 2.0f - 1.0f;
}

}  // namespace csp

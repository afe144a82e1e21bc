// How position encodings read a location.
#pragma once

namespace csp {

constexpr double pi = 3.14159265358979323846;

inline double radians(float degrees) {
    return static_cast<double>(degrees) * pi / 180.0;
}

// [low, high] to [-1, 1], rounded to float32 like in the published code.
inline float normalized(float coordinate, double low, double high) {
    return static_cast<float>((coordinate - low) / (high - low) * 2.0 - 1.0);
}

}  // namespace csp

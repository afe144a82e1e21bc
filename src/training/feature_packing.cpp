// Floats as 16 bits and back, in loops that compilers turn into vector instructions.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>

#include "../encoder/error.h"
#include "feature_store.h"

namespace csp {
namespace {

uint32_t bits_of(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}

float float_of(uint32_t bits) {
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

uint16_t to_bfloat16(float value) {
    const uint32_t bits = bits_of(value);
    return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

float from_bfloat16(uint16_t packed) { return float_of(static_cast<uint32_t>(packed) << 16); }

uint16_t to_float16(float value) {
    const uint32_t bits = bits_of(value), sign = (bits >> 16) & 0x8000, magnitude = bits & 0x7fffffff;
    // Below 2^-14 a unit is 2^-24 whatever the value: adding 0.5, whose own unit that is, rounds to it.
    if (magnitude < 0x38800000) return static_cast<uint16_t>(sign | (bits_of(float_of(magnitude) + 0.5f) - bits_of(0.5f)));
    const uint32_t rounded = magnitude + 0xfff + ((magnitude >> 13) & 1);
    return static_cast<uint16_t>(sign | ((rounded - 0x38000000) >> 13));
}

float from_float16(uint16_t packed) {
    const uint32_t sign = static_cast<uint32_t>(packed & 0x8000) << 16, magnitude = packed & 0x7fff;
    const uint32_t subnormal = bits_of(static_cast<float>(static_cast<int32_t>(magnitude)) * 0x1p-24f);
    const uint32_t normal = (magnitude << 13) + 0x38000000;
    const uint32_t is_subnormal = 0 - static_cast<uint32_t>(magnitude < 0x400);  // all bits or none: no branch
    return float_of(sign | (subnormal & is_subnormal) | (normal & ~is_subnormal));
}

// What is no longer a number of the storage once it is rounded begins here.
float first_too_large(FeatureStorage storage) {
    switch (storage) {
        case FeatureStorage::float16: return 65520;
        case FeatureStorage::bfloat16: return 0x1.ffp127f;
        case FeatureStorage::float32: break;
    }
    return INFINITY;
}

[[noreturn]] void throw_unfit(FeatureStorage storage, std::size_t index, float value) {
    const std::string element = "Element " + std::to_string(index + 1);
    if (!std::isfinite(value))
        throw Error(ErrorKind::invalid_data, "features must not contain NaN or infinity",
                    element + " is not a finite number.", "Leave such rows out of the source.");
    char text[32];
    std::snprintf(text, sizeof text, "%.9g", static_cast<double>(value));
    throw Error(ErrorKind::invalid_data,
                std::string("a feature is too large for feature_storage ") + to_string(storage),
                element + " is " + text + ".",
                "Use feature_storage float32" +
                    std::string(storage == FeatureStorage::float16 ? " or bfloat16" : "") + ", or scale the features.");
}

void require_fit(FeatureStorage storage, const float *features, std::size_t count) {
    const float bound = first_too_large(storage);
    const auto fits = [bound](float feature) { return std::abs(feature) < bound; };  // false for NaN
    uint32_t unfit = 0;
    for (std::size_t i = 0; i < count; ++i) unfit |= static_cast<uint32_t>(!fits(features[i]));
    if (unfit == 0) return;
    const std::size_t i = static_cast<std::size_t>(std::find_if_not(features, features + count, fits) - features);
    throw_unfit(storage, i, features[i]);
}

template <class Convert>
void pack(Convert convert, const float *features, std::size_t count, char *packed) {
    for (std::size_t i = 0; i < count; ++i) {
        const uint16_t value = convert(features[i]);
        std::memcpy(packed + 2 * i, &value, 2);
    }
}

template <class Convert>
void unpack(Convert convert, const char *packed, std::size_t count, float *features) {
    for (std::size_t i = 0; i < count; ++i) {
        uint16_t value;
        std::memcpy(&value, packed + 2 * i, 2);
        features[i] = convert(value);
    }
}

}  // namespace

void pack_features(FeatureStorage storage, const float *features, std::size_t count, char *packed) {
    require_fit(storage, features, count);
    switch (storage) {
        case FeatureStorage::float32: std::memcpy(packed, features, count * sizeof(float)); return;
        case FeatureStorage::float16: return pack(to_float16, features, count, packed);
        case FeatureStorage::bfloat16: return pack(to_bfloat16, features, count, packed);
    }
}

void unpack_features(FeatureStorage storage, const char *packed, std::size_t count, float *features) {
    switch (storage) {
        case FeatureStorage::float32: std::memcpy(features, packed, count * sizeof(float)); return;
        case FeatureStorage::float16: return unpack([](uint16_t v) { return from_float16(v); }, packed, count, features);
        case FeatureStorage::bfloat16: return unpack([](uint16_t v) { return from_bfloat16(v); }, packed, count, features);
    }
}

}  // namespace csp

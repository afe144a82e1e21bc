// Loops in host memory that the compiler turns into vectors, in a copy for each instruction set; for files that the
// Makefile compiles as such.
#pragma once

#include <cstdint>
#include <cstring>

// The copy is chosen when the library is loaded.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define CSP_VECTORIZED __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define CSP_VECTORIZED
#endif
// Whatever a vectorized function calls has to become part of it.
#define CSP_INLINED __attribute__((always_inline))
#define CSP_INLINE inline CSP_INLINED

namespace csp {

// The upper half of a float32.
struct Bfloat16 {
    uint16_t bits;
};

template <class To, class From>
CSP_INLINE To bits_as(From value) {
    To result;
    std::memcpy(&result, &value, sizeof result);
    return result;
}

CSP_INLINE float load(float value) { return value; }
CSP_INLINE float load(Bfloat16 value) { return bits_as<float>(static_cast<uint32_t>(value.bits) << 16); }
CSP_INLINE void store(float &place, float value) { place = value; }
// To the nearest, halves to even; a NaN stays one.
CSP_INLINE void store(Bfloat16 &place, float value) {
    const auto bits = bits_as<uint32_t>(value);
    const uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    place.bits = static_cast<uint16_t>(value == value ? rounded : 0x7fc0);
}

}  // namespace csp

// bf16 numbers: the upper half of a fp32 number, 8 significant bits.
#pragma once

#include <bit>
#include <cstdint>

namespace flashring::amx {

inline float from_bf16(std::uint16_t bits) { return std::bit_cast<float>(std::uint32_t{bits} << 16U); }

/// Nearest, ties to even: |x - bf16(x)| <= 2^-8 |x|. Infinities and NaNs stay; beyond the largest number is infinity.
inline std::uint16_t to_bf16(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  if ((bits & 0x7fffffffU) > 0x7f800000U) return static_cast<std::uint16_t>(bits >> 16U | 0x40U);
  return static_cast<std::uint16_t>((bits + 0x7fffU + (bits >> 16U & 1U)) >> 16U);
}

/// x as the sum of `terms` numbers, largest first. What is left is at most 2^(-8 terms) |x|, and 0 after three terms.
/// (The unit takes a term below the smallest normal number as 0.)
inline void split(float x, int terms, std::uint16_t *parts) {
  for (int t = 0; t < terms; ++t) {
    parts[t] = to_bf16(x);
    x -= from_bf16(parts[t]);  // exact: the difference has fewer bits than x
  }
}

}  // namespace flashring::amx

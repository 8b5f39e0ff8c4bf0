// Conversion of 16-bit numbers by their bits, for hosts and devices: included inside a namespace of whoever converts,
// no include guard, after <cstdint>. To 16 bits: the nearest, ties to even.
#include <device_word.hpp>

FLASHRING_EVERYWHERE float float_of_bits(std::uint32_t bits) {
  float value;
  __builtin_memcpy(&value, &bits, sizeof(value));
  return value;
}
FLASHRING_EVERYWHERE std::uint32_t bits_of_float(float value) {
  std::uint32_t bits;
  __builtin_memcpy(&bits, &value, sizeof(bits));
  return bits;
}

FLASHRING_EVERYWHERE float from_bf16(std::uint16_t bits) {
  return float_of_bits(static_cast<std::uint32_t>(bits) << 16U);
}

FLASHRING_EVERYWHERE std::uint16_t to_bf16(float value) {
  const std::uint32_t bits = bits_of_float(value);
  if (value != value) return static_cast<std::uint16_t>((bits >> 16U) | 0x40U);  // stays NaN when cut off
  return static_cast<std::uint16_t>((bits + 0x7FFFU + ((bits >> 16U) & 1U)) >> 16U);
}

/// Exponent and mantissa moved into those of fp32 are the number times 2^-112; numbers below the normal ones come out
/// right by that product.
FLASHRING_EVERYWHERE float from_fp16(std::uint16_t bits) {
  const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x8000U) << 16U;
  const std::uint32_t rest = static_cast<std::uint32_t>(bits & 0x7FFFU) << 13U;
  const std::uint32_t number =
      (bits & 0x7C00U) == 0x7C00U ? rest | 0x7F800000U : bits_of_float(float_of_bits(rest) * 0x1p112F);
  return float_of_bits(number | sign);
}

FLASHRING_EVERYWHERE std::uint16_t to_fp16(float value) {
  const std::uint32_t sign = (bits_of_float(value) >> 16U) & 0x8000U;
  const float size = value < 0 ? -value : value;
  if (value != value) return static_cast<std::uint16_t>(sign | 0x7E00U);
  if (size >= 65520) return static_cast<std::uint16_t>(sign | 0x7C00U);
  if (size < 0x1p-14F)  // multiples of 2^-24: the addition rounds to them
    return static_cast<std::uint16_t>(sign | (bits_of_float(size + 0.5F) - 0x3F000000U));
  const std::uint32_t bits = bits_of_float(size) - (112U << 23U);
  return static_cast<std::uint16_t>(sign | ((bits + 0xFFFU + ((bits >> 13U) & 1U)) >> 13U));
}

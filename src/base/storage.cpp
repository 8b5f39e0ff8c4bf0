// Conversion of stored numbers. The 16-bit formats by their bits, in loops that compilers turn into vectors.
#include "flashring/storage.hpp"

#include <bit>
#include <cmath>
#include <cstring>

namespace flashring {
namespace {

float from_bf16(std::uint16_t bits) { return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16U); }

std::uint16_t to_bf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if (std::isnan(value)) return static_cast<std::uint16_t>((bits >> 16U) | 0x40U);  // stays one when cut off
  return static_cast<std::uint16_t>((bits + 0x7FFFU + ((bits >> 16U) & 1U)) >> 16U);
}

/// Exponent and mantissa moved into those of fp32 are the number times 2^-112; numbers below the normal ones come out
/// right by that product.
float from_fp16(std::uint16_t bits) {
  const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x8000U) << 16U;
  const std::uint32_t rest = static_cast<std::uint32_t>(bits & 0x7FFFU) << 13U;
  const std::uint32_t number = (bits & 0x7C00U) == 0x7C00U
                                   ? rest | 0x7F800000U
                                   : std::bit_cast<std::uint32_t>(std::bit_cast<float>(rest) * 0x1p112F);
  return std::bit_cast<float>(number | sign);
}

std::uint16_t to_fp16(float value) {
  const std::uint32_t sign = (std::bit_cast<std::uint32_t>(value) >> 16U) & 0x8000U;
  const float size = std::abs(value);
  if (std::isnan(value)) return static_cast<std::uint16_t>(sign | 0x7E00U);
  if (size >= 65520) return static_cast<std::uint16_t>(sign | 0x7C00U);
  if (size < 0x1p-14F)  // multiples of 2^-24: the addition rounds to them
    return static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(size + 0.5F) - 0x3F000000U));
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(size) - (112U << 23U);
  return static_cast<std::uint16_t>(sign | ((bits + 0xFFFU + ((bits >> 13U) & 1U)) >> 13U));
}

template <class Stored, class T, class Convert>
void load(const void *from, std::int64_t first, std::int64_t stride, std::int64_t count, T *to, Convert convert) {
  const Stored *at = static_cast<const Stored *>(from) + first;
  for (std::int64_t i = 0; i < count; ++i) to[i] = static_cast<T>(convert(at[i * stride]));
}

template <class T>
void load_by(const void *from, Storage storage, std::int64_t first, std::int64_t stride, std::int64_t count, T *to) {
  const auto same = [](auto value) { return value; };
  switch (storage) {
    case Storage::fp64:
      return load<double>(from, first, stride, count, to, same);
    case Storage::fp32:
      return load<float>(from, first, stride, count, to, same);
    case Storage::bf16:
      return load<std::uint16_t>(from, first, stride, count, to, from_bf16);
    case Storage::fp16:
      return load<std::uint16_t>(from, first, stride, count, to, from_fp16);
  }
}

template <class Stored, class T, class Convert>
void store(const T *from, std::int64_t count, void *to, std::int64_t first, std::int64_t stride, Convert convert) {
  Stored *at = static_cast<Stored *>(to) + first;
  for (std::int64_t i = 0; i < count; ++i) at[i * stride] = convert(from[i]);
}

template <class T>
void store_by(const T *from, std::int64_t count, void *to, Storage storage, std::int64_t first, std::int64_t stride) {
  const auto narrow = [](auto word) { return [word](T value) { return word(static_cast<float>(value)); }; };
  switch (storage) {
    case Storage::fp64:
      return store<double>(from, count, to, first, stride, [](T value) { return static_cast<double>(value); });
    case Storage::fp32:
      return store<float>(from, count, to, first, stride, [](T value) { return static_cast<float>(value); });
    case Storage::bf16:
      return store<std::uint16_t>(from, count, to, first, stride, narrow(to_bf16));
    case Storage::fp16:
      return store<std::uint16_t>(from, count, to, first, stride, narrow(to_fp16));
  }
}

}  // namespace

void load_numbers(const void *from, Storage storage, std::int64_t first, std::int64_t stride, std::int64_t count,
                  float *to) {
  load_by(from, storage, first, stride, count, to);
}
void load_numbers(const void *from, Storage storage, std::int64_t first, std::int64_t stride, std::int64_t count,
                  double *to) {
  load_by(from, storage, first, stride, count, to);
}
void store_numbers(const float *from, std::int64_t count, void *to, Storage storage, std::int64_t first,
                   std::int64_t stride) {
  store_by(from, count, to, storage, first, stride);
}
void store_numbers(const double *from, std::int64_t count, void *to, Storage storage, std::int64_t first,
                   std::int64_t stride) {
  store_by(from, count, to, storage, first, stride);
}

}  // namespace flashring

// Numbers of a caller's arrays on the device, by the storage of the array.
#pragma once

#include <cstdint>

#include <device_word.hpp>

#include "flashring/storage.hpp"

namespace flashring::sm80 {

#include "half_words.hpp"

template <Storage storage, class T>
FLASHRING_DEVICE T load_number(const void *from, std::int64_t at) {
  if constexpr (storage == Storage::fp64) return static_cast<T>(static_cast<const double *>(from)[at]);
  if constexpr (storage == Storage::fp32) return static_cast<const float *>(from)[at];
  if constexpr (storage == Storage::bf16) return from_bf16(static_cast<const std::uint16_t *>(from)[at]);
  if constexpr (storage == Storage::fp16) return from_fp16(static_cast<const std::uint16_t *>(from)[at]);
}

template <Storage storage, class T>
FLASHRING_DEVICE void store_number(T value, void *to, std::int64_t at) {
  if constexpr (storage == Storage::fp64) static_cast<double *>(to)[at] = value;
  if constexpr (storage == Storage::fp32) static_cast<float *>(to)[at] = static_cast<float>(value);
  if constexpr (storage == Storage::bf16) static_cast<std::uint16_t *>(to)[at] = to_bf16(static_cast<float>(value));
  if constexpr (storage == Storage::fp16) static_cast<std::uint16_t *>(to)[at] = to_fp16(static_cast<float>(value));
}

/// In fp64, whatever the storage: it is the same for all numbers of a launch, so no branch divides a warp.
FLASHRING_DEVICE double load_number(const void *from, Storage storage, std::int64_t at) {
  if (storage == Storage::fp64) return load_number<Storage::fp64, double>(from, at);
  if (storage == Storage::fp32) return load_number<Storage::fp32, double>(from, at);
  if (storage == Storage::bf16) return load_number<Storage::bf16, double>(from, at);
  return load_number<Storage::fp16, double>(from, at);
}

FLASHRING_DEVICE void store_number(double value, void *to, Storage storage, std::int64_t at) {
  if (storage == Storage::fp64) return store_number<Storage::fp64>(value, to, at);
  if (storage == Storage::fp32) return store_number<Storage::fp32>(value, to, at);
  if (storage == Storage::bf16) return store_number<Storage::bf16>(value, to, at);
  return store_number<Storage::fp16>(value, to, at);
}

}  // namespace flashring::sm80

// Conversion of stored numbers. In loops that compilers turn into vectors.
#include "flashring/storage.hpp"

#include <cstdint>

namespace flashring {
namespace {

#include "half_words.hpp"

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

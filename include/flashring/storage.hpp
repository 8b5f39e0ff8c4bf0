// How numbers lie in a caller's arrays, and their conversion. C++17.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace flashring {

/// Where a caller's arrays lie: in ordinary memory, or in that of the current CUDA device. Nobody looks: who says so
/// wrongly reads what is not there.
enum class MemorySpace : std::uint8_t { host, device };

/// bf16 and fp16 are worked with in fp32, fp64 in fp64.
enum class Storage : std::uint8_t { fp64, fp32, bf16, fp16 };

constexpr std::size_t storage_bytes(Storage storage) {
  return storage == Storage::fp64 ? 8 : storage == Storage::fp32 ? 4 : 2;
}
constexpr std::string_view storage_name(Storage storage) {
  return storage == Storage::fp64   ? "fp64"
         : storage == Storage::fp32 ? "fp32"
         : storage == Storage::bf16 ? "bf16"
                                    : "fp16";
}

/// Numbers first, first + stride ... first + (count - 1) stride of an array in `storage` <-> `count` numbers beside
/// each other. To 16 bits: the nearest of the fp32 number, ties to even; fp16 beyond 65504 becomes infinite.
void load_numbers(const void *from, Storage storage, std::int64_t first, std::int64_t stride, std::int64_t count,
                  float *to);
void load_numbers(const void *from, Storage storage, std::int64_t first, std::int64_t stride, std::int64_t count,
                  double *to);
void store_numbers(const float *from, std::int64_t count, void *to, Storage storage, std::int64_t first,
                   std::int64_t stride);
void store_numbers(const double *from, std::int64_t count, void *to, Storage storage, std::int64_t first,
                   std::int64_t stride);

}  // namespace flashring

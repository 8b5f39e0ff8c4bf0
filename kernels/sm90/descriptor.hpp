// How wgmma is told where an operand lies: 64 bits, by the PTX manual (asynchronous warpgroup level matrix shared
// memory layout). Host-testable.
#pragma once

#include <cstdint>

#include "sm80/pieces.hpp"

namespace flashring::sm90 {

/// Swizzle modes of a descriptor, bits 62 and 63.
enum class Swizzle : std::uint8_t { none = 0, bytes_128 = 1, bytes_64 = 2, bytes_32 = 3 };

/// Rows of 8 whose swizzle repeats.
constexpr int swizzle_rows = 8;
constexpr std::uint32_t swizzle_stride = swizzle_rows * sm80::chunk_row_bytes;

/// Addresses and offsets stand there in units of 16 bytes, in 14 bits.
constexpr std::uint64_t descriptor_field(std::uint32_t bytes) { return (bytes & 0x3ffffU) >> 4U; }

/// An operand of 16 columns side by side (K-major) that begins at shared address `address`, a multiple of 256: bits 0
/// to 13 the address, 16 to 29 the offset between pieces of 16 columns (unused: there is one; 1 by convention), 32 to
/// 45 the offset between groups of 8 rows, 62 and 63 the swizzle.
constexpr std::uint64_t chunk_descriptor(std::uint32_t address) {
  return descriptor_field(address) | std::uint64_t{1} << 16U | descriptor_field(swizzle_stride) << 32U |
         static_cast<std::uint64_t>(Swizzle::bytes_32) << 62U;
}

/// The same for an operand that begins `bytes` later: below 2^18 nothing is carried out of the address's bits.
constexpr std::uint64_t advanced(std::uint64_t descriptor, std::uint32_t bytes) { return descriptor + (bytes >> 4U); }

}  // namespace flashring::sm90

// The matrix unit as the rest of the backend sees it: a table of the three things that are done with it. The table of
// the hardware and that of the emulation are made from the same templates (products.hpp), so what is tested without
// the hardware is what runs on it.
//
// A unit is a class with
//   configure(TileConfig), release()    the shapes of its 8 registers, for the calling thread
//   zero<t>()                           register t = 0
//   load<t>(base, stride)               register t = rows of 64 bytes, `stride` bytes apart
//   store<t>(base, stride)
//   multiply<c, a, b>()                 TDPBF16PS, see emulated.hpp
#pragma once

#include <cstddef>
#include <cstdint>

#include "amx/tile_size.hpp"

namespace flashring::amx {

/// What LDTILECFG reads: 64 bytes.
struct TileConfig {
  std::uint8_t palette = 0;
  std::uint8_t start_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t row_bytes[16] = {};  // (registers), 8 of them in palette 1
  std::uint8_t rows[16] = {};        // (registers)
};
static_assert(sizeof(TileConfig) == 64, "the instruction reads 64 bytes");

constexpr int registers = 8;

/// Everything here is padded to whole registers, so one configuration serves all.
constexpr TileConfig whole_registers = [] {
  TileConfig config;
  config.palette = 1;
  for (int t = 0; t < registers; ++t) {
    config.row_bytes[t] = unit_bytes / unit_rows;
    config.rows[t] = unit_rows;
  }
  return config;
}();

/// Blocks of an operand: (blocks, chunks, terms, 16, 16 words), blocks `block_bytes` apart.
struct Operand {
  const std::byte *first = nullptr;
  std::size_t block_bytes = 0;
  int blocks = 0;
};

/// Groups that sums of feature products come in, to be added as 0 + (1 + 2): products of equal terms; those whose left
/// term is the larger number; the mirror image of these. So k(i,j) and k(j,i) have the same bits.
constexpr int groups(int terms) { return terms == 1 ? 1 : 3; }

struct Unit {
  const char *name;
  void (*begin)();  ///< before the first use on a thread
  void (*end)();
  /// sums (groups, 32, 16) = products of two blocks of `left` with one of `right`, summed over chunks.
  void (*features)(Operand left, Operand right, int chunks, int terms, float *sums);
  /// sums[i][n] += left right for all blocks of both, all products of terms a + b < `terms`; rows of sums are `stride`
  /// numbers apart.
  void (*add)(Operand left, Operand right, int chunks, int terms, float *sums, int stride);
  /// Multiply-adds per second, measured; 0 where that says nothing.
  double (*rate)();
};

/// Whether processor, system and build have one. Asks for nothing.
bool hardware_is_present();
/// Null where there is none, or the system does not lend it. The first call asks the system for permission; the answer
/// stays.
const Unit *hardware_unit();
const Unit &emulated_unit();

}  // namespace flashring::amx

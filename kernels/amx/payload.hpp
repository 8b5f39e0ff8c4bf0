// Payload of a tile: features as bf16 terms in the two layouts in which the matrix unit reads its operands, and norms.
//
//   rows     (T/16, chunks, terms, 16 rows, 32 features)              left operand: rows of this tile receive
//   columns  (T/16, chunks, terms, 16 pairs of features, 16 rows, 2)  right operand: rows of this tile give
//   norms    (T)                                                      -|x|^2/2 in fp32, where norms are summed
//
// Features are centred, scaled and, where norms are summed, multiplied by sqrt(2), so that <x,y> and the norms add up
// to -q. Features beyond d and rows beyond the tile's are 0. Norms are those of the fp32 numbers, not of their rounded
// terms: rounded norms would make k(x,x) = 1 but shift all sums of positive weights the same way.
#pragma once

#include <cstddef>

#include "amx/tile_size.hpp"
#include "flashring/tile.hpp"

namespace flashring::amx {

struct PayloadLayout {
  int chunks;
  int terms;
  /// Bytes from one block of 16 rows to the next.
  std::size_t block_bytes() const { return static_cast<std::size_t>(chunks) * terms * unit_bytes; }
  std::size_t columns_at() const { return block_bytes() * (tile_rows / unit_rows); }
  std::size_t norms_at() const { return 2 * columns_at(); }
  std::size_t bytes() const { return norms_at() + tile_rows * sizeof(float); }
};

/// bf16 terms of a fp32 number in a precision.
constexpr int terms_of(Precision precision) { return precision == Precision::reduced ? 1 : split_terms; }

inline PayloadLayout payload_layout(const TileShape &shape) {
  return {(shape.features + chunk - 1) / chunk, terms_of(shape.precision)};
}

void pack_terms(const TileShape &shape, const PackInput &input, bool with_norms, std::byte *payload);

/// Whether two packed rows hold the same numbers.
bool same_row(const PayloadLayout &layout, const std::byte *a, int row_of_a, const std::byte *b, int row_of_b);

}  // namespace flashring::amx

// Points as tensor cores take them: bf16 pieces of fp32 numbers in chunks of 16 columns, packed so that one matrix
// product of own and visiting rows gives the exponent of a pair whole. sm80 and sm90 read the same payload.
//
// A number x is split into bf16 pieces b1 + b2 + b3 = x, each the nearest to what the ones before leave. Of nine
// products of pieces the six with a + b <= 4 are formed; those left out are below 2^-23 |x||y| together. In reduced
// precision there is b1 alone. For distances features are multiplied with sqrt(2), n = |x'|^2 / 2, and columns for the
// norms are appended, so that
//
//   <own row, visiting row> = sum_k x'_k y'_k - n_x - n_y = -|x - y|^2
//
// comes out of the accumulators; for inner products it is <x, y>.
//
// A chunk is (T, 16) bf16, row after row, 32 bytes each; the two halves of a row are swapped where bit 2 of the row is
// set, which is the 32-byte swizzle of wgmma and keeps ldmatrix free of bank conflicts. A tile is one of
//
//   folded   few features: all products side by side in the columns, m chunks for the own role and m for the visiting
//            one. Column c of a role: the product c / d of feature c % d for c < 6d, then norms (1d and d in reduced).
//   pieces   chunk f P + p: piece p of features 16f .. 16f+15; then one chunk of norms for the own role and one for the
//            visiting one. Every chunk is loaded once for all products that it is in.
#pragma once

#include <cstddef>
#include <cstdint>

#include <device_word.hpp>

#include "flashring/tile.hpp"
#include "sm80/tile_size.hpp"

namespace flashring::sm80 {

/// What one instruction of the tensor unit sums, for bf16.
constexpr int chunk_columns = 16;
constexpr int chunk_row_bytes = 2 * chunk_columns;
constexpr int chunk_bytes = tile_rows * chunk_row_bytes;

/// Where column `column` of row `row` lies in its chunk, in bytes.
constexpr int chunk_offset(int row, int column) {
  const int half = (column / 8) ^ ((row >> 2) & 1);
  return row * chunk_row_bytes + half * 16 + column % 8 * 2;
}

/// The products of pieces that are formed: (own piece, visiting piece), counted from 0, smallest first, so that less of
/// them is lost when the large ones are added.
struct PieceProduct {
  int own = 0;
  int visiting = 0;
};
constexpr int products_of(int pieces) { return pieces * (pieces + 1) / 2; }
constexpr PieceProduct piece_product(int pieces, int n) {
  constexpr PieceProduct three[] = {{0, 2}, {2, 0}, {1, 1}, {0, 1}, {1, 0}, {0, 0}};
  return pieces == 3 ? three[n] : PieceProduct{};
}

/// Chunks of two tiles that are multiplied, counted within a tile.
struct ChunkPair {
  int own = 0;
  int visiting = 0;
};

/// How a tile of points is laid out.
struct PieceLayout {
  int features = 1;   ///< d
  int pieces = 3;     ///< P: 3, or 1 in reduced precision
  bool norms = true;  ///< distances; false: inner products
  bool folded = true;

  /// Columns of a role in the folded form.
  constexpr int columns() const { return features * products_of(pieces) + (norms ? 6 : 0); }
  constexpr int role_chunks() const { return (columns() + chunk_columns - 1) / chunk_columns; }
  constexpr int feature_chunks() const { return (features + chunk_columns - 1) / chunk_columns; }
  /// Of a tile.
  constexpr int chunks() const { return folded ? 2 * role_chunks() : feature_chunks() * pieces + (norms ? 2 : 0); }
  /// Chunk products of a pair of tiles, and the n-th of them.
  constexpr int chunk_products() const {
    return folded ? role_chunks() : feature_chunks() * products_of(pieces) + (norms ? 1 : 0);
  }
  constexpr ChunkPair chunk_pair(int n) const {
    if (folded) return {n, role_chunks() + n};
    const int each = products_of(pieces);
    const int f = n / each;
    if (f == feature_chunks()) return {f * pieces, f * pieces + 1};
    const PieceProduct p = piece_product(pieces, n % each);
    return {f * pieces + p.own, f * pieces + p.visiting};
  }
  constexpr std::size_t bytes() const { return static_cast<std::size_t>(chunks()) * chunk_bytes; }
};

constexpr PieceLayout piece_layout(int features, Precision precision, Accumulate accumulate) {
  PieceLayout layout{features, precision == Precision::reduced ? 1 : 3, accumulate != Accumulate::inner, true};
  layout.folded = layout.columns() <= most_folded_columns(layout.pieces);
  return layout;
}

/// What stands in column `column` of a role of the folded form.
struct FoldedColumn {
  int feature = -1;  ///< -1: none
  int piece = 0;     ///< of the feature, or of the norm
  bool norm = false;
  bool one = false;  ///< 1 in the own role, -1 in the visiting one, against the other's norm
};
constexpr FoldedColumn folded_column(const PieceLayout &layout, bool own, int column) {
  const int products = layout.features * products_of(layout.pieces);
  FoldedColumn c;
  if (column < products) {
    const PieceProduct p = piece_product(layout.pieces, column / layout.features);
    c.feature = column % layout.features;
    c.piece = own ? p.own : p.visiting;
  } else if (layout.norms && column < products + 6) {
    const int n = column - products;
    c.norm = (n < 3) == own;
    c.one = !c.norm;
    c.piece = n % 3;
  }
  return c;
}

/// Where piece p of feature k stands, in the own role where there are two.
struct ChunkPlace {
  int chunk = 0;
  int column = 0;
};
constexpr ChunkPlace feature_place(const PieceLayout &layout, int k, int p) {
  if (!layout.folded) return {k / chunk_columns * layout.pieces + p, k % chunk_columns};
  const int product = p == 0 ? 0 : 3 - p;  // the first one of piece_product that has it
  const int column = product * layout.features + k;
  return {column / chunk_columns, column % chunk_columns};
}

/// The nearest bf16 number, ties to even, as its bits. For finite numbers.
FLASHRING_EVERYWHERE std::uint16_t bf16_bits(float x) {
  std::uint32_t bits;
  __builtin_memcpy(&bits, &x, sizeof(bits));
  bits += 0x7fffU + ((bits >> 16) & 1U);
  return static_cast<std::uint16_t>(bits >> 16);
}
FLASHRING_EVERYWHERE float bf16_value(std::uint16_t bits) {
  const std::uint32_t wide = static_cast<std::uint32_t>(bits) << 16;
  float x;
  __builtin_memcpy(&x, &wide, sizeof(x));
  return x;
}

}  // namespace flashring::sm80

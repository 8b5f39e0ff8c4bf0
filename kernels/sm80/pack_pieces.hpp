// Packing points into chunks of bf16 pieces (pieces.hpp), on the host. Padding rows are zero: their exponents are
// hidden with the mask.
#pragma once

#include <cmath>
#include <cstring>

#include "sm80/pieces.hpp"

namespace flashring::sm80 {

/// A fp32 number as bf16 pieces, each the nearest to what the ones before leave; all of them together are the number.
struct Pieces {
  std::uint16_t bits[3] = {};
};
inline Pieces split(float x) {
  Pieces pieces;
  for (std::uint16_t &bits : pieces.bits) {
    bits = bf16_bits(x);
    x -= bf16_value(bits);
  }
  return pieces;
}

inline void set_chunk_value(std::byte *payload, int chunk, int row, int column, std::uint16_t bits) {
  std::memcpy(payload + std::ptrdiff_t{chunk} * chunk_bytes + chunk_offset(row, column), &bits, sizeof(bits));
}
inline float chunk_value(const std::byte *payload, int chunk, int row, int column) {
  std::uint16_t bits;
  std::memcpy(&bits, payload + std::ptrdiff_t{chunk} * chunk_bytes + chunk_offset(row, column), sizeof(bits));
  return bf16_value(bits);
}

/// The number in a column of norms, `c` as folded_column tells: pieces of the norm in one role meet ones in the other.
inline std::uint16_t norm_bits(const FoldedColumn &c, bool own, const Pieces &norm) {
  const float value = c.one ? 1.0F : bf16_value(norm.bits[c.piece]);
  return bf16_bits(own ? value : -value);
}

/// One row in the folded form. `features`: (d) split; `norm` is read where the layout has norms.
inline void pack_folded_row(const PieceLayout &layout, const Pieces *features, const Pieces &norm, int row,
                            std::byte *payload) {
  for (const bool own : {true, false})
    for (int column = 0; column < layout.columns(); ++column) {
      const FoldedColumn c = folded_column(layout, own, column);
      const std::uint16_t bits = c.feature >= 0 ? features[c.feature].bits[c.piece] : norm_bits(c, own, norm);
      const int chunk = (own ? 0 : layout.role_chunks()) + column / chunk_columns;
      set_chunk_value(payload, chunk, row, column % chunk_columns, bits);
    }
}

/// One row in the form of pieces.
inline void pack_pieces_row(const PieceLayout &layout, const Pieces *features, const Pieces &norm, int row,
                            std::byte *payload) {
  for (int k = 0; k < layout.features; ++k)
    for (int p = 0; p < layout.pieces; ++p)
      set_chunk_value(payload, k / chunk_columns * layout.pieces + p, row, k % chunk_columns, features[k].bits[p]);
  if (!layout.norms) return;
  const PieceLayout none{0, layout.pieces, true, true};
  for (const bool own : {true, false})
    for (int column = 0; column < none.columns(); ++column) {
      const int chunk = layout.feature_chunks() * layout.pieces + (own ? 0 : 1);
      set_chunk_value(payload, chunk, row, column, norm_bits(folded_column(none, own, column), own, norm));
    }
}

/// Features are multiplied with this beyond the pair function's scale, so that products are those of distances.
constexpr double piece_scale(const PieceLayout &layout) { return layout.norms ? 1.41421356237309504880 : 1.0; }

/// `split_row`: (d), room for one row.
inline void pack_pieces(const PieceLayout &layout, const PackInput &input, Pieces *split_row, std::byte *payload) {
  std::memset(payload, 0, layout.bytes());
  for (std::int64_t i = 0; i < input.count; ++i) {
    double square = 0;
    for (int k = 0; k < layout.features; ++k) {
      const double centred = input.rows[i * layout.features + k] - (input.mean != nullptr ? input.mean[k] : 0);
      const auto x = static_cast<float>(centred * input.scale * piece_scale(layout));
      split_row[k] = split(x);
      square += static_cast<double>(x) * static_cast<double>(x);
    }
    const Pieces norm = split(static_cast<float>(square / 2));
    if (layout.folded)
      pack_folded_row(layout, split_row, norm, static_cast<int>(i), payload);
    else
      pack_pieces_row(layout, split_row, norm, static_cast<int>(i), payload);
  }
}

/// The pieces of feature k of a row together, as they were before piece_scale.
inline double packed_feature(const PieceLayout &layout, const std::byte *payload, int row, int k) {
  double x = 0;
  for (int p = 0; p < layout.pieces; ++p) {
    const ChunkPlace place = feature_place(layout, k, p);
    x += static_cast<double>(chunk_value(payload, place.chunk, row, place.column));
  }
  return x / piece_scale(layout);
}

}  // namespace flashring::sm80

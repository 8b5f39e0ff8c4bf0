// Packing points into chunks of bf16 pieces (pieces.hpp): what stands where, and the host's loop over it; that of the
// device is in stored_rows.hpp. Padding rows are zero: their exponents are hidden with the mask.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>

#include "sm80/pieces.hpp"

namespace flashring::sm80 {

/// A fp32 number as bf16 pieces, each the nearest to what the ones before leave; all of them together are the number.
struct Pieces {
  std::uint16_t bits[3] = {};
};
FLASHRING_EVERYWHERE Pieces split(float x) {
  Pieces pieces;
  for (std::uint16_t &bits : pieces.bits) {
    bits = bf16_bits(x);
    x -= bf16_value(bits);
  }
  return pieces;
}

FLASHRING_EVERYWHERE void set_chunk_value(std::byte *payload, int chunk, int row, int column, std::uint16_t bits) {
  __builtin_memcpy(payload + std::ptrdiff_t{chunk} * chunk_bytes + chunk_offset(row, column), &bits, sizeof(bits));
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

/// What a chunk holds: one piece of features beside each other, or columns of a role.
struct ChunkContent {
  PieceLayout layout;  ///< of the columns
  bool of_role = false;
  bool own = true;
  int first = 0;  ///< feature or column
  int piece = 0;
};
constexpr ChunkContent chunk_content(const PieceLayout &layout, int chunk) {
  if (layout.folded) {
    const bool own = chunk < layout.role_chunks();
    return {layout, true, own, (own ? chunk : chunk - layout.role_chunks()) * chunk_columns, 0};
  }
  const int norms = layout.feature_chunks() * layout.pieces;  // chunks before them
  if (chunk >= norms) return {{0, layout.pieces, true, true}, true, chunk == norms, 0, 0};
  return {layout, false, true, chunk / layout.pieces * chunk_columns, chunk % layout.pieces};
}
constexpr FoldedColumn chunk_column(const ChunkContent &chunk, int column) {
  if (chunk.of_role) return folded_column(chunk.layout, chunk.own, chunk.first + column);
  FoldedColumn c;
  c.feature = chunk.first + column < chunk.layout.features ? chunk.first + column : -1;
  c.piece = chunk.piece;
  return c;
}

/// A row of a chunk. `features`: (d) split; `norm` is read where the layout has norms.
inline void pack_role_row(const ChunkContent &content, const Pieces *features, const Pieces &norm, int chunk, int row,
                          std::byte *payload) {
  for (int column = 0; column < chunk_columns; ++column) {
    const FoldedColumn c = chunk_column(content, column);
    if (c.feature >= 0)
      set_chunk_value(payload, chunk, row, column, features[c.feature].bits[c.piece]);
    else if (c.norm || c.one)
      set_chunk_value(payload, chunk, row, column, norm_bits(c, content.own, norm));
  }
}
/// The same where nothing but features is in it: half the time.
inline void pack_feature_row(const ChunkContent &content, const Pieces *features, int chunk, int row,
                             std::byte *payload) {
  const int columns = std::min(chunk_columns, content.layout.features - content.first);
  for (int column = 0; column < columns; ++column)
    set_chunk_value(payload, chunk, row, column, features[content.first + column].bits[content.piece]);
}

inline void pack_row(const PieceLayout &layout, const Pieces *features, const Pieces &norm, int row,
                     std::byte *payload) {
  for (int chunk = 0; chunk < layout.chunks(); ++chunk) {
    const ChunkContent content = chunk_content(layout, chunk);
    if (content.of_role)
      pack_role_row(content, features, norm, chunk, row, payload);
    else
      pack_feature_row(content, features, chunk, row, payload);
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
    pack_row(layout, split_row, split(static_cast<float>(square / 2)), static_cast<int>(i), payload);
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

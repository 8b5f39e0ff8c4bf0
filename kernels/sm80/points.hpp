// How the plain kernels read the features of a tile: as the plain path packs them, or from the pieces of the tensor
// path.
#pragma once

#include "sm80/arguments.hpp"

namespace flashring::sm80 {

/// (d, T) numbers, and the scalars of the pair function as row d.
template <class T>
struct PlainPoints {
  /// What a squared distance of these features is multiplied with.
  static constexpr double distance_scale = 1;
  const T *rows;

  FLASHRING_DEVICE static PlainPoints of_tile(const WaveArguments &a, const TileSide &side, std::int64_t tile) {
    return {tile_values<T>(side.payload, tile, a.row_numbers)};
  }
  FLASHRING_DEVICE T at(int row, int k) const { return rows[std::ptrdiff_t{k} * tile_rows + row]; }
};

/// Chunks of pieces, whose sum is a feature times piece_scale, exactly. For what the tensor path does not do itself:
/// two or three loads of 2 bytes for a feature, so it is slow, and right.
struct PiecePoints {
  static constexpr double distance_scale = 0.5;
  const std::byte *chunks;
  PieceLayout layout;

  FLASHRING_DEVICE static PiecePoints of_tile(const WaveArguments &a, const TileSide &side, std::int64_t tile) {
    return {side.payload + tile * static_cast<std::int64_t>(a.layout.bytes()), a.layout};
  }
  FLASHRING_DEVICE float at(int row, int k) const {
    float x = 0;
    FLASHRING_ROLL
    for (int p = 0; p < layout.pieces; ++p) {
      const ChunkPlace place = feature_place(layout, k, p);
      std::uint16_t bits;
      __builtin_memcpy(&bits, chunks + place.chunk * chunk_bytes + chunk_offset(row, place.column), sizeof(bits));
      x += bf16_value(bits);
    }
    return x;
  }
};

}  // namespace flashring::sm80

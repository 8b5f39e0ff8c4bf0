// Pairs of points that are special: those that do not count, and points that meet themselves.
//
// Distances of points from themselves are 0, whatever the roundings of products and norms: where rows of both tiles
// have the same number and hold the same point.
#pragma once

#include "sm80/tensor.hpp"
#include "sm90/consumer.hpp"

namespace flashring::sm90 {

/// Whether an own row meets itself: (T) bytes of what folding needs, at its beginning.
constexpr std::size_t self_pair_bytes = tile_rows;

/// Few pairs of tiles come to the part where consumers meet. `own`: counted from the wave's first. same: (T)
template <class Thread>
FLASHRING_DEVICE void clear_self_pairs(Thread &t, const WaveArguments &a, int own, const TileInfo &own_tile,
                                       const Note &note, unsigned char *same, Strip &strip) {
  const int shift = sm80::row_shift(own_tile, note.tile);
  if (!a.layout.norms || -shift >= note.tile.rows || shift >= own_tile.rows) return;
  const int i = t.thread();
  const int j = i - shift;
  t.sync();  // the last tile's have been read
  if (i < tile_rows)
    same[i] = i < own_tile.rows && j >= 0 && j < note.tile.rows &&
              sm80::equal_rows(a.layout, sm80::tile_chunks(a, a.own, a.wave.own_first + own), i,
                               sm80::tile_chunks(a, a.visiting, a.wave.visiting_first + note.visiting), j);
  t.sync();
  sm80::clear_same(t, same, shift, {t.warp() * sm80::strip_rows, 0}, strip);
}

/// Numbers of padding, and of pairs that a mask removes, become `hidden`.
template <class Thread>
FLASHRING_DEVICE void hide_pairs(Thread &t, const WaveArguments &a, const TileInfo &own_tile, const Note &note,
                                 float hidden, Strip &strip) {
  if (note.masked == 0 && own_tile.rows == tile_rows && note.tile.rows == tile_rows) return;
  sm80::hide(t, a.mask, note.masked != 0, own_tile, note.tile, {t.warp() * sm80::strip_rows, 0}, hidden, strip);
}

}  // namespace flashring::sm90

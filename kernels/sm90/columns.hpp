// The row rule sum with more than one column: 32 columns in a sweep over the visiting tiles, weights made once for each
// sweep. Steps for a visiting tile: its columns into shared memory, the formula meanwhile, then column_sums.hpp for
// each side. Cost of a pair: the formula and what column_sums.hpp states.
#pragma once

#include "sm90/column_sums.hpp"
#include "sm90/special_pairs.hpp"

namespace flashring::sm90 {

constexpr std::size_t columns_fold_bytes(int pieces, Sides sides) {
  return self_pair_bytes + column_sums_bytes(pieces, has_visiting(sides));
}

template <class Thread, int pieces>
class ColumnsFold {
 public:
  static constexpr bool beside_products = false;

  FLASHRING_DEVICE ColumnsFold(Thread &t, const BlockMemory &memory)
      : t_(t),
        a_(memory.arguments->wave),
        same_(reinterpret_cast<unsigned char *>(memory.fold())),
        sums_(t, memory, memory.fold() + self_pair_bytes) {}

  FLASHRING_DEVICE void begin(int own, int first) {
    const int tile = a_.wave.own_first + own;
    own_ = own;
    tile_ = a_.own.tiles[tile];
    sums_.begin(has_visiting(a_.sides) ? sm80::tile_values<float>(a_.own.columns, tile, a_.columns) : nullptr, first,
                columns_of_sweep(a_.columns, first));
  }

  FLASHRING_DEVICE void fold(const std::byte *at, Strip (&strips)[1]) {
    // Splitting a weight takes 6 operations, so that the special unit is not what a pair waits for.
    constexpr int slots = pieces == 3 ? 7 : 2;
    const Note &note = *reinterpret_cast<const Note *>(at);
    const Sides sides =
        sm80::sides_of(a_.pattern, a_.sides, a_.wave.own_first + own_, a_.wave.visiting_first + note.visiting);
    if (adds_to_own(a_)) sums_.take_columns(has_own(sides));
    clear_self_pairs(t_, a_, own_, tile_, note, same_, strips[0]);
    sm80::apply_formula<false, sm80::polynomial_sixteenths(slots), Thread>(a_.kind, a_.constants, strips);
    hide_pairs(t_, a_, tile_, note, 0, strips[0]);
    if (has_own(sides)) {
      t_.sync();
      sums_.template add_own<false>(strips, {});
    }
    if (has_visiting(sides))
      sums_.add_visiting(strips[0], note.tile.rows,
                         a_.slots + sm80::slot_offset(a_.wave, own_, note.visiting, a_.words));
  }

  FLASHRING_DEVICE void end() {
    if (!adds_to_own(a_)) return;
    double *state = reinterpret_cast<double *>(a_.own.state) + sm80::tile_offset(a_.wave.own_first + own_, a_.words);
    sums_.finish([&](int /*h*/, int row, int column, double sum) {
      if (row < tile_.rows) state[column * tile_rows + row] += sum;
    });
  }

 private:
  Thread &t_;
  const WaveArguments &a_;
  unsigned char *same_;  // (T)
  ColumnSums<Thread, pieces> sums_;
  TileInfo tile_;  // own
  int own_ = 0;    // tile, counted from the wave's first
};

}  // namespace flashring::sm90

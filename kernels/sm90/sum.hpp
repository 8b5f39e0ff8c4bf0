// The row rule sum with one column on the accumulators of a warpgroup: y_i += k(i,j) x_j for the own side, y_j +=
// k(i,j) x_i for the visiting one.
//
// Steps for a visiting tile, by each warp for its strip of 16 own and 128 visiting rows: formula (sm80/strip.hpp); for
// the own side sums of a row in fp32, then in fp64 over the sweep, added to the state at its end; for the visiting side
// sums of a column over the warp, which meet those of the other seven in shared memory and are added in their order
// into the slot (sm80/waves.hpp). Cost of a pair: the formula and a multiply-add for each side; for the visiting side
// 14 exchanges of a lane for 64 pairs, and one meeting of the consumers a tile.
#pragma once

#include "sm80/tensor_sum.hpp"
#include "sm90/special_pairs.hpp"

namespace flashring::sm90 {

/// Sums of columns that warps leave for each other: two sets that take turns, so that the consumers meet once a tile.
constexpr std::size_t sum_fold_bytes(Sides sides) {
  return self_pair_bytes + (has_visiting(sides) ? std::size_t{2} * consumer_warps * tile_rows * sizeof(float) : 0);
}

template <class Thread>
class SumFold {
 public:
  static constexpr bool beside_products = true;

  FLASHRING_DEVICE SumFold(Thread &t, const BlockMemory &memory)
      : t_(t),
        a_(memory.arguments->wave),
        same_(reinterpret_cast<unsigned char *>(memory.fold())),
        partial_(reinterpret_cast<float *>(memory.fold() + self_pair_bytes)) {}

  FLASHRING_DEVICE void begin(int own, int /*first*/) {
    own_ = own;
    tile_ = a_.own.tiles[a_.wave.own_first + own];
    FLASHRING_UNROLL
    for (int h = 0; h < 2; ++h) {
      total_[h] = 0;
      x_[h] = 0;
      if (has_visiting(a_.sides)) x_[h] = sm80::tile_values<float>(a_.own.columns, a_.wave.own_first + own, 1)[row(h)];
    }
  }

  FLASHRING_DEVICE void fold(const std::byte *at, Strip (&strips)[1]) {
    const Note &note = *reinterpret_cast<const Note *>(at);
    const Sides sides =
        sm80::sides_of(a_.pattern, a_.sides, a_.wave.own_first + own_, a_.wave.visiting_first + note.visiting);
    Strip &w = strips[0];
    clear_self_pairs(t_, a_, own_, tile_, note, same_, w);
    sm80::apply_formula<false, sm80::polynomial_sixteenths(sm80::sum_slots), Thread>(a_.kind, a_.constants, strips);
    hide_pairs(t_, a_, tile_, note, 0, w);
    if (has_own(sides)) fold_own(reinterpret_cast<const float *>(at + note_head), strips);
    if (has_visiting(sides)) fold_visiting(note, w);
  }

  FLASHRING_DEVICE void end() {
    if (!adds_to_own(a_)) return;
    double *state = reinterpret_cast<double *>(a_.own.state) + sm80::tile_offset(a_.wave.own_first + own_, 1);
    FLASHRING_UNROLL
    for (int h = 0; h < 2; ++h) {
      const double sum = sm80::sum_of_quad(t_, total_[h]);
      if (t_.lane() % 4 == 0 && row(h) < tile_.rows) state[row(h)] += sum;
    }
  }

 private:
  /// The lane's h-th row of the own tile.
  FLASHRING_DEVICE int row(int h) const { return t_.warp() * sm80::strip_rows + sm80::strip_row(t_.lane(), 2 * h); }

  /// columns: (T) of the visiting tile
  FLASHRING_DEVICE void fold_own(const float *columns, const Strip (&strips)[1]) {
    float sum[1][2] = {};
    sm80::add_rows(t_, strips, columns, sum);
    FLASHRING_UNROLL
    for (int h = 0; h < 2; ++h) total_[h] += static_cast<double>(sum[0][h]);
  }

  FLASHRING_DEVICE void fold_visiting(const Note &note, const Strip &w) {
    sm80::Two sum[strip_blocks] = {};
    sm80::add_columns<Thread>(w, x_, sum);
    sm80::sum_of_columns(t_, sum);
    float *partial = partial_ + set_ * consumer_warps * tile_rows;  // (warps, T)
    set_ ^= 1;
    FLASHRING_UNROLL
    for (int n = 0; n < strip_blocks / 8; ++n)
      *reinterpret_cast<sm80::Two *>(partial + t_.warp() * tile_rows +
                                     8 * sm80::summed_block(strip_blocks, t_.lane(), n) + t_.lane() % 4 * 2) = sum[n];
    t_.sync();
    if (t_.thread() >= note.tile.rows) return;
    float total = partial[t_.thread()];
    FLASHRING_UNROLL
    for (int n = 1; n < consumer_warps; ++n) total += partial[n * tile_rows + t_.thread()];
    a_.slots[sm80::slot_offset(a_.wave, own_, note.visiting, 1) + t_.thread()] = static_cast<double>(total);
  }

  Thread &t_;
  const WaveArguments &a_;
  unsigned char *same_;  // (T)
  float *partial_;       // (2, warps, T)
  TileInfo tile_;        // own
  double total_[2];      // of the lane's own rows
  float x_[2];           // their column values
  int own_ = 0;          // tile, counted from the wave's first
  int set_ = 0;
};

}  // namespace flashring::sm90

// The row rule sum with one column on the tensor path.
//
// Own side: each thread multiplies its weights with the visiting rows' values into one sum for each of its four rows,
// 16 products in fp32, and its quad adds up 64; these go into fp64 in shared memory, where registers do not suffice,
// one number for each row and half of the visiting tiles. The halves meet after the last visiting tile. Visiting side:
// each thread sums its four rows for each of its 16 columns, 8 lanes turn these sums round (strip.hpp), and the four
// warps of a column meet in shared memory: 128 products in fp32, then the slot. Every order is fixed. Cost of a pair:
// the formula, one multiply-add for each side, a tenth of an operation more for the own side and 1.3 for the visiting
// one.
#pragma once

#include "sm80/tensor.hpp"

namespace flashring::sm80 {

/// Beside the exponential: a multiply-add for each side and the visiting side's exchanges.
constexpr int sum_slots = 2;

template <bool with_crossed_steps>
class TensorSum {
 public:
  static constexpr bool crosses = with_crossed_steps;
  static constexpr int columns_in_sweep = tensor_columns;
  static constexpr bool exchanges = false;
  /// Blocks that a multiprocessor must be able to hold.
  static constexpr int blocks = sum_blocks(crosses);
  /// Shared memory beside that of tensor_shared.
  static constexpr int total_bytes = tensor_warps_across * tile_rows * static_cast<int>(sizeof(double));
  static constexpr int shared_bytes = total_bytes + tensor_warps_down * tile_rows * static_cast<int>(sizeof(float));

  FLASHRING_DEVICE static const float *visiting_values(const WaveArguments &a, std::int64_t tile) {
    return tile_values<float>(a.visiting.columns, tile, 1);
  }

  template <class Thread>
  FLASHRING_DEVICE TensorSum(Thread &t, const WaveArguments &a, int /*first*/) {
    totals(t, a)[t.thread()] = 0;
    static_assert(tensor_warps_across * tile_rows == tensor_threads, "one total for each thread");
  }

  template <class Thread>
  FLASHRING_DEVICE void add(Thread &t, const WaveArguments &a, const TensorPair &p, WarpStrips &strips) {
    apply_formula<false, polynomial_sixteenths(sum_slots), Thread>(a.kind, a.constants, strips);
    hide_all(t, a, p, 0, strips);
    if (has_own(p.sides)) add_own(t, a, p, strips);
    if (has_visiting(p.sides)) add_visiting(t, a, p, strips);
  }

  /// After the last tile. Every thread has waited for the others.
  template <class Thread>
  FLASHRING_DEVICE void finish(Thread &t, const WaveArguments &a) {
    const int own_tile = a.wave.own_first + t.block();
    const int i = t.thread();
    if (!serves_own(a) || i >= a.own.tiles[own_tile].rows) return;
    double *state = reinterpret_cast<double *>(a.own.state) + tile_offset(own_tile, a.words);
    state[i] += totals(t, a)[i] + totals(t, a)[tile_rows + i];
  }

 private:
  /// (warps across, T)
  template <class Thread>
  FLASHRING_DEVICE static double *totals(Thread &t, const WaveArguments &a) {
    return reinterpret_cast<double *>(t.shared() + a.shared.fold);
  }
  /// (warps down, T)
  template <class Thread>
  FLASHRING_DEVICE static float *partials(Thread &t, const WaveArguments &a) {
    return reinterpret_cast<float *>(t.shared() + a.shared.fold + total_bytes);
  }

  template <class Thread>
  FLASHRING_DEVICE void add_own(Thread &t, const WaveArguments &a, const TensorPair &p, const WarpStrips &strips) {
    float sum[warp_strips][2] = {};  // (strips, rows of a lane)
    add_rows(t, strips, p.values + strip_place(t.warp(), 0).visiting, sum);
    FLASHRING_UNROLL
    for (int s = 0; s < warp_strips; ++s) {
      double *total = totals(t, a) + t.warp() % tensor_warps_across * tile_rows + strip_place(t.warp(), s).own;
      FLASHRING_UNROLL
      for (int h = 0; h < 2; ++h) {
        const float whole = sum_of_quad(t, sum[s][h]);
        if (t.lane() % 4 == 0) total[strip_row(t.lane(), 2 * h)] += static_cast<double>(whole);
      }
    }
  }

  template <class Thread>
  FLASHRING_DEVICE void add_visiting(Thread &t, const WaveArguments &a, const TensorPair &p, const WarpStrips &strips) {
    const float *values = tile_values<float>(a.own.columns, p.own_tile, 1);
    Two sum[strip_blocks];  // (blocks, columns of a lane)
    FLASHRING_UNROLL
    for (int n = 0; n < strip_blocks; ++n) sum[n] = {{0, 0}};
    FLASHRING_UNROLL
    for (int s = 0; s < warp_strips; ++s) {
      const float *x = values + strip_place(t.warp(), s).own + strip_row(t.lane(), 0);
      add_columns<Thread>(strips[s], {x[0], x[8]}, sum);
    }
    sum_of_columns(t, sum);
    float *partial = partials(t, a) + t.warp() / tensor_warps_across * tile_rows + strip_place(t.warp(), 0).visiting;
    FLASHRING_UNROLL
    for (int n = 0; n < strip_blocks / 8; ++n)
      *reinterpret_cast<Two *>(partial + strip_column(t.lane(), summed_block(strip_blocks, t.lane(), n), 0)) = sum[n];
    t.sync();
    // The next tile's sums are written after another synchronisation: that of its first step.
    const int j = t.thread();
    if (j >= p.visiting.rows) return;
    float total = partials(t, a)[j];
    FLASHRING_UNROLL
    for (int w = 1; w < tensor_warps_down; ++w) total += partials(t, a)[w * tile_rows + j];
    p.slot[j] = static_cast<double>(total);
  }
};

}  // namespace flashring::sm80

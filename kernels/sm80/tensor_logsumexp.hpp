// The row rule log-sum-exp on the tensor path, own side.
//
// Each warp keeps for each of its rows a whole number near the largest logarithm among its 64 visiting rows of all
// tiles, and sums relative to it: when a tile brings a larger logarithm, older sums are multiplied with a power of two,
// which rounds nothing. Sums of weights are added in plain arithmetic, sums of columns on tensor cores
// (tensor_columns), 32 columns in a sweep. The two warps of a row and the state are merged after the last tile; the
// reference is written by the last sweep, so that each sweep finds the old one. Cost of a pair: the logarithm of the
// weight, an exponential, 4 operations, the columns. Reference for the streaming sum: M. Milakov, N. Gimelshein,
// arXiv:1805.02867.
#pragma once

#include "sm80/logsumexp.hpp"
#include "sm80/tensor_columns.hpp"

namespace flashring::sm80 {

template <int of_pieces>
class TensorLogSumExp {
 public:
  static constexpr int pieces = of_pieces;
  static constexpr bool crosses = pieces == 3;
  static constexpr int columns_in_sweep = tensor_columns;
  /// Serves pairs of a call the other way round (arguments.hpp).
  static constexpr bool exchanges = true;
  static constexpr int blocks = column_blocks;
  static constexpr int shared_bytes = ColumnSums<pieces>::shared_bytes;
  /// Beside the exponential: shift, maximum, difference, sum.
  static constexpr int slots = 5;

  FLASHRING_DEVICE static const float *visiting_values(const WaveArguments &a, std::int64_t tile) {
    return tile_values<float>(a.visiting.pass_scalars, tile, 1);
  }

  template <class Thread>
  FLASHRING_DEVICE TensorLogSumExp(Thread & /*t*/, const WaveArguments & /*a*/, int first) : first_(first) {
    FLASHRING_UNROLL
    for (int s = 0; s < warp_strips; ++s) {
      FLASHRING_UNROLL
      for (int h = 0; h < 2; ++h) reference_[s][h] = lowest_reference<float>;
    }
  }

  template <class Thread>
  FLASHRING_DEVICE void add(Thread &t, const WaveArguments &a, const TensorPair &p, WarpStrips &strips) {
    apply_formula<true, 0, Thread>(a.kind, a.constants, strips);
    add_shifts(t, p, strips);
    hide_all(t, a, p, -static_cast<float>(__builtin_inf()), strips);
    float scale[warp_strips][2];  // (strips, rows of a lane)
    const int lane = t.lane();
    FLASHRING_UNROLL
    for (int s = 0; s < warp_strips; ++s) {
      exponentials_of_rows<polynomial_sixteenths(slots)>(t, strips[s], reference_[s], scale[s]);
      float sum[2] = {0, 0};
      FLASHRING_UNROLL
      for (int n = 0; n < 4 * strip_blocks; ++n) sum[n % 4 / 2] += strips[s].v[n / 4][n % 4];
      FLASHRING_UNROLL
      for (int h = 0; h < 2; ++h) {
        const float whole = sum_of_quad(t, sum[h]);
        if (lane % 4 == 2 * s + h) total_ = total_ * static_cast<double>(scale[s][h]) + static_cast<double>(whole);
      }
    }
    if (a.columns > 0) sums_.add_own(t, a, p, strips, scale, sweep_columns(a.columns, first_));
  }

  template <class Thread>
  FLASHRING_DEVICE void finish(Thread &t, const WaveArguments &a) {
    using R = Rule<RowKind::logsumexp>;
    const int own_tile = own_tile_of(t, a);
    double *state = reinterpret_cast<double *>(a.own.state) + tile_offset(own_tile, a.words);
    const int rows = a.own.tiles[own_tile].rows;
    Merge *merge = reinterpret_cast<Merge *>(t.shared() + merge_offset);  // (T)
    meet(t, a, state, rows, merge);
    sums_.finish(t, sweep_columns(a.columns, first_), [&](int row, int column, double left, double right) {
      if (row >= rows) return;
      const Merge &m = merge[row];
      double &word = state[(2 + column) * tile_rows + row];
      word = word * R::power_of_two(m.before - m.reference) + left * R::power_of_two(m.left - m.reference) +
             right * R::power_of_two(m.right - m.reference);
    });
  }

 private:
  /// References of a row: of the state, of the two warps, and the largest. `sum`: of the right warp.
  struct Merge {
    double before, left, right, reference, sum;
  };
  /// Beyond the sums of the right warps.
  static constexpr int merge_offset = tensor_columns * tile_rows * static_cast<int>(sizeof(double));

  /// Calls take(row, reference, sum) for the row whose sum this lane keeps.
  template <class Thread, class Take>
  FLASHRING_DEVICE void own_row(Thread &t, Take take) {
    FLASHRING_UNROLL
    for (int s = 0; s < warp_strips; ++s) {
      FLASHRING_UNROLL
      for (int h = 0; h < 2; ++h) {
        // A row that has seen nothing has the rule's lowest reference, so that it leaves a state as it is.
        const bool seen = reference_[s][h] > lowest_reference<float>;
        const double reference = seen ? static_cast<double>(reference_[s][h]) : Rule<RowKind::logsumexp>::lowest;
        if (t.lane() % 4 == 2 * s + h)
          take(strip_place(t.warp(), s).own + strip_row(t.lane(), 2 * h), reference, total_);
      }
    }
  }

  /// Fills `merge`, and in the last sweep the reference and the sum of the state.
  template <class Thread>
  FLASHRING_DEVICE void meet(Thread &t, const WaveArguments &a, double *state, int rows, Merge *merge) {
    using R = Rule<RowKind::logsumexp>;
    const bool left = t.warp() % tensor_warps_across == 0;
    if (!left)
      own_row(t, [&](int row, double reference, double sum) {
        merge[row].right = reference;
        merge[row].sum = sum;
      });
    t.sync();
    if (left)
      own_row(t, [&](int row, double reference, double sum) {
        if (row >= rows) return;
        Merge &m = merge[row];
        m.before = state[row];
        m.left = reference;
        const double larger = m.left > m.right ? m.left : m.right;
        m.reference = m.before > larger ? m.before : larger;
        if (first_ + tensor_columns < a.columns) return;
        state[row] = m.reference;
        double &word = state[tile_rows + row];
        word = word * R::power_of_two(m.before - m.reference) + sum * R::power_of_two(m.left - m.reference) +
               m.sum * R::power_of_two(m.right - m.reference);
      });
    t.sync();
  }

  ColumnSums<pieces> sums_;
  int first_;                        ///< column of the sweep
  float reference_[warp_strips][2];  // (strips, rows of a lane)
  double total_ = 0;                 ///< of the quad's row 8 (l % 4), counted over both strips: each lane keeps one
};

}  // namespace flashring::sm80

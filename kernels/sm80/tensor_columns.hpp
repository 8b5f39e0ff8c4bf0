// The row rule sum with more than one column on the tensor path: 32 columns in a sweep over the visiting tiles, weights
// made once for each sweep.
//
// Own side: the visiting tile's columns are put into shared memory in pieces, each warp multiplies its weights with
// them (strip_columns.hpp), and its sums over 64 visiting rows go from fp32 into fp64 registers. The two warps of a row
// meet after the last tile. Visiting side: the own tile's columns take the same place, each warp multiplies its
// transposed weights, and the four warps of a column meet in shared memory, 8 columns at a time: 128 products in fp32,
// then the slot. Every order is fixed. Cost of a pair: the formula and what strip_columns.hpp states.
#pragma once

#include "sm80/strip_columns.hpp"
#include "sm80/tensor.hpp"

namespace flashring::sm80 {

/// Columns [first, first + count) of a sweep, at most 32.
struct ColumnRange {
  int first = 0;
  int count = 0;
};
constexpr ColumnRange sweep_columns(int columns, int first) {
  return {first, columns - first < tensor_columns ? columns - first : tensor_columns};
}

/// Sums of 32 columns over all visiting tiles, and the shared memory that they need.
template <int pieces>
class ColumnSums {
 public:
  /// Partial sums of 8 columns: (warps down, 8, partial_stride). The stride keeps the lanes of a warp on different
  /// banks.
  static constexpr int partial_stride = tile_rows + 4;
  static constexpr int partial_bytes = tensor_warps_down * 8 * partial_stride * static_cast<int>(sizeof(float));
  static constexpr int stage_bytes = pieces * column_piece_bytes;
  static constexpr int shared_bytes = partial_bytes > stage_bytes ? partial_bytes : stage_bytes;

  FLASHRING_DEVICE ColumnSums() {
    FLASHRING_UNROLL
    for (int s = 0; s < warp_strips; ++s) {
      FLASHRING_UNROLL
      for (int n = 0; n < 4 * column_blocks_at_once; ++n) total_[s][n / 4][n % 4] = 0;
    }
  }

  /// Own side of a pair of tiles. Sums so far are multiplied with scale[s][h] in row h of a lane, powers of two or 1.
  template <class Thread>
  FLASHRING_DEVICE void add_own(Thread &t, const WaveArguments &a, const TensorPair &p, const WarpStrips &w,
                                const float (&scale)[warp_strips][2], ColumnRange range) {
    const int count = range.count;
    std::byte *stage = t.shared() + a.shared.fold;
    stage_columns<pieces>(t, tile_values<float>(a.visiting.columns, p.visiting_tile, a.columns), range.first, count,
                          stage);
    t.sync();
    FLASHRING_UNROLL
    for (int s = 0; s < warp_strips; ++s) {
      float sum[column_blocks_at_once][4];
      multiply_rows<pieces>(t, w[s], stage, strip_place(t.warp(), 0).visiting, (count + 7) / 8, sum);
      FLASHRING_UNROLL
      for (int n = 0; n < 4 * column_blocks_at_once; ++n) {
        double &total = total_[s][n / 4][n % 4];
        total = Thread::fma(total, static_cast<double>(scale[s][n % 4 / 2]), static_cast<double>(sum[n / 4][n % 4]));
      }
    }
  }

  /// Visiting side of a pair of tiles. words: those of the slot that belong to columns, (c, T)
  template <class Thread>
  FLASHRING_DEVICE static void add_visiting(Thread &t, const WaveArguments &a, const TensorPair &p, const WarpStrips &w,
                                            double *words, ColumnRange range) {
    const int count = range.count;
    std::byte *stage = t.shared() + a.shared.fold;
    t.sync();  // the own side has read its columns
    stage_columns<pieces>(t, tile_values<float>(a.own.columns, p.own_tile, a.columns), range.first, count, stage);
    t.sync();
    float sum[strip_blocks / 2][column_blocks_at_once][4];
    multiply_transposed<pieces>(t, w, stage, strip_place(t.warp(), 0).own, (count + 7) / 8, sum);
    FLASHRING_UNROLL
    for (int c = 0; c < column_blocks_at_once; ++c)
      if (8 * c < count) write_block(t, a, p, sum, c, words, range);
  }

  /// After the last tile: right warps put their sums into shared memory, (32, T), and left ones take them. Calls
  /// add(row, word, sum of the left warp, sum of the right one) for each column's word in the row's states.
  template <class Thread, class Add>
  FLASHRING_DEVICE void finish(Thread &t, ColumnRange range, Add add) {
    double *other = reinterpret_cast<double *>(t.shared());
    const bool left = t.warp() % tensor_warps_across == 0;
    if (!left)
      each_total(t, range.count, [&](int row, int column, double total) { other[column * tile_rows + row] = total; });
    t.sync();
    if (left)
      each_total(t, range.count, [&](int row, int column, double total) {
        add(row, range.first + column, total, other[column * tile_rows + row]);
      });
    t.sync();  // shared memory is free again
  }

 private:
  template <class Thread, class Take>
  FLASHRING_DEVICE void each_total(Thread &t, int count, Take take) {
    const int lane = t.lane();
    const int first_row = strip_place(t.warp(), 0).own;
    FLASHRING_UNROLL
    for (int s = 0; s < warp_strips; ++s) {
      FLASHRING_UNROLL
      for (int n = 0; n < 4 * column_blocks_at_once; ++n) {
        const int column = strip_column(lane, n / 4, n % 4);
        if (column < count) take(first_row + s * strip_rows + strip_row(lane, n % 4), column, total_[s][n / 4][n % 4]);
      }
    }
  }

  /// Column block c of the visiting side: all warps write their sums, then each thread adds up four numbers of four
  /// warps.
  template <class Thread>
  FLASHRING_DEVICE static void write_block(Thread &t, const WaveArguments &a, const TensorPair &p,
                                           const float (&sum)[strip_blocks / 2][column_blocks_at_once][4], int c,
                                           double *words, ColumnRange range) {
    float *partial = reinterpret_cast<float *>(t.shared() + a.shared.fold);  // (warps down, 8, partial_stride)
    float *mine = partial + t.warp() / tensor_warps_across * 8 * partial_stride + strip_place(t.warp(), 0).visiting;
    const int lane = t.lane();
    t.sync();  // columns, or the last block, have been read
    FLASHRING_UNROLL
    for (int m = 0; m < strip_blocks / 2; ++m) {
      FLASHRING_UNROLL
      for (int e = 0; e < 4; ++e)
        mine[strip_column(lane, 0, e) * partial_stride + 16 * m + strip_row(lane, e)] = sum[m][c][e];
    }
    t.sync();
    const int j = t.thread() % tile_rows;
    FLASHRING_ROLL
    for (int column = t.thread() / tile_rows; column < 8; column += tensor_threads / tile_rows) {
      float total = partial[column * partial_stride + j];
      FLASHRING_UNROLL
      for (int w = 1; w < tensor_warps_down; ++w) total += partial[(w * 8 + column) * partial_stride + j];
      const int word = 8 * c + column;
      if (word < range.count && j < p.visiting.rows)
        words[std::ptrdiff_t{range.first + word} * tile_rows + j] = static_cast<double>(total);
    }
  }

  double total_[warp_strips][column_blocks_at_once][4];  // (strips, column blocks, elements)
};

template <int of_pieces>
class TensorColumns {
 public:
  static constexpr int pieces = of_pieces;
  static constexpr bool crosses = pieces == 3;
  static constexpr int columns_in_sweep = tensor_columns;
  static constexpr bool exchanges = false;
  static constexpr int blocks = column_blocks;
  static constexpr int shared_bytes = ColumnSums<pieces>::shared_bytes;

  FLASHRING_DEVICE static const float *visiting_values(const WaveArguments & /*a*/, std::int64_t /*tile*/) {
    return nullptr;
  }

  template <class Thread>
  FLASHRING_DEVICE TensorColumns(Thread & /*t*/, const WaveArguments &a, int first)
      : range_(sweep_columns(a.columns, first)) {}

  template <class Thread>
  FLASHRING_DEVICE void add(Thread &t, const WaveArguments &a, const TensorPair &p, WarpStrips &strips) {
    // Splitting a weight takes 6 operations, so that the special unit is not what a pair waits for.
    constexpr int slots = pieces == 3 ? 7 : 2;
    apply_formula<false, polynomial_sixteenths(slots), Thread>(a.kind, a.constants, strips);
    hide_all(t, a, p, 0, strips);
    if (has_own(p.sides)) sums_.add_own(t, a, p, strips, {{1, 1}, {1, 1}}, range_);
    if (has_visiting(p.sides)) sums_.add_visiting(t, a, p, strips, p.slot, range_);
  }

  template <class Thread>
  FLASHRING_DEVICE void finish(Thread &t, const WaveArguments &a) {
    if (!serves_own(a)) return;
    const int own_tile = own_tile_of(t, a);
    double *state = reinterpret_cast<double *>(a.own.state) + tile_offset(own_tile, a.words);
    const int rows = a.own.tiles[own_tile].rows;
    sums_.finish(t, range_, [&](int row, int column, double left, double right) {
      if (row < rows) state[column * tile_rows + row] += left + right;
    });
  }

 private:
  ColumnSums<pieces> sums_;
  ColumnRange range_;
};

}  // namespace flashring::sm80

// Sums of up to 32 columns on tensor cores, from strips of weights of 16 own and 128 visiting rows.
//
// Own side: the visiting tile's columns, which were copied, are put into shared memory in pieces; each warp
// multiplies its weights with them (sm80/strip_columns.hpp), and its sums over the tile go from fp32 into fp64 in
// shared memory, where each thread has its own 16: they would take 32 registers beside the accumulators, the weights
// and the fragments of the product, and are touched once a tile.
// Visiting side: the own tile's columns stay there in pieces for the whole sweep; each warp multiplies its transposed
// weights, 16 visiting rows at a time, the eight warps meet in shared memory, 128 products in fp32, and the sums go to
// the slot. (All 128 visiting rows at once would take 128 registers.) Every order is fixed. Cost of a pair: what
// sm80/strip_columns.hpp states; the consumers meet twice for the own side and 16 times for the visiting one, so both
// warpgroups are in the same tile, and in the same part of it.
#pragma once

#include "sm80/strip_columns.hpp"
#include "sm90/consumer.hpp"

namespace flashring::sm90 {

using sm80::column_blocks_at_once;
static_assert(consumers == sm80::tensor_threads, "as many threads as put columns into shared memory");

/// Visiting rows whose sums the warps leave for each other at once, and the numbers between columns: 4 more, so that
/// lanes of a warp meet different banks.
constexpr int meeting_rows = 16;
constexpr int meeting_stride = meeting_rows + 4;
constexpr int meeting_numbers = sm80::tensor_columns * meeting_stride;

/// Sums of a thread over its sweep.
constexpr int lane_totals = 4 * column_blocks_at_once;
constexpr std::size_t totals_bytes = sizeof(double) * lane_totals * consumers;

constexpr std::size_t column_sums_bytes(int pieces, bool visiting) {
  const std::size_t stage = std::size_t{1} * static_cast<std::size_t>(pieces) * sm80::column_piece_bytes;
  const std::size_t own = totals_bytes + stage;
  return visiting ? own + stage + std::size_t{1} * consumer_warps * meeting_numbers * sizeof(float) : own;
}

template <class Thread, int pieces>
class ColumnSums {
 public:
  /// fold: column_sums_bytes
  FLASHRING_DEVICE ColumnSums(Thread &t, const BlockMemory &memory, std::byte *fold)
      : t_(t),
        memory_(memory),
        totals_(reinterpret_cast<double *>(fold) + t.thread()),
        stage_(fold + totals_bytes),
        own_stage_(stage_ + pieces * sm80::column_piece_bytes) {}

  /// A sweep of columns [first, first + count) begins. own: columns of the own tile, (c, T); null: no visiting side.
  FLASHRING_DEVICE void begin(const float *own, int first, int count) {
    first_ = first;
    count_ = count;
    FLASHRING_UNROLL
    for (int n = 0; n < lane_totals; ++n) totals_[n * consumers] = 0;
    if (own == nullptr) return;
    t_.sync();  // those of the last sweep have been read
    sm80::stage_columns<pieces>(t_, own, first, count, own_stage_);
    t_.sync();
  }

  /// Takes the columns of the visiting tile; they are put where add_own finds them if they are `used`. Another meeting
  /// of the consumers stands between this and add_own.
  FLASHRING_DEVICE void take_columns(bool used) {
    t_.wait_phase(memory_.columns_full(), parity_);
    parity_ ^= 1U;
    if (used) {
      t_.sync();  // those of the last tile have been read
      sm80::stage_columns<pieces>(t_, reinterpret_cast<const float *>(memory_.columns()), 0, count_, stage_);
    }
    leave(t_, memory_.columns_empty());
  }

  /// Sums so far are multiplied with scale[h] first where `scaled`.
  template <bool scaled>
  FLASHRING_DEVICE void add_own(const Strip (&w)[1], const float (&scale)[2]) {
    float sum[column_blocks_at_once][4];
    sm80::multiply_rows<pieces>(t_, w[0], stage_, 0, (count_ + 7) / 8, sum);
    FLASHRING_UNROLL
    for (int c = 0; c < column_blocks_at_once; ++c) {
      FLASHRING_UNROLL
      for (int e = 0; e < 4; ++e) {
        double &total = totals_[(4 * c + e) * consumers];
        if (scaled) total *= static_cast<double>(scale[e / 2]);
        total += static_cast<double>(sum[c][e]);
      }
    }
  }

  /// words: of the slot, (c, T); rows: of the visiting tile
  FLASHRING_DEVICE void add_visiting(const Strip &w, int rows, double *words) {
    FLASHRING_UNROLL
    for (int m = 0; m < tile_rows / meeting_rows; ++m) {
      sm80::Strip<2> part[1];
      FLASHRING_UNROLL
      for (int e = 0; e < 8; ++e) part[0].v[e / 4][e % 4] = w.v[2 * m + e / 4][e % 4];
      float sum[1][column_blocks_at_once][4];
      sm80::multiply_transposed<pieces>(t_, part, own_stage_, t_.warp() * sm80::strip_rows, (count_ + 7) / 8, sum);
      meet(sum[0], m * meeting_rows, rows, words);
    }
  }

  /// After the sweep: calls add(h, row, column, sum) for each of this lane's sums, in its h-th row.
  template <class Add>
  FLASHRING_DEVICE void finish(Add add) {
    FLASHRING_UNROLL
    for (int c = 0; c < column_blocks_at_once; ++c) {
      FLASHRING_UNROLL
      for (int e = 0; e < 4; ++e) {
        const int column = sm80::strip_column(t_.lane(), c, e);
        if (column < count_)
          add(e / 2, t_.warp() * sm80::strip_rows + sm80::strip_row(t_.lane(), e), first_ + column,
              totals_[(4 * c + e) * consumers]);
      }
    }
  }

 private:
  /// The sums of all warps for visiting rows [first, first + 16), added in the order of warps.
  FLASHRING_DEVICE void meet(const float (&sum)[column_blocks_at_once][4], int first, int rows, double *words) {
    auto *partial =
        reinterpret_cast<float *>(own_stage_ + pieces * sm80::column_piece_bytes);  // (warps, columns, stride)
    float *mine = partial + t_.warp() * meeting_numbers;
    t_.sync();  // the last ones have been read
    FLASHRING_UNROLL
    for (int c = 0; c < column_blocks_at_once; ++c) {
      FLASHRING_UNROLL
      for (int e = 0; e < 4; ++e)
        mine[sm80::strip_column(t_.lane(), c, e) * meeting_stride + sm80::strip_row(t_.lane(), e)] = sum[c][e];
    }
    t_.sync();
    const int row = t_.thread() % meeting_rows;
    FLASHRING_ROLL
    for (int column = t_.thread() / meeting_rows; column < count_; column += consumers / meeting_rows) {
      const float *at = partial + column * meeting_stride + row;
      float total = at[0];
      FLASHRING_UNROLL
      for (int n = 1; n < consumer_warps; ++n) total += at[n * meeting_numbers];
      if (first + row < rows)
        words[std::ptrdiff_t{first_ + column} * tile_rows + first + row] = static_cast<double>(total);
    }
  }

  Thread &t_;
  const BlockMemory &memory_;
  double *totals_;        // (column blocks x elements, consumers), from the thread's on
  std::byte *stage_;      // (pieces, 32, T) bf16 of the visiting tile
  std::byte *own_stage_;  // (pieces, 32, T) bf16 of the own one
  std::uint32_t parity_ = 0;
  int first_ = 0;
  int count_ = 0;
};

}  // namespace flashring::sm90

// The row rule softmax_gradient on the tensor path, both sides: with p_ij = exp(l_ij - lse_i) and
// ds_ij = p_ij (<b_i, v_j> - delta_i), own rows take ds_ij a_j, visiting rows ds_ij a_i and p_ij b_i.
//
// Five products, all of pieces (pieces.hpp), in one sweep. Steps for a pair of tiles:
//   1. The accumulators of the features become p where they are.
//   2. Visiting side: the transpose of p times the own tile's b, 32 columns at a time (tensor_columns.hpp).
//   3. <b_i, v_j>: 16 columns of both tiles at a time are split into chunks, as a payload has them, in shared memory,
//      while the next 16 are on their way to registers; a second set of accumulators takes their products.
//   4. ds in the place of p, so that the second set is free; its products with the columns a of both tiles.
// Own sums of a pair of tiles meet in shared memory and go into the state, which is the block's alone, in fp64: sums of
// a sweep would take as many registers as a warp has columns. Every order is fixed. Cost of a pair, with d features and
// c columns: 6 (or 1) x (c for scores and <b, v>, d for the own side, c for the visiting one) multiply-adds of the
// tensor unit, an exponential, and what strip_columns.hpp states for splitting. Source: Dao et al., arXiv:2205.14135.
#pragma once

#include <limits>

#include "sm80/tensor_columns.hpp"

namespace flashring::sm80 {

/// 8 columns of a thread's row, half of a chunk's 16.
struct HalfChunk {
  float x[8];
};

/// Columns [first, first + 16) of a tile, 0 behind the last: the half of this thread, whose row is thread() % T. The
/// tile's place is found anew each time, since the loop over columns has no registers for it.
template <class Thread>
FLASHRING_DEVICE HalfChunk load_half(Thread &t, const WaveArguments &a, const TileSide &side, int tile, int first) {
  const float *columns = tile_values<float>(side.columns, tile, a.columns);
  const int begin = first + t.thread() / tile_rows * 8;
  const float *row = columns + std::ptrdiff_t{begin} * tile_rows + t.thread() % tile_rows;
  HalfChunk half;
  FLASHRING_UNROLL
  for (int c = 0; c < 8; ++c) half.x[c] = begin + c < a.columns ? row[c * tile_rows] : 0;
  return half;
}

/// Its pieces, a chunk for each.
template <int pieces, class Thread>
FLASHRING_DEVICE void store_half(Thread &t, const HalfChunk &half, std::byte *chunks) {
  struct alignas(16) Packed {
    std::uint32_t two[4];
  };
  Packed packed[pieces];
  FLASHRING_UNROLL
  for (int c = 0; c < 4; ++c) {
    std::uint32_t two[pieces];
    split_two<pieces, Thread>(half.x[2 * c], half.x[2 * c + 1], two);
    FLASHRING_UNROLL
    for (int p = 0; p < pieces; ++p) packed[p].two[c] = two[p];
  }
  std::byte *to = chunks + chunk_offset(t.thread() % tile_rows, t.thread() / tile_rows * 8);
  FLASHRING_UNROLL
  for (int p = 0; p < pieces; ++p) *reinterpret_cast<Packed *>(to + p * chunk_bytes) = packed[p];
}

template <int of_pieces>
class TensorGradient {
 public:
  static constexpr int pieces = of_pieces;
  static constexpr bool crosses = pieces == 3;
  static constexpr int columns_in_sweep = std::numeric_limits<int>::max();
  static constexpr bool exchanges = false;
  static constexpr int blocks = column_blocks;
  /// The pieces of 16 columns of both tiles take no more than those of 32 columns of one.
  static constexpr int shared_bytes = ColumnSums<pieces>::shared_bytes;
  static_assert(2 * pieces * chunk_bytes <= shared_bytes, "they take the same place");
  static_assert(tensor_shared({64, pieces, false, false}).fold + shared_bytes <= static_cast<int>(least_shared_bytes),
                "any device can be asked for it");

  FLASHRING_DEVICE static const float *visiting_values(const WaveArguments &a, std::int64_t tile) {
    return tile_values<float>(a.visiting.pass_scalars, tile, 1);
  }

  template <class Thread>
  FLASHRING_DEVICE TensorGradient(Thread & /*t*/, const WaveArguments & /*a*/, int /*first*/) {}

  template <class Thread>
  FLASHRING_DEVICE void add(Thread &t, const WaveArguments &a, const TensorPair &p, WarpStrips &strips) {
    apply_formula<true, 0, Thread>(a.kind, a.constants, strips);
    add_shifts(t, p, strips);
    hide_all(t, a, p, -static_cast<float>(__builtin_inf()), strips);
    make_weights(t, a, p, strips);
    if (has_visiting(p.sides)) add_visiting(t, a, p, strips, a.features, a.columns);
    make_differences(t, a, p, strips);
    if (has_own(p.sides)) {
      FLASHRING_ROLL
      for (int first = 0; first < a.features; first += tensor_columns)
        add_own(t, a, p, strips, sweep_columns(a.features, first));
    }
    if (has_visiting(p.sides)) add_visiting(t, a, p, strips, 0, a.features);
  }

  /// States have all sums already.
  template <class Thread>
  FLASHRING_DEVICE void finish(Thread & /*t*/, const WaveArguments & /*a*/) {}

 private:
  /// Warps that share own rows meet with 16 columns in the place where those that share visiting rows meet with 8.
  static constexpr int meeting_columns = 8 * tensor_warps_down / tensor_warps_across;
  static constexpr int partial_stride = ColumnSums<pieces>::partial_stride;
  /// Of these columns, those of a thread.
  static constexpr int thread_columns = meeting_columns * tile_rows / tensor_threads;

  /// Calls take(strip, h, number) with one of the own rows' numbers for each row of a lane.
  template <class Thread, class Take>
  FLASHRING_DEVICE static void each_row(Thread &t, const WaveArguments &a, const TensorPair &p, int number, Take take) {
    const float *numbers = tile_values<float>(a.own.pass_scalars, p.own_tile, 2) + number * tile_rows;
    const int lane = t.lane();
    FLASHRING_UNROLL
    for (int s = 0; s < warp_strips; ++s) {
      FLASHRING_UNROLL
      for (int h = 0; h < 2; ++h) take(s, h, numbers[strip_place(t.warp(), s).own + strip_row(lane, 2 * h)]);
    }
  }

  /// Logarithms become p.
  template <class Thread>
  FLASHRING_DEVICE static void make_weights(Thread &t, const WaveArguments &a, const TensorPair &p,
                                            WarpStrips &strips) {
    constexpr auto infinity = static_cast<float>(__builtin_inf());
    each_row(t, a, p, 0, [&](int s, int h, float saved) {
      const float lse =
          saved > -infinity ? saved * static_cast<float>(log2_of_e) : infinity;  // sees nothing: gives none
      FLASHRING_UNROLL
      for (int n = 0; n < 2 * strip_blocks; ++n) {
        float &v = strips[s].v[n / 2][2 * h + n % 2];
        v = exp2_word<Thread>(v - lse);
      }
    });
  }

  /// p becomes ds.
  template <class Thread>
  FLASHRING_DEVICE static void make_differences(Thread &t, const WaveArguments &a, const TensorPair &p,
                                                WarpStrips &strips) {
    WarpStrips products;
    multiply_values(t, a, p, products);
    each_row(t, a, p, 1, [&](int s, int h, float delta) {
      FLASHRING_UNROLL
      for (int n = 0; n < 2 * strip_blocks; ++n)
        strips[s].v[n / 2][2 * h + n % 2] *= products[s].v[n / 2][2 * h + n % 2] - delta;
    });
  }

  /// products = <b_i, v_j>: the columns behind those of a.
  template <class Thread>
  FLASHRING_DEVICE static void multiply_values(Thread &t, const WaveArguments &a, const TensorPair &p,
                                               WarpStrips &products) {
    FLASHRING_UNROLL
    for (int s = 0; s < warp_strips; ++s) clear(products[s]);
    HalfChunk of_own = load_half(t, a, a.own, own_tile_of(t, a), a.features);
    HalfChunk of_visiting = load_half(t, a, a.visiting, p.visiting_tile, a.features);
    FLASHRING_ROLL
    for (int first = a.features; first < a.columns; first += chunk_columns) {
      std::byte *own = t.shared() + a.shared.fold;
      std::byte *visiting = own + pieces * chunk_bytes;
      t.sync();  // what was there has been read
      store_half<pieces>(t, of_own, own);
      store_half<pieces>(t, of_visiting, visiting);
      t.sync();
      of_own = load_half(t, a, a.own, own_tile_of(t, a), first + chunk_columns);
      of_visiting = load_half(t, a, a.visiting, p.visiting_tile, first + chunk_columns);
      const int thread = t.thread();
      const StripPlace place = strip_place(thread / warp_rows, 0);
      own += own_fragment_offset(thread % warp_rows, place.own);
      visiting += visiting_fragment_offset(thread % warp_rows, place.visiting);
      if constexpr (crosses)
        multiply_crossed(t, own, visiting, products);
      else
        multiply_straight(t, own, visiting, products);
    }
  }

  /// Own side: state words of columns of a.
  template <class Thread>
  FLASHRING_DEVICE static void add_own(Thread &t, const WaveArguments &a, const TensorPair &p, const WarpStrips &ds,
                                       ColumnRange range) {
    std::byte *stage = t.shared() + a.shared.fold;
    t.sync();  // what was there has been read
    stage_columns<pieces>(t, tile_values<float>(a.visiting.columns, p.visiting_tile, a.columns), range.first,
                          range.count, stage);
    t.sync();
    float sum[warp_strips][column_blocks_at_once][4];
    FLASHRING_UNROLL
    for (int s = 0; s < warp_strips; ++s)
      multiply_rows<pieces>(t, ds[s], stage, strip_place(t.warp(), 0).visiting, (range.count + 7) / 8, sum[s]);
    FLASHRING_UNROLL
    for (int c = 0; c < column_blocks_at_once; c += meeting_columns / 8)
      if (8 * c < range.count) add_blocks(t, a, p, sum, c, range);
  }

  /// Two column blocks: all warps write their sums, then each thread adds up numbers of two warps. What the state has
  /// is on its way meanwhile.
  template <class Thread>
  FLASHRING_DEVICE static void add_blocks(Thread &t, const WaveArguments &a, const TensorPair &p,
                                          const float (&sum)[warp_strips][column_blocks_at_once][4], int c,
                                          ColumnRange range) {
    float *partial = reinterpret_cast<float *>(t.shared() + a.shared.fold);  // (warps across, 16, partial_stride)
    const int first = 8 * c + t.thread() / tile_rows * thread_columns;
    const int row = t.thread() % tile_rows;
    double *words = p.state + std::ptrdiff_t{range.first + first} * tile_rows + row;
    const int count = row < p.own.rows ? range.count - first : 0;
    double state[thread_columns];
    FLASHRING_UNROLL
    for (int n = 0; n < thread_columns; ++n) state[n] = n < count ? words[n * tile_rows] : 0;
    t.sync();  // columns, or the last blocks, have been read
    float *mine = partial + t.warp() % tensor_warps_across * meeting_columns * partial_stride;
    FLASHRING_UNROLL
    for (int s = 0; s < warp_strips; ++s) {
      FLASHRING_UNROLL
      for (int n = 0; n < meeting_columns / 2; ++n)
        mine[strip_column(t.lane(), n / 4, n % 4) * partial_stride + strip_place(t.warp(), s).own +
             strip_row(t.lane(), n % 4)] = sum[s][c + n / 4][n % 4];
    }
    t.sync();
    const float *left = partial + (first - 8 * c) * partial_stride + row;
    FLASHRING_UNROLL
    for (int n = 0; n < thread_columns; ++n) {
      const float total = left[n * partial_stride] + left[(meeting_columns + n) * partial_stride];
      if (n < count) words[n * tile_rows] = state[n] + static_cast<double>(total);
    }
  }

  /// Visiting side: slot words [first, end) of columns with the same numbers.
  template <class Thread>
  FLASHRING_DEVICE static void add_visiting(Thread &t, const WaveArguments &a, const TensorPair &p, const WarpStrips &w,
                                            int first, int end) {
    FLASHRING_ROLL
    for (; first < end; first += tensor_columns)
      ColumnSums<pieces>::add_visiting(t, a, p, w, p.slot, sweep_columns(end, first));
  }
};

}  // namespace flashring::sm80

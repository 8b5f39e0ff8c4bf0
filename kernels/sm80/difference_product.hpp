// The row rule difference_product: kernels/row/difference_product.hpp, a piece of 32 giving rows at a time.
//
// Weights go to shared memory, where both sides read them. Sums of 2 x 4 functions are in registers; a pair of such
// blocks goes over the piece once. Own side: thread i sums its own row, and adds to its state in fp64. Visiting side:
// lane j sums over the 32 own rows of its warp, and the four warps' sums are added in their order (fold.hpp). Cost for
// each pair and side: c(c+1)/2 multiply-adds, about c^2 differences and products with the weight; columns and scalars
// of the giving rows are the same for all threads of a warp, or follow each other.
#pragma once

#include "sm80/sum.hpp"

namespace flashring::sm80 {

constexpr int block_left = 2, block_right = 4;  // functions
static_assert(block_left * block_right == column_chunk, "the visiting side's shared memory holds so many sums");

/// Functions [k0, k0 + 2) and [l0, l0 + 4) of c; those beyond the last one are the last one again.
struct FunctionBlock {
  int k0, l0, columns;
  FLASHRING_DEVICE int column(int at) const { return (at < columns ? at : columns - 1) * tile_rows; }
  /// The word of sum n, or -1 where it is none: a pair whose mirror image counts, or beyond the last function.
  FLASHRING_DEVICE int word(int n) const {
    const int k = k0 + n / block_right;
    const int l = l0 + n % block_right;
    return k <= l && l < columns ? Rule<RowKind::difference_product>::word(k, l) : -1;
  }
};

/// A side that gives, and rows of it.
template <class T>
struct Givers {
  const T *columns;  // (c, T)
  const T *scalars;  // (T)
  int begin, end;
};

/// sum[n] over the givers for one receiving row; `weight(row)` is that of a giver's row.
template <class T, class Thread, class Weight>
FLASHRING_DEVICE void sum_differences(const FunctionBlock &b, const T *receive_columns, int receive_row,
                                      const Givers<T> &give, Weight weight, T (&sum)[column_chunk]) {
  T left[block_left], right[block_right];
  FLASHRING_UNROLL
  for (int k = 0; k < block_left; ++k) left[k] = receive_columns[b.column(b.k0 + k) + receive_row];
  FLASHRING_UNROLL
  for (int l = 0; l < block_right; ++l) right[l] = receive_columns[b.column(b.l0 + l) + receive_row];
  FLASHRING_UNROLL
  for (int n = 0; n < column_chunk; ++n) sum[n] = 0;
  FLASHRING_ROLL
  for (int j = give.begin; j < give.end; ++j) {
    const T w = weight(j) * give.scalars[j];
    T difference[block_right];
    FLASHRING_UNROLL
    for (int l = 0; l < block_right; ++l) difference[l] = give.columns[b.column(b.l0 + l) + j] - right[l];
    FLASHRING_UNROLL
    for (int k = 0; k < block_left; ++k) {
      const T scaled = w * (give.columns[b.column(b.k0 + k) + j] - left[k]);
      FLASHRING_UNROLL
      for (int l = 0; l < block_right; ++l)
        sum[k * block_right + l] = Thread::fma(scaled, difference[l], sum[k * block_right + l]);
    }
  }
}

/// Own side: the thread's row, from visiting rows [first, end).
template <class T, class Thread>
FLASHRING_DEVICE void differences_of_row(Thread &t, const TilePairView<T> &p, const Shared<T> &s,
                                         const FunctionBlock &b, int first, int end) {
  const T *weights = s.weights + t.thread() * weight_stride - first;
  T sum[column_chunk];
  sum_differences<T, Thread>(
      b, p.own_columns, t.thread(), {p.visiting_columns, p.visiting_scalars, first, end},
      [weights](int j) { return weights[j]; }, sum);
  FLASHRING_UNROLL
  for (int n = 0; n < column_chunk; ++n)
    if (b.word(n) >= 0) p.state[b.word(n) * tile_rows + t.thread()] += static_cast<double>(sum[n]);
}

/// Visiting side: row first + lane() from all own rows of the tile; nothing is in its words of the slot yet.
template <class T, class Thread>
FLASHRING_DEVICE void differences_of_column(Thread &t, const TilePairView<T> &p, const Shared<T> &s,
                                            const FunctionBlock &b, int first, int end) {
  const T *weights = s.weights + t.lane();
  const int own = t.warp() * warp_rows;
  const int rows = own + warp_rows < p.own.rows ? own + warp_rows : p.own.rows;
  T sum[column_chunk];
  sum_differences<T, Thread>(
      b, p.visiting_columns, first + t.lane(), {p.own_columns, p.own_scalars, own, rows},
      [weights](int i) { return weights[i * weight_stride]; }, sum);
  t.sync();  // the last block of functions has been read
  FLASHRING_UNROLL
  for (int n = 0; n < column_chunk; ++n) s.partial[(t.warp() * column_chunk + n) * warp_rows + t.lane()] = sum[n];
  t.sync();
  FLASHRING_ROLL
  for (int n = t.warp(); n < column_chunk; n += warps) {
    T total = s.partial[n * warp_rows + t.lane()];
    FLASHRING_UNROLL
    for (int w = 1; w < warps; ++w) total += s.partial[(w * column_chunk + n) * warp_rows + t.lane()];
    if (b.word(n) >= 0 && first + t.lane() < end)
      p.slot[b.word(n) * tile_rows + first + t.lane()] = static_cast<double>(total);
  }
}

template <PairKind kind, class T, class Points, class Thread>
FLASHRING_DEVICE void fold_piece(Rule<RowKind::difference_product> /*rule*/, Thread &t, const WaveArguments &a,
                                 const PointsPairView<T, Points> &p, int first) {
  const Shared<T> s = cut_shared<T>(t.shared());
  const int end = first + piece_rows < p.visiting.rows ? first + piece_rows : p.visiting.rows;
  T w[piece_rows];
  weigh<kind, false>(t, p.x, p.y, first, a.features, a.constants, s.features, w);
  if (p.tested) hide(t, a.mask, p.masked, p.own, p.visiting, first, T(0), w);
  store_weights(t, w, s.weights, [](T weight) { return weight; });
  FLASHRING_ROLL
  for (int l0 = 0; l0 < a.columns; l0 += block_right) FLASHRING_ROLL
  for (int k0 = 0; k0 < l0 + block_right && k0 < a.columns; k0 += block_left) {
    const FunctionBlock b{k0, l0, a.columns};
    if (has_own(p.sides) && t.thread() < p.own.rows) differences_of_row(t, p, s, b, first, end);
    if (has_visiting(p.sides)) differences_of_column(t, p, s, b, first, end);
  }
}

}  // namespace flashring::sm80

// What the rules of attention share: scores of a piece, their powers, products of columns, and sums of a range of
// columns with weights that lie in shared memory. Everything goes in chunks of features and columns, so that heads of
// any width take the same shared memory.
#pragma once

#include "sm80/fold.hpp"

namespace flashring::sm80 {

/// l[j] = log2 k + g log2 e of own row thread() and the piece; -infinity for pairs that do not count.
template <PairKind kind, class T, class Points, class Thread>
FLASHRING_DEVICE void score_piece(Thread &t, const WaveArguments &a, const PointsPairView<T, Points> &p,
                                  const Shared<T> &s, int first, T (&l)[piece_rows]) {
  t.sync();  // the last piece's log weights have been read
  if (t.thread() < piece_rows)
    s.shifts[t.thread()] = p.visiting_scalars[first + t.thread()] * static_cast<T>(log2_of_e);
  weigh<kind, true>(t, p.x, p.y, first, a.features, a.constants, s.features, l);
  FLASHRING_UNROLL
  for (int j = 0; j < piece_rows; ++j) l[j] += s.shifts[j];
  if (p.tested) hide(t, a.mask, p.masked, p.own, p.visiting, first, -static_cast<T>(__builtin_inf()), l);
}

/// The numbers of a thread's own row in an array of weights.
template <class T, class Thread>
FLASHRING_DEVICE T *row_of(Thread &t, T *weights) {
  return weights + t.thread() * weight_stride;
}

/// dp[j] = <b_i, v_j> of gradients: the columns behind those of a.
template <class T, class Points, class Thread>
FLASHRING_DEVICE void multiply_values(Thread &t, const WaveArguments &a, const PointsPairView<T, Points> &p,
                                      const Shared<T> &s, int first, T (&dp)[piece_rows]) {
  const PlainPoints<T> b{p.own_columns + a.features * tile_rows};
  const PlainPoints<T> v{p.visiting_columns + a.features * tile_rows};
  accumulate<Accumulate::inner>(t, b, v, first, a.columns - a.features, s.features, dp);
}

/// Columns [begin, piece.columns) times the weights in shared memory, 8 at a time; column c belongs to word
/// piece.first_word + c. `w` is not read.
template <class T, class Thread>
FLASHRING_DEVICE void fold_range(Thread &t, const Piece<T> &piece, const T (&w)[piece_rows], int begin) {
  FLASHRING_ROLL
  for (int at = begin; at < piece.columns; at += column_chunk)
    fold_chunk<column_chunk, false>(t, piece, w, at,
                                    piece.columns - at < column_chunk ? piece.columns - at : column_chunk);
}

/// What makes a power of the score z = s (x - max x) of a row, whatever its family: products of small whole exponents
/// would be instances of their own.
template <class Thread, class T>
struct RowPowers {
  T t, room, e_minus_1;  ///< threshold, 1 - t, e - 1

  FLASHRING_DEVICE ThresholdWeight<Math<Thread, T>> at(T z) const {
    return threshold_powers<ThresholdPower::any, Math<Thread, T>>(z - t, z + room, e_minus_1);
  }
  template <ThresholdScale scale>
  FLASHRING_DEVICE T parameter(T z, const ThresholdWeight<Math<Thread, T>> &weight, T se) const {
    return threshold_parameter<ThresholdPower::any, scale, Math<Thread, T>>(z - t, z + room, weight, e_minus_1 + 1, se);
  }
};

}  // namespace flashring::sm80

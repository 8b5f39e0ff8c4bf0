// The row rule log-sum-exp: kernels/row/logsumexp.hpp, a piece of 32 giving rows at a time.
//
// With l = log2 k + g log2 e for the giving row's g, a piece has the reference m = ceil(max l), the sum of 2^(l - m)
// and the sums of its products with columns; sum and columns are one list of values (1, v_1 ... v_c). Own side: m
// belongs to the piece and the thread's row, and the rule's merge takes its sums into the state. Visiting side: m
// belongs to the visiting row and all own rows of the tile, so that the four warps' sums add up as they are; they go
// into the slot with m. References are whole numbers, so merging multiplies by powers of two and rounds nothing but
// sums. Cost for each pair: the logarithm of the weight once; for each side an exponential, 3 operations and one
// multiply-add for each value. Reference for the streaming sum: M. Milakov, N. Gimelshein, arXiv:1805.02867.
#pragma once

#include "sm80/fold.hpp"

namespace flashring::sm80 {

/// The reference of rows that have seen nothing: finite, below any logarithm of a weight that counts.
template <class T>
constexpr T lowest_reference = sizeof(T) == 4 ? T(-1e38) : T(Rule<RowKind::logsumexp>::lowest);

/// The reference of a state becomes that of the state and a piece; returns what both are multiplied with.
template <class Real>
FLASHRING_DEVICE Scales raise_reference(Real &reference, Real other) {
  using R = Rule<RowKind::logsumexp>;
  const Real before = reference;
  reference = before > other ? before : other;
  return {R::power_of_two(before - reference), R::power_of_two(other - reference)};
}

/// Own side: logarithms become exponentials against the row's whole maximum, which the state's reference takes in.
template <class T, class Thread>
FLASHRING_DEVICE Scales exponentials_of_row(Thread &t, const TilePairView<T> &p, const T *shifts, T (&w)[piece_rows]) {
  T top = lowest_reference<T>;
  FLASHRING_UNROLL
  for (int j = 0; j < piece_rows; ++j) {
    w[j] += shifts[j];
    top = w[j] > top ? w[j] : top;
  }
  top = Thread::ceil(top);
  FLASHRING_UNROLL
  for (int j = 0; j < piece_rows; ++j) w[j] = exp2_word<Thread>(w[j] - top);
  if (t.thread() >= p.own.rows) return {};
  return raise_reference(p.state[t.thread()], static_cast<double>(top));
}

/// Visiting side: the same for lane() as visiting row of the piece and the own rows of all warps.
template <class T, class Thread>
FLASHRING_DEVICE void exponentials_of_column(Thread &t, const TilePairView<T> &p, const Shared<T> &s, int first) {
  const int own = t.warp() * warp_rows;
  T top = lowest_reference<T>;
  FLASHRING_UNROLL_4
  for (int i = own; i < own + warp_rows; ++i) {
    const T l = s.weights[i * weight_stride + t.lane()];
    top = l > top ? l : top;
  }
  s.partial[t.warp() * warp_rows + t.lane()] = top;
  t.sync();
  FLASHRING_UNROLL
  for (int w = 0; w < warps; ++w) {
    const T other = s.partial[w * warp_rows + t.lane()];
    top = other > top ? other : top;
  }
  top = Thread::ceil(top);
  FLASHRING_UNROLL_4
  for (int i = own; i < own + warp_rows; ++i) {
    T &w = s.weights[i * weight_stride + t.lane()];
    w = exp2_word<Thread>(w - top);
  }
  if (t.warp() == 0 && first + t.lane() < p.visiting.rows) p.slot[first + t.lane()] = static_cast<double>(top);
}

template <PairKind kind, class T, class Points, class Thread>
FLASHRING_DEVICE void fold_piece(Rule<RowKind::logsumexp> /*rule*/, Thread &t, const WaveArguments &a,
                                 const PointsPairView<T, Points> &p, int first) {
  const Shared<T> s = cut_shared<T>(t.shared());
  // These are read after weigh's synchronisation; those of the last piece were read before its columns were folded.
  if (has_own(p.sides) && t.thread() < piece_rows)
    s.shifts[t.thread()] = p.visiting_scalars[first + t.thread()] * static_cast<T>(log2_of_e);
  T w[piece_rows];
  weigh<kind, true>(t, p.x, p.y, first, a.features, a.constants, s.features, w);
  if (p.tested) hide(t, a.mask, p.masked, p.own, p.visiting, first, -static_cast<T>(__builtin_inf()), w);
  // The visiting side first, while the logarithms are there; the own side then puts its exponentials in their place.
  if (has_visiting(p.sides)) {
    const T shift = p.own_scalars[t.thread()] * static_cast<T>(log2_of_e);
    store_weights(t, w, s.weights, [shift](T logarithm) { return logarithm + shift; });
    exponentials_of_column(t, p, s, first);
    fold_columns<true>(t, Piece<T>{p, s, Sides::visiting, first, a.columns, 1, {}}, w);
  }
  if (has_own(p.sides)) {
    const Scales scales = exponentials_of_row(t, p, s.shifts, w);
    // No warp reads the others' weights, and its own ones were read before the last synchronisation of the block.
    if (a.columns + 1 > register_values) store_weights(t, w, s.weights, [](T weight) { return weight; });
    fold_columns<true>(t, Piece<T>{p, s, Sides::own, first, a.columns, 1, scales}, w);
  }
}

/// Row i of visiting tile j: its state (words, T) takes the slots of all own tiles in their order. The reference is
/// that of all of them, which gives the bits of merging one after the other: scaling by powers of two rounds nothing.
template <class Next>
FLASHRING_DEVICE void merge_row(Rule<RowKind::logsumexp> /*rule*/, int words, int i, double *state, Next next) {
  using R = Rule<RowKind::logsumexp>;
  const double before = state[i];
  double top = before;
  next([&](const double *slot) { top = slot[i] > top ? slot[i] : top; });
  state[i] = top;
  for (int at = tile_rows + i; at < words * tile_rows; at += tile_rows) {
    double sum = state[at] * R::power_of_two(before - top);
    next([&](const double *slot) { sum += slot[at] * R::power_of_two(slot[i] - top); });
    state[at] = sum;
  }
}

}  // namespace flashring::sm80

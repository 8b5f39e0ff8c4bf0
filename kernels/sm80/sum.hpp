// The row rule sum: y_i += k(i,j) x_j for the own side, y_j += k(i,j) x_i for the visiting one.
//
// Steps for a piece of 32 visiting rows: weights of the thread's row in registers; stored where they are needed in
// shared memory; for each 8 columns the sums of both sides in the working precision, those of the own side added to its
// state in fp64. Cost for each pair: the weight once, and one multiply-add for each column and side (fold.hpp).
#pragma once

#include "sm80/fold.hpp"

namespace flashring::sm80 {

template <PairKind kind, class T, class Points, class Thread>
FLASHRING_DEVICE void fold_piece(Rule<RowKind::sum> /*rule*/, Thread &t, const WaveArguments &a,
                                 const PointsPairView<T, Points> &p, int first) {
  const Shared<T> s = cut_shared<T>(t.shared());
  T w[piece_rows];
  weigh<kind, false>(t, p.x, p.y, first, a.features, a.constants, s.features, w);
  if (p.tested) hide(t, a.mask, p.masked, p.own, p.visiting, first, T(0), w);
  if (has_visiting(p.sides) || a.columns > register_values)
    store_weights(t, w, s.weights, [](T weight) { return weight; });
  fold_columns<false>(t, Piece<T>{p, s, p.sides, first, a.columns, 0, {}}, w);
}

/// Row i of visiting tile j: its state (words, T) takes the slots of all own tiles in their order.
template <class Next>
FLASHRING_DEVICE void merge_row(Rule<RowKind::sum> /*rule*/, int words, int i, double *state, Next next) {
  for (int at = i; at < words * tile_rows; at += tile_rows) {
    double sum = state[at];
    next([&](const double *slot) { sum += slot[at]; });
    state[at] = sum;
  }
}

}  // namespace flashring::sm80

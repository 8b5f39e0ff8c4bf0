// The row rule softmax_gradient: a piece of 32 visiting rows at a time, weights p and then ds in shared memory.
//
// Steps: p of the thread's row; where the visiting side is served its sums of p b_i; products <b_i, v_j>; ds in the
// place of p; sums of ds with the first columns for both sides (fold.hpp). The visiting side goes through slots, as
// that of rule sum. Cost for each pair, with d features and c columns: d + (c - d) multiply-adds and an exponential,
// then d for the own side and c for the visiting one. Source: Dao et al., arXiv:2205.14135.
#pragma once

#include "sm80/scores.hpp"

namespace flashring::sm80 {

template <PairKind kind, class T, class Points, class Thread>
FLASHRING_DEVICE void fold_piece(Rule<RowKind::softmax_gradient> /*rule*/, Thread &t, const WaveArguments &a,
                                 const PointsPairView<T, Points> &p, int first) {
  const Shared<T> s = cut_shared<T>(t.shared());
  constexpr T infinity = static_cast<T>(__builtin_inf());
  const T saved = p.own_scalars[t.thread()];
  const T delta = p.own_scalars[tile_rows + t.thread()];
  const T lse = saved > -infinity ? saved * static_cast<T>(log2_of_e) : infinity;  // a row that sees nothing gives none
  T w[piece_rows];
  score_piece<kind>(t, a, p, s, first, w);
  store_weights(t, w, s.weights, [lse](T l) { return exp2_word<Thread>(l - lse); });
  if (has_visiting(p.sides)) fold_range(t, Piece<T>{p, s, Sides::visiting, first, a.columns, 0, {}}, w, a.features);
  multiply_values(t, a, p, s, first, w);
  T *const mine = row_of(t, s.weights);
  FLASHRING_UNROLL
  for (int j = 0; j < piece_rows; ++j) mine[j] *= w[j] - delta;
  t.sync_warp();
  fold_range(t, Piece<T>{p, s, p.sides, first, a.features, 0, {}}, w, 0);
}

}  // namespace flashring::sm80

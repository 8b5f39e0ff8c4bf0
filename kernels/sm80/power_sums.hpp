// The row rules power_sums and threshold_sum, of the own side alone: powers of a piece of 32 visiting rows replace
// their scores in shared memory, then serve all columns. Cost for each pair: a logarithm and an exponential, and a
// multiply-add for each column, two for threshold_sum.
#pragma once

#include "sm80/scores.hpp"

namespace flashring::sm80 {

/// The scores in `p` become y^e; `u` takes y^(e-1) where it is not null. The state takes the sums of both, and that of
/// y^(e-2). `t`, `room`, `e_minus_2`: threshold, 1 - t, e - 2 of the row.
template <class Thread, class T>
FLASHRING_DEVICE void form_powers(T t, T room, T e_minus_2, T *p, T *u, bool counts, double *state) {
  T p_sum = 0, u_sum = 0, v_sum = 0;
  FLASHRING_UNROLL_4
  for (int j = 0; j < piece_rows; ++j) {
    const auto powers = three_powers<ThresholdPower::any, Math<Thread, T>>(p[j] - t, p[j] + room, e_minus_2);
    p_sum += powers.p;
    u_sum += powers.u;
    v_sum += powers.v;
    p[j] = powers.p;
    if (u != nullptr) u[j] = powers.u;
  }
  if (!counts) return;
  state[0] += static_cast<double>(p_sum);
  state[tile_rows] += static_cast<double>(u_sum);
  state[2 * tile_rows] += static_cast<double>(v_sum);
}

/// Returns whether a score of the thread's row is above the left end of its threshold. `second`: sums with y^(e-1) too.
template <PairKind kind, bool second, class T, class Points, class Thread>
FLASHRING_DEVICE bool fold_powers(Thread &t, const WaveArguments &a, const PointsPairView<T, Points> &p, int first) {
  Shared<T> s = cut_shared<T>(t.shared());
  const auto number = [&](int n) { return p.own_scalars[n * tile_rows + t.thread()]; };
  const T factor = number(0), top = number(1), left_room = number(4);
  T w[piece_rows];
  score_piece<kind>(t, a, p, s, first, w);
  bool above = false;
  FLASHRING_UNROLL
  for (int j = 0; j < piece_rows; ++j) {
    w[j] = factor * (w[j] - top);
    above = above || w[j] + left_room > 0;
  }
  const bool counts = t.thread() < p.own.rows;
  store_weights(t, w, s.weights, [](T z) { return z; });
  form_powers<Thread>(number(2), number(3), number(5), row_of(t, s.weights), second ? row_of(t, s.others) : nullptr,
                      counts, p.state + t.thread());
  constexpr int sums = Rule<RowKind::power_sums>::sums;
  fold_range(t, Piece<T>{p, s, Sides::own, first, a.columns, sums, {}}, w, 0);
  if constexpr (second) {
    s.weights = s.others;
    fold_range(t, Piece<T>{p, s, Sides::own, first, a.columns, sums + a.columns, {}}, w, 0);
  }
  return above && counts;
}

template <PairKind kind, class T, class Points, class Thread>
FLASHRING_DEVICE bool fold_piece(Rule<RowKind::power_sums> /*rule*/, Thread &t, const WaveArguments &a,
                                 const PointsPairView<T, Points> &p, int first) {
  return fold_powers<kind, false>(t, a, p, first);
}

template <PairKind kind, class T, class Points, class Thread>
FLASHRING_DEVICE bool fold_piece(Rule<RowKind::threshold_sum> /*rule*/, Thread &t, const WaveArguments &a,
                                 const PointsPairView<T, Points> &p, int first) {
  return fold_powers<kind, true>(t, a, p, first);
}

}  // namespace flashring::sm80

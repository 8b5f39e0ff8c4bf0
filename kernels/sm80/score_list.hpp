// The row rule score_list, of the own side alone: each thread appends to the list of its own row in its state, in
// global memory, in the order of visiting rows, so that the list does not depend on how threads run. Cost for each
// pair: 5 operations, and a store for a score that is listed; a row that sums scores of a piece takes the powers of all
// of it.
#pragma once

#include "sm80/power_sums.hpp"

namespace flashring::sm80 {

/// Returns whether a score of the thread's row is above the left end of its threshold.
template <PairKind kind, class T, class Points, class Thread>
FLASHRING_DEVICE bool fold_piece(Rule<RowKind::score_list> /*rule*/, Thread &t, const WaveArguments &a,
                                 const PointsPairView<T, Points> &p, int first) {
  const Shared<T> s = cut_shared<T>(t.shared());
  const auto number = [&](int n) { return p.own_scalars[n * tile_rows + t.thread()]; };
  const T factor = number(0), top = number(1), left_room = number(4), low = number(6), high = number(7);
  const bool counts = t.thread() < p.own.rows;
  T w[piece_rows];
  score_piece<kind>(t, a, p, s, first, w);
  bool above = false;
  bool sums = false;
  FLASHRING_UNROLL
  for (int j = 0; j < piece_rows; ++j) {
    const T z = factor * (w[j] - top);
    const bool summed = z + high > 0;
    above = above || z + left_room > 0;
    sums = sums || summed;
    if (counts && !summed && z + low > 0)
      Rule<RowKind::score_list>::append(p.state + t.thread(), a.columns, tile_rows, static_cast<double>(w[j]));
    w[j] = summed ? z : -static_cast<T>(__builtin_inf());
  }
  store_weights(t, w, s.weights, [](T z) { return z; });
  if (sums)
    form_powers<Thread>(number(2), number(3), number(5), row_of(t, s.weights), static_cast<T *>(nullptr), counts,
                        p.state + t.thread());
  return above && counts;
}

template <class Next>
FLASHRING_DEVICE void merge_row(Rule<RowKind::score_list> /*rule*/, int words, int i, double *state, Next next) {
  using R = Rule<RowKind::score_list>;
  next([&](const double *other) { R::merge_row(words - R::sums - 1, tile_rows, state + i, other + i); });
}

}  // namespace flashring::sm80

// The row rule score_bins, of the own side alone: each thread keeps the histogram of its own row in its state, in
// global memory. The largest score of a piece of 32 visiting rows first raises the bins, so that its counts are made
// against a k_max that holds for the whole piece. Cost for each pair: 4 operations, and an addition in memory for a
// score that is within the bins.
#pragma once

#include "sm80/scores.hpp"

namespace flashring::sm80 {

/// Returns whether a score may be within one unit of the largest that its row has seen.
template <PairKind kind, class T, class Points, class Thread>
FLASHRING_DEVICE bool fold_piece(Rule<RowKind::score_bins> /*rule*/, Thread &t, const WaveArguments &a,
                                 const PointsPairView<T, Points> &p, int first) {
  using R = Rule<RowKind::score_bins>;
  T l[piece_rows];
  score_piece<kind>(t, a, p, cut_shared<T>(t.shared()), first, l);
  T top = -static_cast<T>(__builtin_inf());
  FLASHRING_UNROLL
  for (int j = 0; j < piece_rows; ++j) top = l[j] > top ? l[j] : top;
  if (t.thread() >= p.own.rows || !(top > -static_cast<T>(__builtin_inf()))) return false;
  const T factor = p.own_scalars[t.thread()];
  double *const state = p.state + t.thread();
  double *const counts = state + 2 * tile_rows;  // every T-th
  const bool near = R::near_top(static_cast<double>(factor * top), static_cast<double>(factor) * *state, a.columns);
  const auto highest = static_cast<double>(Thread::floor(factor * top));
  if (highest > state[tile_rows]) {
    R::raise(counts, a.columns, tile_rows, highest - state[tile_rows]);
    state[tile_rows] = highest;
  }
  if (static_cast<double>(top) > *state) *state = static_cast<double>(top);
  const T k_max = static_cast<T>(state[tile_rows]);
  FLASHRING_UNROLL
  for (int j = 0; j < piece_rows; ++j) {
    const T below = k_max - Thread::floor(factor * l[j]);
    if (below <= static_cast<T>(a.columns)) counts[static_cast<int>(below) * tile_rows] += 1;
  }
  return near;
}

template <class Next>
FLASHRING_DEVICE void merge_row(Rule<RowKind::score_bins> /*rule*/, int words, int i, double *state, Next next) {
  next([&](const double *other) { Rule<RowKind::score_bins>::merge_row(words - 3, tile_rows, state + i, other + i); });
}

}  // namespace flashring::sm80

// The row rule top_k: each thread keeps the list of its own row and holds it against 32 distances at a time.
//
// The visiting side is served as an own side, by a sweep of its own (serves_own_sides): lists need no slots. Cost for
// each pair: 2d operations and a comparison; what enters a list moves the places behind it in global memory, for some
// k (1 + ln(N / k)) of the N pairs of a row.
#pragma once

#include "sm80/fold.hpp"

namespace flashring::sm80 {

template <PairKind kind, class T, class Points, class Thread>
FLASHRING_DEVICE void fold_piece(Rule<RowKind::top_k> /*rule*/, Thread &t, const WaveArguments &a,
                                 const PointsPairView<T, Points> &p, int first) {
  using R = Rule<RowKind::top_k>;
  T q[piece_rows];
  accumulate<Formula<kind>::declaration.accumulate>(t, p.x, p.y, first, a.features, cut_shared<T>(t.shared()).features,
                                                    q);
  if (p.tested) hide(t, a.mask, p.masked, p.own, p.visiting, first, static_cast<T>(__builtin_inf()), q);
  if (t.thread() >= p.own.rows) return;
  const R::List list = R::list_of(p.state, tile_rows, static_cast<std::size_t>(t.thread()), a.columns);
  FLASHRING_UNROLL
  for (int j = 0; j < piece_rows; ++j) R::insert(list, static_cast<double>(q[j]), p.visiting.first.value + first + j);
}

/// The list of row i of a tile takes those of the same row of others.
template <class Next>
FLASHRING_DEVICE void merge_row(Rule<RowKind::top_k> /*rule*/, int words, int i, double *state, Next next) {
  using R = Rule<RowKind::top_k>;
  const auto row = static_cast<std::size_t>(i);
  const R::List list = R::list_of(state, tile_rows, row, words / 2);
  next([&](const double *other) {
    R::list_of(other, tile_rows, row, words / 2).each([&](double q, std::int64_t at) {
      return R::insert(list, q, at);
    });
  });
}

}  // namespace flashring::sm80

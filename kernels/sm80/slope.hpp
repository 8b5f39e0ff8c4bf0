// The row rule slope: each thread makes powers of the weights of its own row, 32 of them at a time.
//
// The visiting side is served as an own side, by a sweep of its own (serves_own_sides): sums need no slots. Cost for
// each pair and side: the logarithm of the weight; for each block of candidates, whole ones even where fewer are asked
// for, an exponential, and for each of them a product, an addition and a multiply-add.
#pragma once

#include "sm80/sum.hpp"

namespace flashring::sm80 {

/// The candidates of one exponential, from `first` on: sums over the piece go into the thread's states.
template <class T, class Thread>
FLASHRING_DEVICE void add_powers(Thread &t, const T (&w)[piece_rows], int first, int columns, double *state) {
  using R = Rule<RowKind::slope>;
  const T scale = static_cast<T>(slope_power(first) / 2);
  T sum[R::block], product[R::block];
  FLASHRING_UNROLL
  for (int l = 0; l < R::block; ++l) sum[l] = product[l] = 0;
  FLASHRING_UNROLL
  for (int j = 0; j < piece_rows; ++j) {
    const T root = exp2_word<Thread>(w[j] * scale);
    T power[R::block];
    power[0] = root * root;
    power[1] = power[0] * root;
    FLASHRING_UNROLL
    for (int l = 2; l < R::block; ++l) power[l] = power[l - 2] * power[l - 2];
    FLASHRING_UNROLL
    for (int l = 0; l < R::block; ++l) {
      sum[l] += power[l];
      product[l] = Thread::fma(power[l], -w[j], product[l]);
    }
  }
  FLASHRING_UNROLL
  for (int l = 0; l < R::block; ++l)
    if (first + l < columns) {
      double *const word = state + std::ptrdiff_t{first + l} * tile_rows + t.thread();
      *word += static_cast<double>(sum[l]);
      word[std::ptrdiff_t{columns} * tile_rows] += static_cast<double>(product[l]);
    }
}

template <PairKind kind, class T, class Points, class Thread>
FLASHRING_DEVICE void fold_piece(Rule<RowKind::slope> /*rule*/, Thread &t, const WaveArguments &a,
                                 const PointsPairView<T, Points> &p, int first) {
  T w[piece_rows];
  weigh<kind, true>(t, p.x, p.y, first, a.features, a.constants, cut_shared<T>(t.shared()).features, w);
  // Finite, so that the products of what is hidden are 0.
  if (p.tested) hide(t, a.mask, p.masked, p.own, p.visiting, first, T(-1e30), w);
  if (t.thread() >= p.own.rows) return;
  FLASHRING_ROLL
  for (int l = 0; l < a.columns; l += Rule<RowKind::slope>::block) add_powers(t, w, l, a.columns, p.state);
}

}  // namespace flashring::sm80

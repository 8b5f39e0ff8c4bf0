// The row rule threshold_gradient: what softmax_gradient does, with powers for exponentials. Scores stay in shared
// memory beside the weights, so that the powers of a pair, whose logarithms take many registers, are computed in a loop
// over the piece: once for p of the visiting side, once for u and r.
#pragma once

#include "sm80/scores.hpp"

namespace flashring::sm80 {

/// The visiting side has no sums of r: zeros in their words of the slot, for 32 visiting rows.
template <class T, class Thread>
FLASHRING_DEVICE void clear_parameters(Thread &t, const TilePairView<T> &p, int first, int columns) {
  const int row = first + t.lane();
  if (t.warp() < Rule<RowKind::threshold_gradient>::parameter_sums && row < p.visiting.rows)
    p.slot[std::ptrdiff_t{columns + t.warp()} * tile_rows + row] = 0;
}

/// The centred products in the place of the weights become ds; the state takes the sums of r of the three scales.
template <class T, class Thread>
FLASHRING_DEVICE void form_gradients(Thread &t, const RowPowers<Thread, T> &powers, const T *scores, T *products, T se,
                                     bool counts, double *state) {
  T tsallis = 0, none = 0, porous = 0;
  FLASHRING_ROLL
  for (int j = 0; j < piece_rows; ++j) {
    const auto weight = powers.at(scores[j]);
    const T centred = products[j];
    tsallis = Thread::fma(powers.template parameter<ThresholdScale::tsallis>(scores[j], weight, se), centred, tsallis);
    none = Thread::fma(powers.template parameter<ThresholdScale::none>(scores[j], weight, se), centred, none);
    porous = Thread::fma(powers.template parameter<ThresholdScale::porous>(scores[j], weight, se), centred, porous);
    products[j] = se * weight.u * centred;
  }
  t.sync_warp();
  if (!counts) return;
  state[0] += static_cast<double>(tsallis);
  state[tile_rows] += static_cast<double>(none);
  state[2 * tile_rows] += static_cast<double>(porous);
}

template <PairKind kind, class T, class Points, class Thread>
FLASHRING_DEVICE void fold_piece(Rule<RowKind::threshold_gradient> /*rule*/, Thread &t, const WaveArguments &a,
                                 const PointsPairView<T, Points> &p, int first) {
  const Shared<T> s = cut_shared<T>(t.shared());
  const auto number = [&](int n) { return p.own_scalars[n * tile_rows + t.thread()]; };
  const T factor = number(0), top = number(1), se = number(5), delta = number(6);
  const RowPowers<Thread, T> powers{number(2), number(3), number(4)};
  T *const mine = row_of(t, s.weights);
  T *const scores = row_of(t, s.others);
  T w[piece_rows];
  score_piece<kind>(t, a, p, s, first, w);
  FLASHRING_UNROLL
  for (int j = 0; j < piece_rows; ++j) scores[j] = factor * (w[j] - top);
  if (has_visiting(p.sides)) {
    FLASHRING_UNROLL_4
    for (int j = 0; j < piece_rows; ++j) mine[j] = powers.at(scores[j]).p;
    t.sync_warp();
    clear_parameters(t, p, first, a.columns);
    fold_range(t, Piece<T>{p, s, Sides::visiting, first, a.columns, 0, {}}, w, a.features);
  }
  multiply_values(t, a, p, s, first, w);
  FLASHRING_UNROLL
  for (int j = 0; j < piece_rows; ++j) mine[j] = w[j] - delta;
  form_gradients(t, powers, scores, mine, se, has_own(p.sides) && t.thread() < p.own.rows,
                 p.state + std::ptrdiff_t{a.columns} * tile_rows + t.thread());
  fold_range(t, Piece<T>{p, s, p.sides, first, a.features, 0, {}}, w, 0);
}

}  // namespace flashring::sm80

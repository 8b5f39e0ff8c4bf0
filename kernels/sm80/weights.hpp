// Weights of one own row and a piece of visiting rows: accumulate features, apply the formula.
// Written for a Thread that offers thread(), lane(), warp(), block(), sync(), sync_or(), sync_warp(), shared(),
// shuffle_xor(), the arithmetic words fma, sqrt, log2, log1p, ceil, floor, and of fp32 exp2, least, most, and on the
// tensor path what a warp does together (mma_bf16, load_matrices, transpose_matrix, pack_bf16) and asynchronous copies
// (copy_async, commit_copies, wait_copies): a device's own (primitives.hpp) or one that a test runs on a host.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

#include <device_word.hpp>

#include "flashring/pair.hpp"
#include "flashring/row.hpp"
#include "flashring/threshold.hpp"
#include "flashring/tile.hpp"
#include "sm80/tile_size.hpp"

namespace flashring::sm80 {

#include "flashring/pair_formulas.inc"
#include "flashring/row_rules.inc"
#include "formula_facts.hpp"
#include "threshold.hpp"

FLASHRING_DEVICE constexpr double exp2_coefficient(int k) {
  constexpr double c[] = {
#include "exp2_degree11.inc"
  };
  return c[k];
}

/// p 2^n, where n stands in the low bits of `shifted`, to which a number of that kind was added that leaves it there.
/// Bits: a whole number as wide; p's exponent begins at bit `first`.
template <class Bits, int first, class T>
FLASHRING_DEVICE T add_to_exponent(T p, T shifted) {
  Bits bits;
  Bits exponent;
  __builtin_memcpy(&bits, &p, sizeof(bits));
  __builtin_memcpy(&exponent, &shifted, sizeof(exponent));
  bits += exponent << first;
  __builtin_memcpy(&p, &bits, sizeof(p));
  return p;
}

/// The special unit's; below the smallest normal number 0.
template <class Thread>
FLASHRING_DEVICE float exp2_word(float x) {
  return Thread::exp2(x);
}

/// Adding 1.5 * 2^52 rounds to a whole number and leaves it in the low bits, so the exponent is one shift away. 0 below
/// the smallest normal number, infinity from 2^1024 on.
template <class Thread>
FLASHRING_DEVICE double exp2_word(double x) {
  constexpr double magic = 6755399441055744.0;
  constexpr double low = -1022;
  const double above = x < low ? low : x;
  const double clamped = above > 1024 ? 1024 : above;
  const double shifted = clamped + magic;
  const double f = clamped - (shifted - magic);
  double p = exp2_coefficient(11);
  FLASHRING_UNROLL
  for (int k = 10; k >= 0; --k) p = Thread::fma(p, f, exp2_coefficient(k));
  return x < low ? 0 : add_to_exponent<std::uint64_t, 52>(p, shifted);
}

/// The arithmetic policy of formula.hpp for one number.
template <class Thread, class T>
struct Math {
  using V = T;
  using Q = T;
  FLASHRING_DEVICE static T set(double a) { return static_cast<T>(a); }
  FLASHRING_DEVICE static T add(T a, T b) { return a + b; }
  FLASHRING_DEVICE static T mul(T a, T b) { return a * b; }
  FLASHRING_DEVICE static T fma(T a, T b, T c) { return Thread::fma(a, b, c); }
  FLASHRING_DEVICE static T neg(T a) { return -a; }
  FLASHRING_DEVICE static T sqrt(T a) { return Thread::sqrt(a > 0 ? a : T(0)); }
  FLASHRING_DEVICE static T exp2(T a) { return exp2_word<Thread>(a); }
  FLASHRING_DEVICE static T log2(T a) { return Thread::log2(a); }
  // What threshold.hpp asks for.
  FLASHRING_DEVICE static T log2_1p(T d, T y) {
    return y > T(0.5) ? Thread::log1p(d) * static_cast<T>(log2_of_e) : Thread::log2(y);
  }
  FLASHRING_DEVICE static T greatest(T a, T b) { return a > b ? a : b; }
  FLASHRING_DEVICE static T where_positive(T a, T b, T c) { return a > 0 ? b : c; }
};

/// One more feature. Distances are summed from differences, whatever the number of features.
template <class Thread, Accumulate accumulate, class T>
FLASHRING_DEVICE T add_feature(T x, T y, T q) {
  if constexpr (accumulate == Accumulate::inner) {
    return Thread::fma(x, y, q);
  } else {
    const T difference = x - y;
    return Thread::fma(difference, difference, q);
  }
}

/// q[j] times the scalars of own row thread() and visiting row j of a piece, which follow the features.
template <class T, class Points, class Thread>
FLASHRING_DEVICE void multiply_scalars(Thread &t, const Points &x, const Points &y, int first_row, int features,
                                       T *stage, T (&q)[piece_rows]) {
  t.sync();  // the last chunk has been read
  if (t.thread() < piece_rows) stage[t.thread()] = y.at(first_row + t.thread(), features);
  t.sync();
  const T own = x.at(t.thread(), features);
  FLASHRING_UNROLL
  for (int j = 0; j < piece_rows; ++j) q[j] *= own * stage[j];
}

/// q[j] of own row thread() and visiting row j of a piece.
/// x, y: features of the own and the visiting tile (points.hpp); first_row: of the piece in the visiting tile; stage:
/// (feature_chunk, piece_rows) shared. Cost for each pair: 2d operations (d for inner products), and one broadcast load
/// for 4 features in fp32.
template <Accumulate how, class T, class Points, class Thread>
FLASHRING_DEVICE void accumulate(Thread &t, const Points &x, const Points &y, int first_row, int features, T *stage,
                                 T (&q)[piece_rows]) {
  FLASHRING_UNROLL
  for (int j = 0; j < piece_rows; ++j) q[j] = 0;
  FLASHRING_ROLL
  for (int first = 0; first < features; first += feature_chunk) {
    const int count = features - first < feature_chunk ? features - first : feature_chunk;
    t.sync();  // the last chunk has been read
    FLASHRING_ROLL
    for (int n = t.thread(); n < count * piece_rows; n += tile_rows)
      stage[n] = y.at(first_row + n % piece_rows, first + n / piece_rows);
    t.sync();
    FLASHRING_ROLL
    for (int k = 0; k < count; ++k) {
      const T own = x.at(t.thread(), first + k);
      FLASHRING_UNROLL
      for (int j = 0; j < piece_rows; ++j) q[j] = add_feature<Thread, how>(own, stage[k * piece_rows + j], q[j]);
    }
  }
  if constexpr (Points::distance_scale != 1 && how != Accumulate::inner) {
    FLASHRING_UNROLL
    for (int j = 0; j < piece_rows; ++j) q[j] *= static_cast<T>(Points::distance_scale);
  }
}

/// The same with covariances, whose triangles follow the features: row k of them a chunk at a time, with the features
/// that it meets and feature k. Cost for each pair: five operations for each of the d(d+1)/2 numbers of a triangle.
/// Sums of a row of their own would be piece_rows more registers.
template <class T, class Points, class Thread>
FLASHRING_DEVICE void accumulate_covariances(Thread &t, const Points &x, const Points &y, int first_row, int features,
                                             T *stage, T (&q)[piece_rows]) {
  constexpr int chunk = (feature_chunk - 1) / 2;
  FLASHRING_UNROLL
  for (int j = 0; j < piece_rows; ++j) q[j] = 0;
  FLASHRING_ROLL
  for (int k = 0; k < features; ++k) {
    const T own = x.at(t.thread(), k);
    FLASHRING_ROLL
    for (int first = 0; first <= k; first += chunk) {
      const int count = k + 1 - first < chunk ? k + 1 - first : chunk;
      const int triangle = features + k * (k + 1) / 2 + first;
      t.sync();  // the last chunk has been read
      FLASHRING_ROLL
      for (int n = t.thread(); n < (2 * count + 1) * piece_rows; n += tile_rows) {
        const int line = n / piece_rows;  // feature k, then `count` features, then as many numbers
        const int number = line == 0 ? k : line <= count ? first + line - 1 : triangle + line - 1 - count;
        stage[n] = y.at(first_row + n % piece_rows, number);
      }
      t.sync();
      FLASHRING_ROLL
      for (int l = 0; l < count; ++l) {
        const T feature = x.at(t.thread(), first + l);
        const T number = x.at(t.thread(), triangle + l);
        const T *const features_there = stage + (1 + l) * piece_rows;
        const T *const numbers_there = features_there + count * piece_rows;
        FLASHRING_UNROLL
        for (int j = 0; j < piece_rows; ++j)
          q[j] = Thread::fma((number + numbers_there[j]) * (feature - features_there[j]), own - stage[j], q[j]);
      }
    }
  }
}

/// w[j] = k, or log2 k, of the same; arguments and cost as above, 2 for scalars, and the formula.
template <PairKind kind, bool logarithm, class T, class Points, class Thread>
FLASHRING_DEVICE void weigh(Thread &t, const Points &x, const Points &y, int first_row, int features,
                            const double *constants, T *stage, T (&w)[piece_rows]) {
  using F = Formula<kind>;
  using M = Math<Thread, T>;
  if constexpr (F::declaration.accumulate == Accumulate::covariance)
    accumulate_covariances(t, x, y, first_row, features, stage, w);
  else
    accumulate<F::declaration.accumulate>(t, x, y, first_row, features, stage, w);
  if constexpr (F::declaration.scalars > 0) multiply_scalars(t, x, y, first_row, features, stage, w);
  FLASHRING_UNROLL
  for (int j = 0; j < piece_rows; ++j) {
    if constexpr (logarithm)
      w[j] = F::template log2_weight<M>(w[j], constants);
    else
      w[j] = F::template weight<M>(w[j], constants);
  }
}

/// Weights of padding, and of pairs that a mask removes, become `hidden`. `first`: row of the visiting tile at j = 0.
template <class T, class Thread>
FLASHRING_DEVICE void hide(Thread &t, const Mask &mask, bool masked, const TileInfo &own, const TileInfo &visiting,
                           int first, T hidden, T (&w)[piece_rows]) {
  const int i = t.thread();
  FLASHRING_UNROLL
  for (int j = 0; j < piece_rows; ++j) {
    const bool real = i < own.rows && first + j < visiting.rows;
    const bool seen = !masked || visible(mask, own.first.value + i, visiting.first.value + first + j);
    if (!real || !seen) w[j] = hidden;
  }
}

}  // namespace flashring::sm80

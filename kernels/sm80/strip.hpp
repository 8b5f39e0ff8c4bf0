// The weights of 16 own rows and 8N visiting rows in the registers of one warp, as the tensor unit leaves its sums, and
// what is done with them there.
//
// Accumulators of mma m16n8k16, and those of wgmma for each of its warps, give lane l of block n the elements
//
//   own row l/4 + 8 (e/2),  visiting row 8n + 2 (l % 4) + e % 2,   e = 0 .. 3
//
// so 4 lanes (a quad) share 2 own rows, and 8 lanes (l % 4 the same) share 2N visiting rows. Steps: hide or set what is
// special, apply the formula where the numbers are, sum over own or visiting rows. Sums over a row end in a quad and
// are added there once in a sweep; sums over a column are turned round between the 8 lanes, half of them at each
// exchange. Cost of a pair: the formula, and one multiply-add for each side; 14 exchanges for 16 columns of a lane.
// Every order of additions is fixed. Reference: PTX manual, matrix fragments for mma.m16n8k16 and wgmma.
#pragma once

#include "sm80/exponential.hpp"
#include "sm80/weights.hpp"

namespace flashring::sm80 {

constexpr int strip_rows = 16;

/// Where element e of block n lies for a lane, within the strip.
constexpr int strip_row(int lane, int e) { return lane / 4 + e / 2 * 8; }
constexpr int strip_column(int lane, int n, int e) { return 8 * n + lane % 4 * 2 + e % 2; }

template <int N>
struct Strip {
  float v[N][4];  // (blocks, elements)
};

/// Where a strip lies in its pair of tiles.
struct StripPlace {
  int own = 0;       ///< row of the own tile
  int visiting = 0;  ///< row of the visiting tile
};

/// Two neighbouring numbers, loaded at once.
struct alignas(8) Two {
  float v[2];
};

template <int N>
FLASHRING_DEVICE void clear(Strip<N> &s) {
  FLASHRING_UNROLL
  for (int n = 0; n < N; ++n) {
    FLASHRING_UNROLL
    for (int e = 0; e < 4; ++e) s.v[n][e] = 0;
  }
}

/// The arithmetic policy of formula.hpp for one accumulator, which holds -q for distances (`negated`), q for inner
/// products; taking the sign back is part of the operation that reads it.
template <class Thread, bool negated, bool polynomial>
struct StripMath {
  using V = float;
  struct Q {
    float accumulator;
  };
  FLASHRING_DEVICE static float value(Q q) { return negated ? -q.accumulator : q.accumulator; }
  FLASHRING_DEVICE static float set(double a) { return static_cast<float>(a); }
  FLASHRING_DEVICE static float add(float a, float b) { return a + b; }
  FLASHRING_DEVICE static float add(float a, Q b) { return negated ? a - b.accumulator : a + b.accumulator; }
  FLASHRING_DEVICE static float mul(float a, float b) { return a * b; }
  FLASHRING_DEVICE static float fma(float a, float b, float c) { return Thread::fma(a, b, c); }
  FLASHRING_DEVICE static float fma(Q a, float b, float c) { return Thread::fma(value(a), b, c); }
  FLASHRING_DEVICE static float neg(float a) { return -a; }
  FLASHRING_DEVICE static float neg(Q a) { return negated ? a.accumulator : -a.accumulator; }
  FLASHRING_DEVICE static float sqrt(Q a) { return Thread::sqrt(Thread::most(value(a), 0.0F)); }
  FLASHRING_DEVICE static float exp2(float a) { return polynomial ? exp2_polynomial<Thread>(a) : exp2_word<Thread>(a); }
  FLASHRING_DEVICE static float log2(float a) { return Thread::log2(a); }
};

/// Exponentials of arguments that are there already, `share` of 16 as polynomials.
template <int share, class Thread>
FLASHRING_DEVICE float shared_exp2(int n, float x) {
  return takes_polynomial(n, share) ? exp2_polynomial<Thread>(x) : exp2_word<Thread>(x);
}

/// The formula of one pair function on a strip: k, or log2 k.
template <PairKind kind, bool logarithm, int share, class Thread, int N>
FLASHRING_DEVICE void apply_formula(const double *constants, Strip<N> &s) {
  using F = Formula<kind>;
  constexpr bool negated = F::declaration.accumulate != Accumulate::inner;
  using Special = StripMath<Thread, negated, false>;
  using Polynomial = StripMath<Thread, negated, true>;
  FLASHRING_UNROLL
  for (int n = 0; n < N; ++n) {
    FLASHRING_UNROLL
    for (int e = 0; e < 4; ++e) {
      float &v = s.v[n][e];
      if constexpr (logarithm)
        v = F::template log2_weight<Special>({v}, constants);
      else if (takes_polynomial(4 * n + e, share))
        v = F::template weight<Polynomial>({v}, constants);
      else
        v = F::template weight<Special>({v}, constants);
    }
  }
}

/// The same for `S` strips and a pair function that is known at run time: one branch for all their pairs of points, so
/// that one kernel serves all pair functions and is compiled once. Pair functions that need differences do not come
/// here.
template <bool logarithm, int share, class Thread, int N, int S>
FLASHRING_DEVICE void apply_formula(PairKind kind, const double *constants, Strip<N> (&strips)[S]) {
  switch (kind) {
#define FLASHRING_PAIR(name)                                                                                     \
  case PairKind::name:                                                                                           \
    if constexpr (!needs_differences(Formula<PairKind::name>::declaration.accumulate)) {                         \
      FLASHRING_UNROLL                                                                                           \
      for (int s = 0; s < S; ++s) apply_formula<PairKind::name, logarithm, share, Thread>(constants, strips[s]); \
    }                                                                                                            \
    break;
#include "flashring/pair_list.inc"
#undef FLASHRING_PAIR
  }
}

/// How far the number of visiting row j lies beyond that of own row i, less j - i; beyond the reach of two tiles the
/// nearest number that says the same. So masks compare 32-bit numbers inside a pair of tiles.
constexpr int row_shift(const TileInfo &own, const TileInfo &visiting) {
  const std::int64_t shift = visiting.first.value - own.first.value;
  return static_cast<int>(shift < -tile_rows ? -tile_rows : shift > tile_rows ? tile_rows : shift);
}

/// Numbers of padding, and of pairs that a mask removes, become `hidden`. What counts of a row are its columns up to a
/// limit, and of these all but one, so an element takes two comparisons with constants.
template <class Thread, int N>
FLASHRING_DEVICE void hide(Thread &t, const Mask &mask, bool masked, const TileInfo &own, const TileInfo &visiting,
                           StripPlace place, float hidden, Strip<N> &s) {
  const int lane = t.lane();
  const int j = place.visiting + strip_column(lane, 0, 0);
  int limit[2];  // (rows of a lane) columns from here on are hidden, counted from j
  int self[2];   // (rows of a lane) and this one
  FLASHRING_UNROLL
  for (int h = 0; h < 2; ++h) {
    const int i = place.own + strip_row(lane, 2 * h);
    const int same_number = i - j - row_shift(own, visiting);
    const int real = i < own.rows ? visiting.rows - j : 0;
    limit[h] = masked && mask.causal && same_number + 1 < real ? same_number + 1 : real;
    self[h] = masked && mask.exclude_self ? same_number : -1;
  }
  FLASHRING_UNROLL
  for (int n = 0; n < N; ++n) {
    FLASHRING_UNROLL
    for (int e = 0; e < 4; ++e) {
      const int right = strip_column(0, n, e);
      if (right >= limit[e / 2] || right == self[e / 2]) s.v[n][e] = hidden;
    }
  }
}

/// A point and itself: accumulators of rows with the same number become 0 where same[i] is not. same: (T) of own rows
template <class Thread, int N>
FLASHRING_DEVICE void clear_same(Thread &t, const unsigned char *same, int shift, StripPlace place, Strip<N> &s) {
  const int lane = t.lane();
  const int j = place.visiting + strip_column(lane, 0, 0);
  int self[2];  // (rows of a lane) the column with its number, counted from j
  FLASHRING_UNROLL
  for (int h = 0; h < 2; ++h) {
    const int i = place.own + strip_row(lane, 2 * h);
    self[h] = same[i] != 0 ? i - j - shift : -1;
  }
  FLASHRING_UNROLL
  for (int n = 0; n < N; ++n) {
    FLASHRING_UNROLL
    for (int e = 0; e < 4; ++e)
      if (strip_column(0, n, e) == self[e / 2]) s.v[n][e] = 0;
  }
}

/// Own side, one column: sum[s][h] takes the weights of own row strip_row(lane, 2h) of strip s times their columns'
/// values. Strips lie one under the other; values: of their first visiting row on
template <class Thread, int N, int S>
FLASHRING_DEVICE void add_rows(Thread &t, const Strip<N> (&w)[S], const float *values, float (&sum)[S][2]) {
  const int lane = t.lane();
  FLASHRING_UNROLL
  for (int n = 0; n < N; ++n) {
    const Two x = *reinterpret_cast<const Two *>(values + strip_column(lane, n, 0));
    FLASHRING_UNROLL
    for (int s = 0; s < S; ++s) {
      FLASHRING_UNROLL
      for (int e = 0; e < 4; ++e) sum[s][e / 2] = Thread::fma(w[s].v[n][e], x.v[e % 2], sum[s][e / 2]);
    }
  }
}

/// Visiting side, one column: sum[n] takes the weights of the lane's two columns times the values of its two own rows.
template <class Thread, int N>
FLASHRING_DEVICE void add_columns(const Strip<N> &w, const float (&x)[2], Two (&sum)[N]) {
  FLASHRING_UNROLL
  for (int n = 0; n < N; ++n) {
    FLASHRING_UNROLL
    for (int e = 0; e < 4; ++e) sum[n].v[e % 2] = Thread::fma(w.v[n][e], x[e / 2], sum[n].v[e % 2]);
  }
}

/// The sum over a quad, which holds a row; the same bits in all of its lanes.
template <class Thread, class T>
FLASHRING_DEVICE T sum_of_quad(Thread &t, T x) {
  x += t.shuffle_xor(x, 1);
  return x + t.shuffle_xor(x, 2);
}

template <class Thread>
FLASHRING_DEVICE float greatest_of_quad(Thread &t, float x) {
  x = Thread::most(x, t.shuffle_xor(x, 1));
  return Thread::most(x, t.shuffle_xor(x, 2));
}

/// One exchange of sum_of_columns: of 2M blocks a lane keeps one half, which takes the same half of the lane `distance`
/// away, and gives away the other.
template <int M, class Thread, int N>
FLASHRING_DEVICE void exchange_half(Thread &t, int distance, Two (&sum)[N]) {
  const int lane = t.lane();
  const bool upper = (lane & distance) != 0;
  FLASHRING_UNROLL
  for (int n = 0; n < M; ++n) {
    FLASHRING_UNROLL
    for (int p = 0; p < 2; ++p) {
      const float kept = upper ? sum[n + M].v[p] : sum[n].v[p];
      const float given = upper ? sum[n].v[p] : sum[n + M].v[p];
      sum[n].v[p] = kept + t.shuffle_xor(given, distance);
    }
  }
}

/// The sums of columns over the 8 lanes that share them, turned round: block n < N/8 of a lane is afterwards the block
/// summed_block(lane, n) of the strip, whole.
template <class Thread, int N>
FLASHRING_DEVICE void sum_of_columns(Thread &t, Two (&sum)[N]) {
  static_assert(N % 8 == 0, "a lane keeps whole blocks");
  exchange_half<N / 2>(t, 16, sum);
  exchange_half<N / 4>(t, 8, sum);
  exchange_half<N / 8>(t, 4, sum);
}
constexpr int summed_block(int N, int lane, int n) { return lane / 4 * (N / 8) + n; }

/// Log-sum-exp, own side: logarithms s become 2^(s - reference) with the row's whole reference, which is raised first
/// where one of them is larger. Returns in `scale` what older sums of the rows are multiplied with: powers of two.
template <int share, class Thread, int N>
FLASHRING_DEVICE void exponentials_of_rows(Thread &t, Strip<N> &s, float (&reference)[2], float (&scale)[2]) {
  FLASHRING_UNROLL
  for (int h = 0; h < 2; ++h) {
    float top = reference[h];
    FLASHRING_UNROLL
    for (int n = 0; n < N; ++n) top = Thread::most(top, Thread::most(s.v[n][2 * h], s.v[n][2 * h + 1]));
    top = Thread::ceil(greatest_of_quad(t, top));
    // Below 2^-126 the older sums are nothing beside the new ones.
    scale[h] = exp2_polynomial<Thread>(reference[h] - top);
    reference[h] = top;
    FLASHRING_UNROLL
    for (int n = 0; n < N; ++n) {
      FLASHRING_UNROLL
      for (int e = 2 * h; e < 2 * h + 2; ++e) s.v[n][e] = shared_exp2<share, Thread>(4 * n + e, s.v[n][e] - top);
    }
  }
}

}  // namespace flashring::sm80

// Few features, one value or a few: what a lane holds and how a warp shares it.
//
// A lane holds own rows lane, lane + 32, + 64 and + 96 of its block's tile with all their features, so that each of the
// four warps holds the whole own tile and takes 32 of the 128 visiting rows, its part of the visiting tile. These lie
// in shared memory as (visiting row, features and values), and one load of 16 bytes serves four pairs. The 32 rows come
// in groups of 8. In place j of a group a lane works on row j ^ (lane % 8), so that sums of the visiting side are
// handed from lane to lane without a choice: place j of one lane and place j ^ m of lane ^ m are the same row. 7
// exchanges give each lane the sum of 8 lanes for its own row of the group, 2 more the sum of all (reduce_places).
//
// Values are what weights are multiplied with: for the rule sum the columns, for log-sum-exp 1 and then the columns. In
// place of the 1, which nobody needs to read, stands the log weight of the row in units of log2.
#pragma once

#include "sm80/exponential.hpp"
#include "sm80/fold.hpp"

namespace flashring::sm80 {

/// What one load takes.
struct alignas(16) Quad {
  float value[4];
};

/// Quads of a staged row of D features and NC values.
template <int D, int NC>
constexpr int quads = (D + NC + 3) / 4;

/// Quads from one staged row to the next: an odd number, so that the 8 rows of a group lie in different banks.
template <int D, int NC>
constexpr int row_quads = quads<D, NC> | 1;

/// Number k of a row of D: features, zeros, and where the pair function has scalars (S = 1) the row's as the last one.
template <int D, int S, class At>
FLASHRING_DEVICE float padded_number(const WaveArguments &a, int k, At at) {
  if (S > 0 && k == D - 1) return at(a.features);
  return k < a.features ? at(k) : 0;
}

/// The own rows of a lane: features and scalar, and values for the visiting side.
template <int D, int NC>
struct OwnRows {
  float x[lane_rows][D];
  float value[lane_rows][NC];
};

/// The values of a row. Only what the rule reads is read: columns from 0 on, or scalars and then columns.
template <RowKind row, int NC>
FLASHRING_DEVICE void load_values(const float *columns, const float *scalars, int count, int at, float (&value)[NC]) {
  constexpr int first = row == RowKind::logsumexp ? 1 : 0;
  if constexpr (first == 1) value[0] = scalars[at] * static_cast<float>(log2_of_e);
  FLASHRING_UNROLL
  for (int c = first; c < NC; ++c) value[c] = c < count ? columns[(c - first) * tile_rows + at] : 0;
}

/// Rows of the own tile; no values where the call does not serve the visiting side.
template <RowKind row, int S, int D, int NC, class Thread>
FLASHRING_DEVICE void load_own(Thread &t, const WaveArguments &a, int tile, OwnRows<D, NC> &own) {
  const float *x = tile_values<float>(a.own.payload, tile, a.row_numbers);    // (d + s, T)
  const float *columns = tile_values<float>(a.own.columns, tile, a.columns);  // (c, T)
  const float *scalars = tile_values<float>(a.own.pass_scalars, tile, 1);     // (T)
  FLASHRING_UNROLL
  for (int r = 0; r < lane_rows; ++r) {
    const int i = t.lane() + r * warp_rows;
    FLASHRING_UNROLL
    for (int k = 0; k < D; ++k) own.x[r][k] = padded_number<D, S>(a, k, [&](int at) { return x[at * tile_rows + i]; });
    FLASHRING_UNROLL
    for (int c = 0; c < NC; ++c) own.value[r][c] = 0;
    if (has_visiting(a.sides)) load_values<row>(columns, scalars, values_of(row, a.columns), i, own.value[r]);
  }
}

/// The visiting row of lane() into the warp's part of shared memory; no values where the own side is not served.
/// stage: (warp_rows, row_quads).
template <RowKind row, int S, int D, int NC, class Thread>
FLASHRING_DEVICE void stage_row(Thread &t, const WaveArguments &a, const PointsPairView<float, PlainPoints<float>> &p,
                                Quad *stage) {
  const int j = t.warp() * warp_rows + t.lane();
  float value[NC] = {};
  if (has_own(p.sides)) load_values<row>(p.visiting_columns, p.visiting_scalars, values_of(row, a.columns), j, value);
  Quad numbers[quads<D, NC>] = {};
  FLASHRING_UNROLL
  for (int k = 0; k < D; ++k)
    numbers[k / 4].value[k % 4] = padded_number<D, S>(a, k, [&](int at) { return p.y.at(j, at); });
  FLASHRING_UNROLL
  for (int c = 0; c < NC; ++c) numbers[(D + c) / 4].value[(D + c) % 4] = value[c];
  t.sync_warp();  // the last rows have been read
  FLASHRING_UNROLL
  for (int n = 0; n < quads<D, NC>; ++n) stage[t.lane() * row_quads<D, NC> + n] = numbers[n];
  t.sync_warp();
}

/// What groups need of a pair of tiles: little, since registers are short. For masks that is how far the visiting
/// tile's first row lies behind the own tile's: less than T either way where a mask cuts through the pair, and unread
/// elsewhere.
struct FewPair {
  double *slot;  // (words, T) of the visiting side
  int own_rows;
  int visiting_rows;
  int offset;
  Sides sides;
  bool masked;
  bool tested;
};

template <class T>
FLASHRING_DEVICE FewPair brief(const TilePairView<T> &p) {
  const auto offset = static_cast<int>(p.visiting.first.value - p.own.first.value);
  return {p.slot, p.own.rows, p.visiting.rows, offset, p.sides, p.masked, p.tested};
}

/// A group of 8 visiting rows as a lane sees it.
template <int D, int NC>
struct Group {
  const Quad *rows;  // (group_rows, row_quads)
  int first;         ///< visiting row
  int turn;          ///< lane % 8

  FLASHRING_DEVICE const Quad *row(int place) const { return rows + (place ^ turn) * row_quads<D, NC>; }
  FLASHRING_DEVICE float value(int place, int c) const { return row(place)[(D + c) / 4].value[(D + c) % 4]; }
  FLASHRING_DEVICE int visiting_row(int place) const { return first + (place ^ turn); }
};

/// p[j], which is about place j -> over all 32 lanes what is about the lane's own row of the group, place 0. `merge`
/// commutes, so that the four lanes with the same row get the same bits.
template <class Thread, class Merge>
FLASHRING_DEVICE float reduce_places(Thread &t, float (&p)[group_rows], Merge merge) {
  FLASHRING_UNROLL
  for (int half = group_rows / 2; half > 0; half /= 2) {
    FLASHRING_UNROLL
    for (int j = 0; j < half; ++j) p[j] = merge(p[j], t.shuffle_xor(p[j + half], half));
  }
  FLASHRING_UNROLL
  for (int mask = group_rows; mask < warp_rows; mask *= 2) p[0] = merge(p[0], t.shuffle_xor(p[0], mask));
  return p[0];
}

/// `value`, which is about the lane's own row of the group, into the slot: one of the four lanes that have it writes.
template <int D, int NC, class Thread>
FLASHRING_DEVICE void write_slot(Thread &t, const FewPair &p, const Group<D, NC> &g, int word, float value) {
  const int row = g.visiting_row(0);
  if (t.lane() < group_rows && row < p.visiting_rows) p.slot[word * tile_rows + row] = static_cast<double>(value);
}

/// Sums over own rows of weights times value c, c < count, into the slot. `ones`: value 0 is 1, and the slot's first
/// word is the reference.
template <bool ones, int D, int NC, class Thread>
FLASHRING_DEVICE void fold_group_visiting(Thread &t, const FewPair &p, const OwnRows<D, NC> &own, const Group<D, NC> &g,
                                          int count, const float (&w)[group_rows][lane_rows]) {
  FLASHRING_UNROLL
  for (int c = 0; c < NC; ++c) {
    if (c >= count) break;
    float sum[group_rows];
    FLASHRING_UNROLL
    for (int j = 0; j < group_rows; ++j) {
      sum[j] = 0;
      FLASHRING_UNROLL
      for (int r = 0; r < lane_rows; ++r)
        sum[j] = ones && c == 0 ? sum[j] + w[j][r] : Thread::fma(w[j][r], own.value[r][c], sum[j]);
    }
    const float total = reduce_places(t, sum, [](float a, float b) { return a + b; });
    write_slot(t, p, g, c + (ones ? 1 : 0), total);
  }
}

/// w[j][r] = k, or log2 k, of own row r of the lane and place j. `polynomials` of the 32 pairs take the polynomial.
template <PairKind kind, bool logarithm, int polynomials, int D, int NC, class Thread>
FLASHRING_DEVICE void weigh_group(const WaveArguments &a, const OwnRows<D, NC> &own, const Group<D, NC> &g,
                                  float (&w)[group_rows][lane_rows]) {
  using F = Formula<kind>;
  constexpr int features = D - F::declaration.scalars;
  constexpr int pairs = group_rows * lane_rows;
  FLASHRING_UNROLL
  for (int j = 0; j < group_rows; ++j) {
    Quad y[quads<D, NC>];
    FLASHRING_UNROLL
    for (int n = 0; n < quads<D, NC>; ++n) y[n] = g.row(j)[n];
    FLASHRING_UNROLL
    for (int r = 0; r < lane_rows; ++r) {
      float q = 0;
      FLASHRING_UNROLL
      for (int k = 0; k < features; ++k)
        q = add_feature<Thread, F::declaration.accumulate>(own.x[r][k], y[k / 4].value[k % 4], q);
      if constexpr (features < D) q *= own.x[r][features] * y[features / 4].value[features % 4];
      const int n = j * lane_rows + r;
      if constexpr (logarithm)
        w[j][r] = F::template log2_weight<Math<Thread, float>>(q, a.constants);
      else if ((n + 1) * polynomials / pairs > n * polynomials / pairs)
        w[j][r] = F::template weight<PolynomialMath<Thread>>(q, a.constants);
      else
        w[j][r] = F::template weight<Math<Thread, float>>(q, a.constants);
    }
  }
}

/// Weights of padding, and of pairs that a mask removes, become `hidden`.
template <int D, int NC, class Thread>
FLASHRING_DEVICE void hide_group(Thread &t, const Mask &mask, const FewPair &p, const Group<D, NC> &g, float hidden,
                                 float (&w)[group_rows][lane_rows]) {
  FLASHRING_UNROLL
  for (int j = 0; j < group_rows; ++j) {
    const int row = g.visiting_row(j);
    FLASHRING_UNROLL
    for (int r = 0; r < lane_rows; ++r) {
      const int i = t.lane() + r * warp_rows;
      const bool real = i < p.own_rows && row < p.visiting_rows;
      const bool seen = !p.masked || visible(mask, i, p.offset + row);
      if (!real || !seen) w[j][r] = hidden;
    }
  }
}

}  // namespace flashring::sm80

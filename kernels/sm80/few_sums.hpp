// Few features: how the two row rules fold a group of 8 visiting rows into the sums of a lane's own rows (OwnSums) and
// into the slot of the visiting side. What a lane holds: few_rows.hpp.
#pragma once

#include "sm80/few_rows.hpp"
#include "sm80/logsumexp.hpp"

namespace flashring::sm80 {

/// Issue slots of a pair beside its exponential: features, the formula's own, a multiply-add for each value and side;
/// for 4 pairs the loads of a visiting row and 2 for its address; for 32 pairs 9 exchanges between lanes and as many
/// additions for each value of the visiting side.
template <PairKind kind, int D, int NC>
constexpr Slots few_slots(Sides sides) {
  constexpr bool inner = Formula<kind>::declaration.accumulate == Accumulate::inner;
  Slots slots = formula_slots<kind>();
  slots.issued += (inner ? 1 : 2) * D + (quads<D, NC> + 2.0) / lane_rows;
  if (has_own(sides)) slots.issued += NC;
  if (has_visiting(sides)) slots.issued += NC * (1 + 18.0 / (group_rows * lane_rows));
  return slots;
}

/// Of the 32 pairs of a lane and a group, how many take the polynomial.
template <PairKind kind, int D, int NC>
constexpr int polynomials_of(Sides sides) {
  const Slots slots = few_slots<kind, D, NC>(sides);
  return static_cast<int>(polynomial_share(slots.issued, slots.special, polynomial_slots) * group_rows * lane_rows +
                          0.5);
}

/// Sums of a lane's own rows over the warp's part of a visiting tile, in the working precision. References are those
/// of log-sum-exp, whole numbers: sums are in units of 2^reference.
template <int NC>
struct OwnSums {
  float sum[lane_rows][NC] = {};
  float reference[lane_rows];
};

/// Sums over the sweep in fp64, in shared memory: they are touched once a visiting tile and would take twice as many
/// registers as the sums of the tile.
struct SweepSums {
  double *total;      // (NC, warps, T)
  double *reference;  // (warps, T), of log-sum-exp
};

/// 2^n for a whole n <= 0; 0 below the normal numbers.
template <class Thread>
FLASHRING_DEVICE float short_power_of_two(float n) {
  const auto exponent = static_cast<std::int32_t>(Thread::most(n, -127));
  const std::uint32_t bits = static_cast<std::uint32_t>(exponent + 127) << 23;
  float power;
  __builtin_memcpy(&power, &bits, sizeof(power));
  return power;
}

/// Where own row r of the lane has its numbers in (warps, T).
template <class Thread>
FLASHRING_DEVICE int sweep_place(Thread &t, int r) {
  return t.warp() * tile_rows + r * warp_rows + t.lane();
}

template <RowKind row, int NC, class Thread>
FLASHRING_DEVICE void start_sweep(Thread &t, const SweepSums &sweep, OwnSums<NC> &sums) {
  FLASHRING_UNROLL
  for (int r = 0; r < lane_rows; ++r) {
    FLASHRING_UNROLL
    for (int c = 0; c < NC; ++c) sweep.total[c * warps * tile_rows + sweep_place(t, r)] = 0;
    sums.reference[r] = lowest_reference<float>;
    if constexpr (row == RowKind::logsumexp)
      sweep.reference[sweep_place(t, r)] = static_cast<double>(lowest_reference<float>);
  }
}

/// The sums of a visiting tile into those of the sweep.
template <RowKind row, int NC, class Thread>
FLASHRING_DEVICE void carry(Thread &t, OwnSums<NC> &sums, const SweepSums &sweep) {
  FLASHRING_UNROLL
  for (int r = 0; r < lane_rows; ++r) {
    const int place = sweep_place(t, r);
    double scale = 1;
    if constexpr (row == RowKind::logsumexp) {
      const double reference = static_cast<double>(sums.reference[r]);
      scale = Rule<RowKind::logsumexp>::power_of_two(sweep.reference[place] - reference);
      sweep.reference[place] = reference;
    }
    FLASHRING_UNROLL
    for (int c = 0; c < NC; ++c) {
      double &total = sweep.total[c * warps * tile_rows + place];
      total = total * scale + static_cast<double>(sums.sum[r][c]);
      sums.sum[r][c] = 0;
    }
  }
}

template <PairKind kind, int D, int NC, class Thread>
FLASHRING_DEVICE void fold_group(Rule<RowKind::sum> /*rule*/, Thread &t, const WaveArguments &a, const FewPair &p,
                                 const OwnRows<D, NC> &own, const Group<D, NC> &g, OwnSums<NC> &sums) {
  constexpr int one = polynomials_of<kind, D, NC>(Sides::own);
  constexpr int two = polynomials_of<kind, D, NC>(Sides::both);
  float w[group_rows][lane_rows];
  if (one == two || p.sides != Sides::both)
    weigh_group<kind, false, one, D, NC, Thread>(a, own, g, w);
  else
    weigh_group<kind, false, two, D, NC, Thread>(a, own, g, w);
  if (p.tested) hide_group(t, a.mask, p, g, 0, w);
  if (has_own(p.sides)) {
    FLASHRING_UNROLL
    for (int j = 0; j < group_rows; ++j) {
      FLASHRING_UNROLL
      for (int c = 0; c < NC; ++c) {
        const float value = g.value(j, c);
        FLASHRING_UNROLL
        for (int r = 0; r < lane_rows; ++r) sums.sum[r][c] = Thread::fma(w[j][r], value, sums.sum[r][c]);
      }
    }
  }
  if (has_visiting(p.sides)) fold_group_visiting<false>(t, p, own, g, a.columns, w);
}

/// Own side of log-sum-exp: references rise to the group's maxima, and the sums so far are scaled.
template <int D, int NC, class Thread>
FLASHRING_DEVICE void fold_group_own(const Group<D, NC> &g, const float (&l)[group_rows][lane_rows],
                                     OwnSums<NC> &sums) {
  FLASHRING_UNROLL
  for (int r = 0; r < lane_rows; ++r) {
    float w[group_rows];
    float top = lowest_reference<float>;
    FLASHRING_UNROLL
    for (int j = 0; j < group_rows; ++j) {
      w[j] = l[j][r] + g.value(j, 0);
      top = Thread::most(top, w[j]);
    }
    const float before = sums.reference[r];
    sums.reference[r] = Thread::most(before, Thread::ceil(top));
    const float scale = short_power_of_two<Thread>(before - sums.reference[r]);
    FLASHRING_UNROLL
    for (int c = 0; c < NC; ++c) sums.sum[r][c] *= scale;
    FLASHRING_UNROLL
    for (int j = 0; j < group_rows; ++j) {
      w[j] = exp2_word<Thread>(w[j] - sums.reference[r]);
      sums.sum[r][0] += w[j];
      FLASHRING_UNROLL
      for (int c = 1; c < NC; ++c) sums.sum[r][c] = Thread::fma(w[j], g.value(j, c), sums.sum[r][c]);
    }
  }
}

/// Visiting side of log-sum-exp: logarithms become exponentials against each visiting row's whole maximum over the own
/// tile, which all lanes learn: the reference of place j is with lane ^ j. It goes into the slot.
template <int D, int NC, class Thread>
FLASHRING_DEVICE void exponentials_of_places(Thread &t, const FewPair &p, const OwnRows<D, NC> &own,
                                             const Group<D, NC> &g, float (&w)[group_rows][lane_rows]) {
  float top[group_rows];
  FLASHRING_UNROLL
  for (int j = 0; j < group_rows; ++j) {
    top[j] = lowest_reference<float>;
    FLASHRING_UNROLL
    for (int r = 0; r < lane_rows; ++r) {
      w[j][r] += own.value[r][0];
      top[j] = Thread::most(top[j], w[j][r]);
    }
  }
  const float most = reduce_places(t, top, [](float a, float b) { return Thread::most(a, b); });
  const float reference = Thread::ceil(most);
  write_slot(t, p, g, 0, reference);
  FLASHRING_UNROLL
  for (int j = 0; j < group_rows; ++j) {
    const float of_place = j == 0 ? reference : t.shuffle_xor(reference, j);
    FLASHRING_UNROLL
    for (int r = 0; r < lane_rows; ++r) w[j][r] = exp2_word<Thread>(w[j][r] - of_place);
  }
}

template <PairKind kind, int D, int NC, class Thread>
FLASHRING_DEVICE void fold_group(Rule<RowKind::logsumexp> /*rule*/, Thread &t, const WaveArguments &a, const FewPair &p,
                                 const OwnRows<D, NC> &own, const Group<D, NC> &g, OwnSums<NC> &sums) {
  float w[group_rows][lane_rows];
  weigh_group<kind, true, 0, D, NC, Thread>(a, own, g, w);
  if (p.tested) hide_group(t, a.mask, p, g, -static_cast<float>(__builtin_inf()), w);
  if (has_own(p.sides)) fold_group_own<D, NC, Thread>(g, w, sums);
  if (has_visiting(p.sides)) {
    exponentials_of_places(t, p, own, g, w);
    fold_group_visiting<true>(t, p, own, g, a.columns + 1, w);
  }
}

/// What the warps' sums and the state are multiplied with before they are added.
struct WarpScales {
  double warp[warps] = {1, 1, 1, 1};
  Scales state;
};

/// The state's reference becomes that of all warps and itself. reference: that of own row thread() in (warps, T).
template <class Real>
FLASHRING_DEVICE WarpScales merge_references(const Real *reference, Real &state) {
  Real top = reference[0];
  FLASHRING_UNROLL
  for (int w = 1; w < warps; ++w) top = reference[w * tile_rows] > top ? reference[w * tile_rows] : top;
  WarpScales scales;
  FLASHRING_UNROLL
  for (int w = 0; w < warps; ++w)
    scales.warp[w] = Rule<RowKind::logsumexp>::power_of_two(reference[w * tile_rows] - top);
  scales.state = raise_reference(state, top);
  return scales;
}

/// The sums of the sweep into the state of the own tile: own row thread(), in the order of the warps.
template <RowKind row, class Thread>
FLASHRING_DEVICE void add_to_state(Thread &t, const WaveArguments &a, int own_tile, const SweepSums &sweep) {
  constexpr int first_word = row == RowKind::logsumexp ? 1 : 0;
  double *state = reinterpret_cast<double *>(a.own.state) + tile_offset(own_tile, a.words) + t.thread();
  t.sync();
  if (t.thread() >= a.own.tiles[own_tile].rows) return;
  WarpScales scales;
  if constexpr (row == RowKind::logsumexp) scales = merge_references(sweep.reference + t.thread(), *state);
  for (int c = 0; c < values_of(row, a.columns); ++c) {
    const double *total = sweep.total + c * warps * tile_rows + t.thread();
    double sum = 0;
    FLASHRING_UNROLL
    for (int w = 0; w < warps; ++w) sum += total[w * tile_rows] * scales.warp[w];
    double &word = state[(first_word + c) * tile_rows];
    word = word * scales.state.before + sum * scales.state.now;
  }
}

}  // namespace flashring::sm80

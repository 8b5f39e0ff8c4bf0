// Few features in fp32, one value or a few: the tuned form of the path that adds no tensor cores.
//
// A block of four warps has one own tile and goes over the visiting tiles that are due. Each lane holds four own rows,
// each warp takes a quarter of the visiting rows and works by itself: no synchronisation of the block before the
// sweep's end, when the warps' sums meet in shared memory and are added to the state once. Sums of 32 visiting rows
// (own side) or 128 own rows (visiting side) are in the working precision, then in fp64. Few things are loaded for a
// pair, no weight goes through memory, and a share of the exponentials takes a polynomial (exponential.hpp).
//
// Steps for a visiting tile: the warp's 32 rows into shared memory; for each 8 of them weights with the lane's own rows
// by differences of features; both sides' sums (few_rows.hpp, few_sums.hpp); own sums to fp64. Features are padded to
// D, values to NC, with zeros. Cost of a pair: 2 D operations (D for inner products), the formula, a multiply-add for
// each value and side, (D + NC)/16 loads, and for each value of the visiting side 18/32 for exchanges between lanes. No
// atomics, and an order of additions that depends on the arguments alone.
#pragma once

#include "sm80/few_sums.hpp"

namespace flashring::sm80 {

/// Shared memory: staged rows of all warps, then sums of the sweep.
template <RowKind row, int D, int NC>
constexpr std::size_t few_shared_bytes() {
  constexpr std::size_t numbers = NC + (row == RowKind::logsumexp ? 1 : 0);
  return sizeof(Quad) * tile_rows * row_quads<D, NC> + sizeof(double) * numbers * warps * tile_rows;
}

/// Block i: own tile i of the wave with all its visiting tiles, in their order. Features and scalars <= D,
/// values_of(...) <= NC.
template <PairKind kind, RowKind row, int D, int NC, class Thread>
FLASHRING_DEVICE void fold_wave_few(Thread &t, const WaveArguments &a) {
  constexpr int stride = row_quads<D, NC>;
  constexpr int scalars = Formula<kind>::declaration.scalars;
  Quad *staged = reinterpret_cast<Quad *>(t.shared());  // (T, stride)
  double *totals = reinterpret_cast<double *>(staged + tile_rows * stride);
  const SweepSums sweep = {totals, totals + NC * warps * tile_rows};
  const int own_tile = a.wave.own_first + t.block();
  const int part = t.warp() * warp_rows;
  Quad *stage = staged + part * stride;  // (warp_rows, stride)
  OwnRows<D, NC> own;
  load_own<row, scalars>(t, a, own_tile, own);
  OwnSums<NC> sums;
  start_sweep<row>(t, sweep, sums);
  FLASHRING_ROLL
  for (int j = 0; j < a.wave.visiting_count; ++j) {
    const Visibility seen = pair_visibility(a, own_tile, a.wave.visiting_first + j);
    if (seen == Visibility::none) continue;
    const auto view = view_pair<row, float, PlainPoints<float>>(a, t.block(), j, seen);
    const FewPair p = brief(view);
    if (part >= p.visiting_rows) continue;
    stage_row<row, scalars, D, NC>(t, a, view, stage);
    FLASHRING_ROLL
    for (int first = 0; first < warp_rows && part + first < p.visiting_rows; first += group_rows)
      fold_group<kind>(Rule<row>{}, t, a, p, own,
                       Group<D, NC>{stage + first * stride, part + first, t.lane() % group_rows}, sums);
    carry<row>(t, sums, sweep);
  }
  if (has_own(a.sides)) add_to_state<row>(t, a, own_tile, sweep);
}

}  // namespace flashring::sm80

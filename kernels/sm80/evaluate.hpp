// The bodies of the kernels, one thread's view of each.
#pragma once

#include "sm80/difference_product.hpp"
#include "sm80/logsumexp.hpp"
#include "sm80/power_sums.hpp"
#include "sm80/score_bins.hpp"
#include "sm80/score_list.hpp"
#include "sm80/slope.hpp"
#include "sm80/softmax_gradient.hpp"
#include "sm80/sum.hpp"
#include "sm80/threshold_gradient.hpp"
#include "sm80/top_k.hpp"

namespace flashring::sm80 {

/// All pieces of a pair of tiles.
template <PairKind kind, RowKind row, class T, class Points, class Thread>
FLASHRING_DEVICE void fold_pair(Rule<row> rule, Thread &t, const WaveArguments &a, const PointsPairView<T, Points> &p) {
  FLASHRING_ROLL
  for (int first = 0; first < p.visiting.rows; first += piece_rows) fold_piece<kind>(rule, t, a, p, first);
}

/// The same of a rule that notes tiles, whose fold_piece says whether the thread's row touches the piece. A block has
/// the bits of its own tile to itself.
template <PairKind kind, RowKind row, class T, class Points, class Thread>
FLASHRING_DEVICE void fold_noted_pair(Rule<row> rule, Thread &t, const WaveArguments &a,
                                      const PointsPairView<T, Points> &p, int visiting) {
  bool touched = false;
  FLASHRING_ROLL
  for (int first = 0; first < p.visiting.rows; first += piece_rows)
    touched = fold_piece<kind>(rule, t, a, p, first) || touched;
  if (a.touched == nullptr || !t.sync_or(touched) || t.thread() > 0) return;
  const std::int64_t own = a.wave.own_first + t.block();
  a.touched[own * kept_words(a.visiting_tiles) + visiting / 64] |= std::uint64_t{1} << (visiting % 64);
}

/// Block i: own tile i of the wave with all its visiting tiles, in their order.
template <PairKind kind, RowKind row, class T, class Points, class Thread>
FLASHRING_DEVICE void fold_wave(Thread &t, const WaveArguments &a) {
  FLASHRING_ROLL
  for (int j = 0; j < a.wave.visiting_count; ++j) {
    const Visibility seen =
        pair_visibility<has_own_sides_alone(row)>(a, a.wave.own_first + t.block(), a.wave.visiting_first + j);
    if (seen == Visibility::none) continue;
    const auto p = view_pair<row, T, Points>(a, t.block(), j, seen);
    if constexpr (notes_tiles(row))
      fold_noted_pair<kind>(Rule<row>{}, t, a, p, a.wave.visiting_first + j);
    else
      fold_pair<kind>(Rule<row>{}, t, a, p);
  }
}

/// Whether own tile i of the wave has written its slot for a visiting tile.
FLASHRING_DEVICE bool has_slot(const WaveArguments &a, int i, int visiting) {
  const int own = a.wave.own_first + i;
  return i < a.wave.own_count && has_visiting(sides_of(a.pattern, a.sides, own, visiting)) &&
         pair_visibility(a, own, visiting) != Visibility::none;
}

/// Blocks that add the slots of a wave: one for each visiting tile, and where words are summed by themselves one for
/// each of them, since few tiles with many words are a wave.
constexpr int add_blocks(RowKind row, const WaveArguments &a) {
  return a.wave.visiting_count * (state_rule(row) == RowKind::sum ? a.words : 1);
}

/// Block j words + w: word w of the slots of visiting tile j. Slots are read many at a time, so that one load does not
/// wait for the other, and added in their order.
template <class Thread>
FLASHRING_DEVICE void add_wave(Rule<RowKind::sum> /*rule*/, Thread &t, const WaveArguments &a) {
  const int j = t.block() / a.words;
  const int word = t.block() % a.words;
  const int visiting = a.wave.visiting_first + j;
  if (t.thread() >= a.visiting.tiles[visiting].rows) return;
  const std::ptrdiff_t at = word * tile_rows + t.thread();
  double *state = reinterpret_cast<double *>(a.visiting.state) + tile_offset(visiting, a.words) + at;
  double sum = *state;
  FLASHRING_ROLL
  for (int first = 0; first < a.wave.own_count; first += slots_at_once) {
    double value[slots_at_once];
    FLASHRING_UNROLL
    for (int n = 0; n < slots_at_once; ++n)
      value[n] = has_slot(a, first + n, visiting) ? a.slots[slot_offset(a.wave, first + n, j, a.words) + at] : 0;
    FLASHRING_UNROLL
    for (int n = 0; n < slots_at_once; ++n) sum += value[n];
  }
  *state = sum;
}

/// Block j: the slots of visiting tile j, whose words belong together.
template <RowKind row, class Thread>
FLASHRING_DEVICE void add_wave(Rule<row> rule, Thread &t, const WaveArguments &a) {
  const int visiting = a.wave.visiting_first + t.block();
  if (t.thread() >= a.visiting.tiles[visiting].rows) return;
  const auto each_slot = [&](auto take) {
    for (int i = 0; i < a.wave.own_count; ++i)
      if (has_slot(a, i, visiting)) take(a.slots + slot_offset(a.wave, i, t.block(), a.words));
  };
  double *state = reinterpret_cast<double *>(a.visiting.state) + tile_offset(visiting, a.words);
  merge_row(rule, a.words, t.thread(), state, each_slot);
}

/// Block b: the states of tile b.
template <RowKind row, class Thread>
FLASHRING_DEVICE void merge_states(Thread &t, int words, double *into, const double *from) {
  const std::int64_t tile = tile_offset(t.block(), words);
  merge_row(Rule<row>{}, words, t.thread(), into + tile, [&](auto take) { take(from + tile); });
}

/// The rule's identity of one row, by value to the device: word w is that of all rows, whatever their order within it.
struct Identity {
  double words[identity_words] = {};
};

/// `identity` as in RowRule. Columns beyond max_columns have sums alone.
template <class Make>
Identity make_identity(const TileShape &shape, Make identity) {
  Identity one;
  const int columns = shape.columns < max_columns ? shape.columns : max_columns;
  identity(shape.pass, columns, 1, reinterpret_cast<std::byte *>(one.words));
  return one;
}

template <class Thread>
FLASHRING_DEVICE void reset_states(Thread &t, int words, const Identity &identity, double *states) {
  double *state = states + tile_offset(t.block(), words) + t.thread();
  for (int w = 0; w < words; ++w) state[w * tile_rows] = w < identity_words ? identity.words[w] : 0;
}

}  // namespace flashring::sm80

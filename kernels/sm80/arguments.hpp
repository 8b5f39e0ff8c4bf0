// What a launch is given, and the loops over the sweeps of a call and their waves, which devices and their emulation
// share.
#pragma once

#include <cstdint>
#include <utility>

#include <device_word.hpp>

#include "flashring/row.hpp"
#include "flashring/tile.hpp"
#include "sm80/path.hpp"
#include "sm80/tensor_steps.hpp"
#include "sm80/waves.hpp"

namespace flashring::sm80 {

/// Which pairs of a launch, (own, visiting), are those of the call the other way round.
enum class Exchange : std::uint8_t {
  none,
  all,             ///< own and visiting tiles are the call's visiting and own ones
  below_diagonal,  ///< of a square those with own > visiting, which its pattern leaves to the visiting side
};

constexpr bool is_exchanged(Exchange exchange, std::int32_t own, std::int32_t visiting) {
  return exchange == Exchange::all || (exchange == Exchange::below_diagonal && own > visiting);
}

/// Of one wave. Pointers are the device's.
struct WaveArguments {
  TileSide own;
  TileSide visiting;
  Wave wave;
  Mask mask;
  const std::uint64_t *kept = nullptr;  // (own tiles, kept_words(visiting_tiles)) of the call
  std::uint64_t *touched = nullptr;     // the same, of rules that note tiles; or null
  std::int32_t visiting_tiles = 0;      ///< of the call
  PairPattern pattern = PairPattern::rectangle;
  Exchange exchange = Exchange::none;
  Sides sides = Sides::own;
  PairKind kind = PairKind::gaussian;
  PieceLayout layout;  ///< of the payload, on the tensor path
  TensorShared shared;
  int features = 0;
  int row_numbers = 0;  ///< features and scalars
  int columns = 0;
  int words = 0;             ///< of a state
  double constants[4] = {};  ///< of the formula
  double *slots = nullptr;   // (own_count, visiting_count, words, T)
};

/// Whether the call asks for a pair of tiles, by the call's own name of it.
constexpr bool is_asked_by_name(const WaveArguments &a, std::int32_t own, std::int32_t visiting) {
  return is_due(a.pattern, own, visiting) && is_kept(a.kept, a.visiting_tiles, own, visiting);
}

/// The same by the launch's name. A branch for each: chosen indices would take registers that log-sum-exp has not.
constexpr bool is_asked(const WaveArguments &a, std::int32_t own, std::int32_t visiting) {
  return is_exchanged(a.exchange, own, visiting) ? is_asked_by_name(a, visiting, own)
                                                 : is_asked_by_name(a, own, visiting);
}

/// Whether a pair of tiles is folded, and whether its pairs of points are tested: the launch that writes slots and the
/// one that reads them ask alike. Masks of exchanged pairs are the same both ways. Kernels that are never given any
/// (`exchanges` false) do not spend registers on them.
template <bool exchanges = false>
constexpr Visibility pair_visibility(const WaveArguments &a, std::int32_t own, std::int32_t visiting) {
  if (!(exchanges ? is_asked(a, own, visiting) : is_asked_by_name(a, own, visiting))) return Visibility::none;
  return visibility(a.mask, a.own.tiles[own], a.visiting.tiles[visiting]);
}

/// The first number of a tile in an array of `words` numbers a row; null stays null.
template <class T>
FLASHRING_EVERYWHERE const T *tile_values(const std::byte *array, std::int64_t tile, std::int64_t words) {
  return array == nullptr ? nullptr : reinterpret_cast<const T *>(array) + tile_offset(tile, words);
}

/// Everything but the wave. `words`: of a state.
inline WaveArguments make_arguments(const BlockCall &call, int words) {
  WaveArguments a;
  a.own = call.own;
  a.visiting = call.visiting;
  a.mask = call.shape.mask;
  a.kept = call.kept;
  a.touched = call.touched;
  a.visiting_tiles = call.visiting_tiles;
  a.pattern = call.pattern;
  a.sides = call.sides;
  a.kind = call.shape.pair.kind;
  a.layout = layout_of(call.shape);
  a.shared = tensor_shared(a.layout);
  a.features = call.shape.features;
  a.row_numbers = row_numbers(call.shape);
  a.columns = call.shape.columns;
  a.words = words;
  a.slots = reinterpret_cast<double *>(call.scratch);
  set_constants(call.shape.pair, a.constants);
  return a;
}

/// Calls use(arguments, waves) for each sweep of a call, one after the other: one for the sides that were asked, or
/// where `serves_own_sides` says so one for the own side of each state. Of a square the state is one, and its own side
/// takes the pairs below the diagonal, too.
template <class Use>
void for_each_sweep(Variant variant, const BlockCall &call, int words, Use use) {
  WaveArguments a = make_arguments(call, words);
  if (!serves_own_sides(variant, call.shape, call.sides))
    return use(a, make_waves(call.own_tiles, call.visiting_tiles, call.sides, words));
  a.sides = Sides::own;
  const bool one_state = call.pattern == PairPattern::square && call.sides == Sides::both;
  if (one_state) a.exchange = Exchange::below_diagonal;
  if (has_own(call.sides)) use(a, make_waves(call.own_tiles, call.visiting_tiles, Sides::own, words));
  if (one_state) return;
  a.exchange = Exchange::all;
  std::swap(a.own, a.visiting);
  use(a, make_waves(call.visiting_tiles, call.own_tiles, Sides::own, words));
}

/// Calls fold(arguments) and then, where the visiting side is served, add_slots(arguments), wave after wave.
template <class Fold, class AddSlots>
void for_each_wave(WaveArguments a, const Waves &waves, Fold fold, AddSlots add_slots) {
  for (std::int64_t n = 0; n < waves.count(); ++n) {
    a.wave = waves.at(n);
    if (!has_work(a.pattern, a.wave)) continue;
    fold(a);
    if (has_visiting(a.sides)) add_slots(a);
  }
}

}  // namespace flashring::sm80

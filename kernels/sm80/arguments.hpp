// What a launch is given, and the loop over the waves of a call, which devices and their emulation share.
#pragma once

#include <cstdint>

#include <device_word.hpp>

#include "flashring/row.hpp"
#include "flashring/tile.hpp"
#include "sm80/path.hpp"
#include "sm80/tensor_steps.hpp"
#include "sm80/waves.hpp"

namespace flashring::sm80 {

/// Of one wave. Pointers are the device's.
struct WaveArguments {
  TileSide own;
  TileSide visiting;
  Wave wave;
  Mask mask;
  const std::uint64_t *kept = nullptr;  // (own tiles, kept_words(visiting_tiles))
  std::int32_t visiting_tiles = 0;
  PairPattern pattern = PairPattern::rectangle;
  Sides sides = Sides::own;
  PairKind kind = PairKind::gaussian;
  PieceLayout layout;  ///< of the payload, on the tensor path
  TensorShared shared;
  int features = 0;
  int columns = 0;
  int words = 0;             ///< of a state
  double constants[4] = {};  ///< of the formula
  double *slots = nullptr;   // (own_count, visiting_count, words, T)
};

/// Whether a pair of tiles is folded, and whether its pairs of points are tested: the launch that writes slots and the
/// one that reads them ask alike.
constexpr Visibility pair_visibility(const WaveArguments &a, std::int32_t own, std::int32_t visiting) {
  if (!is_due(a.pattern, own, visiting) || !is_kept(a.kept, a.visiting_tiles, own, visiting)) return Visibility::none;
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
  a.visiting_tiles = call.visiting_tiles;
  a.pattern = call.pattern;
  a.sides = call.sides;
  a.kind = call.shape.pair.kind;
  a.layout = layout_of(call.shape);
  a.shared = tensor_shared(a.layout);
  a.features = call.shape.features;
  a.columns = call.shape.columns;
  a.words = words;
  a.slots = reinterpret_cast<double *>(call.scratch);
  set_constants(call.shape.pair, a.constants);
  return a;
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

// How a block call is cut into launches, and where things lie: index arithmetic alone, tested on hosts.
//
// The visiting side is summed without atomics. A wave is own_count x visiting_count tiles. Block i of its launch folds
// own tile own_first + i with all visiting tiles, and writes what visiting tile j gets into slot (i, j), a state of
// (words, T) doubles. A second launch adds the slots of each visiting tile in the order of i. Waves follow each other
// in the order of their numbers: so each state gets its additions in an order that the arguments decide.
// Calls for the own side alone need no slots and are one wave.
#pragma once

#include <cstddef>
#include <cstdint>

#include "flashring/tile.hpp"
#include "sm80/tile_size.hpp"

namespace flashring::sm80 {

/// Where tile `tile` begins in an array of `words` numbers a row.
constexpr std::int64_t tile_offset(std::int64_t tile, std::int64_t words) { return tile * words * tile_rows; }

/// Visiting tiles of a wave whose states have that many words.
constexpr std::int32_t slots_per_own_tile(int words) {
  const std::size_t row = std::size_t{8} * tile_rows * wave_own_tiles * static_cast<std::size_t>(words);
  return row == 0 || slot_budget < row ? 1 : static_cast<std::int32_t>(slot_budget / row);
}

constexpr std::size_t slot_bytes(int words) {
  return std::size_t{8} * tile_rows * static_cast<std::size_t>(words) * wave_own_tiles *
         static_cast<std::size_t>(slots_per_own_tile(words));
}

/// Own tiles [own_first, own_first + own_count) with visiting tiles [visiting_first, visiting_first + visiting_count).
struct Wave {
  std::int32_t own_first = 0;
  std::int32_t own_count = 0;
  std::int32_t visiting_first = 0;
  std::int32_t visiting_count = 0;
};

/// Where slot (i, j) of a wave begins, i and j counted from its first tiles.
constexpr std::int64_t slot_offset(const Wave &wave, std::int32_t i, std::int32_t j, int words) {
  return tile_offset(std::int64_t{i} * wave.visiting_count + j, words);
}

/// All waves of a call: (own, visiting) tiles in steps, the last of each direction ragged; visiting runs faster.
struct Waves {
  std::int32_t own_tiles = 0;
  std::int32_t visiting_tiles = 0;
  std::int32_t own_step = 1;
  std::int32_t visiting_step = 1;

  static constexpr std::int64_t steps(std::int64_t tiles, std::int64_t step) { return (tiles + step - 1) / step; }
  constexpr std::int64_t count() const { return steps(own_tiles, own_step) * steps(visiting_tiles, visiting_step); }
  constexpr Wave at(std::int64_t n) const {
    const std::int64_t across = steps(visiting_tiles, visiting_step);
    const std::int64_t own = n / across * own_step;
    const std::int64_t visiting = n % across * visiting_step;
    return {static_cast<std::int32_t>(own), least(own_tiles - own, own_step), static_cast<std::int32_t>(visiting),
            least(visiting_tiles - visiting, visiting_step)};
  }

 private:
  static constexpr std::int32_t least(std::int64_t left, std::int32_t step) {
    return left < step ? static_cast<std::int32_t>(left) : step;
  }
};

constexpr std::int32_t at_least_one(std::int32_t n) { return n > 1 ? n : 1; }

constexpr Waves make_waves(std::int32_t own_tiles, std::int32_t visiting_tiles, Sides sides, int words) {
  if (!has_visiting(sides)) return {own_tiles, visiting_tiles, at_least_one(own_tiles), at_least_one(visiting_tiles)};
  return {own_tiles, visiting_tiles, wave_own_tiles, slots_per_own_tile(words)};
}

/// False where the pattern leaves no pair of a wave: below the diagonal of a square. (Half of a rectangle leaves
/// nothing of some single pairs; their launch finds that out.)
constexpr bool has_work(PairPattern pattern, const Wave &wave) {
  return pattern != PairPattern::square || wave.own_first < wave.visiting_first + wave.visiting_count;
}

/// The sides that a pair of tiles serves; a tile of a square with itself gives all its pairs to the own side.
constexpr Sides sides_of(PairPattern pattern, Sides sides, std::int64_t own, std::int64_t visiting) {
  return pattern == PairPattern::square && own == visiting ? Sides::own : sides;
}

}  // namespace flashring::sm80

// The steps in which the chunks of a pair of tiles go through shared memory, and where they lie there: index arithmetic
// alone, tested on hosts.
//
// A crossed step has the three pieces of 16 features of both tiles, for all six products. A straight step has up to
// three chunks of each tile, of which each own chunk meets the visiting chunk of the same place. In the folded form own
// chunks are resident and a step has visiting chunks alone.
#pragma once

#include "sm80/pieces.hpp"

namespace flashring::sm80 {

struct TensorStep {
  int first = 0;  ///< crossed: first chunk of both tiles; straight: first product of PieceLayout::chunk_pair
  int count = 0;  ///< chunks of each tile
  bool crossed = false;
};

constexpr int crossed_steps(const PieceLayout &layout) {
  return !layout.folded && layout.pieces == 3 ? layout.feature_chunks() : 0;
}
constexpr int straight_chunks(const PieceLayout &layout) { return layout.folded ? folded_stage_chunks : stage_pieces; }

constexpr int steps_of(const PieceLayout &layout) {
  const int straight = layout.chunk_products() - crossed_steps(layout) * products_of(layout.pieces);
  const int each = straight_chunks(layout);
  return crossed_steps(layout) + (straight + each - 1) / each;
}

constexpr TensorStep step_at(const PieceLayout &layout, int n) {
  const int crossed = crossed_steps(layout);
  if (n < crossed) return {n * stage_pieces, stage_pieces, true};
  const int each = straight_chunks(layout);
  const int first = crossed * products_of(layout.pieces) + (n - crossed) * each;
  const int left = layout.chunk_products() - first;
  return {first, left < each ? left : each, false};
}

/// The i-th chunks of a step, counted within a tile: those of PieceLayout::chunk_pair, without its table of products,
/// which a device would have to keep in memory.
constexpr ChunkPair chunks_of(const PieceLayout &layout, const TensorStep &step, int i) {
  const int n = step.first + i;
  if (step.crossed) return {n, n};
  if (layout.folded) return {n, layout.role_chunks() + n};
  const int features = layout.feature_chunks() * layout.pieces;
  const bool norms = layout.norms && n == layout.chunk_products() - 1;
  return norms ? ChunkPair{features, features + 1} : ChunkPair{n, n};
}

/// Shared memory of a block on the tensor path, in bytes from its beginning. Passed to the device, where it takes no
/// registers.
struct TensorShared {
  int own = 0;     ///< own chunks, in the folded form (role chunks, chunk)
  int stage = 0;   ///< (stages, chunks of a stage, chunk)
  int values = 0;  ///< (stages, T) numbers of the visiting tiles that are on their way
  int same = 0;    ///< (T) bytes: whether an own row meets itself
  int fold = 0;    ///< what the row rule needs
  int stage_bytes = 0;
  int steps = 0;  ///< of a pair of tiles
};

/// Chunks of the visiting tile lie after those of the own one in a stage.
constexpr int stage_own_chunks(const PieceLayout &layout) { return layout.folded ? 0 : stage_pieces; }

constexpr TensorShared tensor_shared(const PieceLayout &layout) {
  TensorShared s;
  s.stage_bytes = (stage_own_chunks(layout) + straight_chunks(layout)) * chunk_bytes;
  s.stage = s.own + (layout.folded ? layout.role_chunks() * chunk_bytes : 0);
  s.values = s.stage + stages * s.stage_bytes;
  s.same = s.values + stages * tile_rows * static_cast<int>(sizeof(float));
  s.fold = s.same + tile_rows;
  s.steps = steps_of(layout);
  return s;
}

}  // namespace flashring::sm80

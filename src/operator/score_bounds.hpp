// What is known of scores before any is computed: which pairs of tiles can hold one near the largest of a row, and how
// far apart those of a row can be.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "flashring/communicator.hpp"
#include "flashring/ring.hpp"
#include "flashring/tile_block.hpp"

namespace flashring {

/// Bounds for the scores of a row.
struct ScoreRange {
  double apart = 0;  ///< of the largest less the smallest
  double size = 0;   ///< of |x|
};

/// Scores x_ij = ln k_ij + g_j, g the pass scalar of `sources`; keys with g = -infinity are not there. Certain for the
/// scores as the backend rounds them. Nothing is known for pair functions other than inner_exp, for precision reduced
/// and for devices.
class ScoreBounds {
 public:
  /// Looks at the keys of all ranks. Collective; the blocks must live as long.
  ScoreBounds(const Communicator &communicator, const TileShape &shape, TileBlock &own, TileBlock &sources,
              int threads);
  ~ScoreBounds();

  /// Nothing below may be called if not.
  bool known() const { return keys_ != nullptr; }
  /// (local rows of `own`), whatever they see.
  std::vector<ScoreRange> ranges() const;
  /// A bit is 0 where no row of the own tile sees a score in the visiting one that is near its largest, as where g is
  /// -infinity for the whole tile; near: s_i x_ij > s_i max_j x_ij - width, `s` > 0 of the local rows of `own`.
  TileBits near_pairs(std::span<const double> s, double width) const;

 private:
  struct Keys;
  const Communicator &communicator_;
  const TileShape shape_;
  TileBlock &own_;
  TileBlock &sources_;
  int threads_;
  std::unique_ptr<Keys> keys_;
};

}  // namespace flashring

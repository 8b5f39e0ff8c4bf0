// TileArrays in the memory of a device, and one block call on them: what a caller of Device has to provide. Memory that
// a call must not read before it wrote it is full of NaN.
#pragma once

#include <cstdint>
#include <vector>

#include "flashring/buffer.hpp"
#include "support/tiles.hpp"

namespace flashring::test {

/// Copies of everything that a side of a block call has.
class DeviceArrays {
 public:
  /// Takes the states as they are on the host.
  DeviceArrays(const Backend &backend, TileArrays &host);

  /// The identity, by the device itself, over NaN.
  void reset(const TileShape &shape);
  /// The states back into those of the host. Waits.
  void fetch();
  TileSide side();

 private:
  const Backend *backend_;
  TileArrays *host_;
  AlignedBuffer tiles_, payload_, log_weights_, columns_, state_;
};

/// Words with a bit for each pair of tiles that is not skipped.
using Kept = std::vector<std::uint64_t>;

/// What a block call does beside its shape.
struct BlockWork {
  PairPattern pattern = PairPattern::rectangle;
  Sides sides = Sides::both;
  Kept kept;                ///< empty: no pair is skipped
  int calls = 1;            ///< the same call again, without a reset
  bool fresh = true;        ///< states are reset on the device; otherwise those of the host are added to
  Kept *touched = nullptr;  ///< takes the bits of pairs that the rule notes, of fewer than 65 visiting tiles
};

/// Runs it on copies of both sides, one copy where they are one object, and brings the states back.
void evaluate_block(const Backend &backend, const TileShape &shape, const BlockWork &work, TileArrays &own,
                    TileArrays &visiting);

}  // namespace flashring::test

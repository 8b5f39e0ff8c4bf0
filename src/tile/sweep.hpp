// Sweep: the threads of one rank work through the tile pairs of one visit.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "flashring/ring.hpp"
#include "flashring/tile.hpp"
#include "flashring/tile_block.hpp"

namespace flashring {

/// Work of one visit: sides with all their tiles, where the backend reads them, and the pairs.
struct SweepWork {
  const TileShape &shape;
  TileSide own;
  TileSide visiting;
  const PairList &pairs;
  bool host_points = false;             ///< payloads are the host's, all else a device's: they are sent there in parts
  const std::uint64_t *kept = nullptr;  ///< of a device, which finds the pairs itself: those of `pairs`, or null
  std::uint64_t *touched = nullptr;     ///< the step's TileBits, to be set, where the backend writes them; or null
};

/// What was evaluated: pairs of points and of tiles; and pairs of tiles that were left out.
struct SweepCount {
  double pairs = 0;
  double tile_pairs = 0;
  double skipped = 0;
};

/// Evaluates pairs on `threads` threads. States of a tile row accept what pairs give in the order of the list (a ticket
/// per tile row), so the bits do not depend on threads or timing. On a device one call is queued for all pairs.
class Sweep {
 public:
  /// `part_bytes`: as in RingOptions.
  Sweep(const Backend &backend, int threads, std::size_t part_bytes = RingOptions{}.part_bytes);
  ~Sweep();

  /// Whether `reserve` would allocate: the same on every rank that asked for the same. `host_tiles`: most tiles of a
  /// side whose points are the host's while all else is a device's, 0 where there is none.
  bool lacks(const TileShape &shape, std::size_t host_tiles) const;
  /// Memory that work of this shape takes beside its arrays. Throws Error where there is none.
  void reserve(const TileShape &shape, std::size_t host_tiles);
  /// Gives that memory back.
  void clear();
  /// `poll` is called between tiles by the calling thread (never on a device); what it throws comes out when all pairs
  /// are done.
  SweepCount run(const SweepWork &work, const std::function<void()> &poll);
  /// Of points, between host and device so far.
  std::size_t bytes_copied() const { return bytes_copied_; }

 private:
  struct Worker;
  class Tickets;
  SweepCount queue(const SweepWork &work);
  void queue_sequence(const SweepWork &work, int sequence);
  std::size_t part_payload(const TileShape &shape, std::size_t host_tiles) const;
  /// Of some tiles, on the device.
  const std::byte *payload_of(const SweepWork &work, const TileSide &side, std::size_t begin, std::size_t tiles,
                              AlignedBuffer &buffer);
  void work_through(const SweepWork &work, Tickets &tickets, Worker &worker, const std::function<void()> *poll);

  const Backend &backend_;
  int threads_;
  std::size_t part_bytes_;
  std::size_t bytes_copied_ = 0;
  AlignedBuffer own_part_, visiting_part_;  // payloads of some tiles of the host, on the device
  std::vector<std::unique_ptr<Worker>> workers_;
};

}  // namespace flashring

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
};

/// Evaluates pairs on `threads` threads. States of a tile row accept what pairs give in the order of the list (a ticket
/// per tile row), so the bits do not depend on threads or timing. On a device one call is queued for all pairs.
class Sweep {
 public:
  Sweep(const Backend &backend, int threads);
  ~Sweep();

  /// Whether `reserve` would allocate: the same on every rank that asked for the same shapes.
  bool lacks(const TileShape &shape) const;
  /// Memory that work of this shape takes beside its arrays. Throws Error where there is none.
  void reserve(const TileShape &shape);
  /// `poll` is called between tiles by the calling thread (never on a device); what it throws comes out when all pairs
  /// are done. Returns the pairs of points evaluated.
  double run(const SweepWork &work, const std::function<void()> &poll);

 private:
  struct Worker;
  class Tickets;
  double queue(const SweepWork &work);
  void work_through(const SweepWork &work, Tickets &tickets, Worker &worker, const std::function<void()> *poll);

  const Backend &backend_;
  int threads_;
  std::vector<std::unique_ptr<Worker>> workers_;
};

}  // namespace flashring

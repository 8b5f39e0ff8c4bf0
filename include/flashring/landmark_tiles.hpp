// LandmarkTiles: a few points that every rank has, in tiles, and the products of a rank's rows with them.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "flashring/summation.hpp"
#include "flashring/tile_block.hpp"

namespace flashring {

class Sweep;

/// Products with K(own rows, landmarks) of one rank: nothing is sent, and nothing of the size of that matrix is stored.
/// Nothing here is collective; who calls it on many ranks lets them agree on what went wrong.
class LandmarkTiles {
 public:
  /// `points`: (landmarks, point_numbers) row-major as TileBlock::unpack gives them, at least one. shape.precision is
  /// fp64. `memory`: where the points of the own rows are. Throws Error where there is no memory.
  LandmarkTiles(const Backend &backend, const TileShape &shape, std::span<const double> points,
                const RingOptions &options, PointsMemory memory = PointsMemory::device);
  ~LandmarkTiles();
  LandmarkTiles(const LandmarkTiles &) = delete;
  LandmarkTiles &operator=(const LandmarkTiles &) = delete;

  std::int64_t count() const { return landmarks_.local_rows(); }

  /// y = diag(left) K(own, landmarks) diag(right) x, x (landmarks, columns), y and left of the rows of `own`, which is
  /// packed in the precision of the request and loses its states. The bits depend neither on threads nor on how rows
  /// are spread over ranks. Throws Error.
  PassReport apply(TileBlock &own, const SumRequest &request);
  /// y = diag(left) K(landmarks, own) diag(right) x: x (own rows, columns) and right of `own`, y (landmarks, columns)
  /// and left of the landmarks. A sum over these own rows alone.
  PassReport apply_transpose(TileBlock &own, const SumRequest &request);
  /// y = diag(left) K(landmarks, landmarks) diag(right) x.
  PassReport apply_among(const SumRequest &request);

 private:
  TileShape shape(const SumRequest &request) const;
  PassReport run(TileBlock &receiving, TileBlock &visiting, const SumRequest &request);
  double sweep(const TileShape &shape, TileBlock &receiving, TileBlock &visiting, const SumRequest &request);

  const Backend &backend_;
  TileShape shape_;
  TileBlock landmarks_;
  std::unique_ptr<Sweep> sweep_;
};

}  // namespace flashring

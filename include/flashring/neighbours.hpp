// The nearest neighbours of every point, exact, by one streaming pass.
#pragma once

#include <cstdint>
#include <vector>

#include "flashring/plan.hpp"
#include "flashring/points.hpp"
#include "flashring/ring.hpp"

namespace flashring {

/// Of this rank's rows, nearest first; at equal distance the lower row of the points comes first.
struct Neighbours {
  int k = 0;
  std::vector<double> distances;   // (rows, k) Euclidean, in the unit of the points
  std::vector<std::int64_t> rows;  // (rows, k) global rows of the points
  PassReport report;
};

/// The k nearest other points of every point, 1 <= k < N, k <= max_columns: a point is no neighbour of itself, and one
/// that has the same coordinates is, at distance 0. docs/mathematics.md, "Nearest neighbours".
///
/// Distances are sums of squared differences of features in options.precision, fp64 or fp32 (in which the mean of all
/// points is taken off first); in fp64 the bits do not depend on ranks, threads or partition. Of the options those that
/// name backend, transport, precision, threads and the memory of points count; there is no pair function. Where the
/// square of a distance is below the smallest normal number of the precision (distances below 1e-154, 1e-19 in fp32)
/// the distance is 0.
///
/// Throws Error, on every rank: k out of range; a precision or backend that does not do it; a square of a distance
/// beyond the precision. Cost: N^2/2 pairs of points, shared by the ranks; memory as plan_neighbours says. Collective.
Neighbours nearest_neighbours(const Communicator &communicator, const OperatorOptions &options, PointBlock points,
                              int k);

/// The k nearest of `points` to every query, 1 <= k <= N: a query that is one of the points finds it, at distance 0.
/// Queries lie on the ranks in any way, with the features of the points. Cost: M N pairs of points for M queries.
Neighbours nearest_points(const Communicator &communicator, const OperatorOptions &options, PointBlock queries,
                          PointBlock points, int k);

/// Distance to the k-th neighbour, the bandwidth of a self-tuned kernel: (rows).
std::vector<double> knn_distance(const Neighbours &neighbours);

/// How points came to their lengths or covariances.
struct ScaleSearch {
  bool made = false;        ///< by a search for neighbours; otherwise they were there, or are not needed
  std::int64_t copies = 0;  ///< points with as many neighbours in the same place, whose own would be 0
  PassReport report;        ///< of the search
};

/// Where the pair function of the options reads a length of every point and `points` have none: the distance to the
/// neighbour options.knn, exact; 0 becomes the smallest positive length. Where it reads a covariance: that of the point
/// and its options.knn nearest neighbours, at least d, with a hundredth of the mean variance added to every variance
/// (src/operator/local_covariance.cpp); 0 becomes the smallest positive trace, the same in all directions. One pass,
/// and a second copy of the points for its time. Nothing is done to points that have lengths or covariances, or where
/// none are read. Collective.
ScaleSearch tune_point_scales(const Communicator &communicator, const OperatorOptions &options, PointBlock &points);

/// The same at new points, of points with such lengths: (query rows, scale_numbers). A query at the place of a point
/// counts as that point, so that it has its length. One pass of M N pairs. Collective.
std::vector<double> tuned_scales(const Communicator &communicator, const OperatorOptions &options,
                                 const PointBlock &queries, const PointBlock &points);

/// Of the distances to the k-th neighbour of all rows. Collective.
struct NeighbourSummary {
  std::int64_t rows = 0;
  double least = 0, median = 0, largest = 0;  ///< of an even number of rows the lower median
  std::int64_t duplicates = 0;                ///< rows with a neighbour at distance 0
};
NeighbourSummary summarise(const Communicator &communicator, const Neighbours &neighbours);

/// What nearest_neighbours takes of memory, or nearest_points for `queries` > 0 of them. Phases: reading, searching,
/// listing. Collective. Throws Error.
RunPlan plan_neighbours(const Communicator &communicator, const OperatorOptions &options, PointShape shape,
                        std::int64_t queries, int k);

/// What tune_point_scales takes, the points beside it counted. Collective.
PlanPhase tuning_phase(const Communicator &communicator, const OperatorOptions &options, PointShape shape);

/// Seconds of that pass, from some milliseconds of its tiles. Collective.
double measure_neighbours(const Communicator &communicator, const OperatorOptions &options, PointShape shape,
                          std::int64_t queries, int k);

}  // namespace flashring

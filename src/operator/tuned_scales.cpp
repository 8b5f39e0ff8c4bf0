// Lengths of points for self-tuned kernels: the distance to the k-th neighbour, a point itself left out.
//
// Among the points one pass of row rule top_k leaves a point itself out by its row, and its copies count, at distance
// 0. New points have no row: of k + 1 neighbours a first one at distance 0 is taken for the point itself, so that a new
// point at the place of an old one has its length.
#include <algorithm>
#include <cmath>

#include "flashring/check.hpp"
#include "flashring/neighbours.hpp"

namespace flashring {
namespace {

/// Distances are found in fp64, whatever the precision of products.
OperatorOptions in_fp64(OperatorOptions options) {
  options.precision = Precision::fp64;
  return options;
}

}  // namespace

std::int64_t tune_point_scales(const Communicator &communicator, const OperatorOptions &options, PointBlock &points) {
  if (traits(options.pair.kind).scalars == 0) return 0;
  if (communicator.max(points.point_scales().empty() ? 0.0 : 1.0) > 0) return 0;
  std::vector<double> scales = knn_distance(nearest_neighbours(communicator, in_fp64(options), points, options.knn));
  const std::int64_t zeros = replace_zero_scales(communicator, points.partition(), scales);
  communicator.agree([&] { points.set_point_scales(std::move(scales)); });
  return zeros;
}

std::vector<double> tuned_scales(const Communicator &communicator, const OperatorOptions &options,
                                 const PointBlock &queries, const PointBlock &points) {
  const std::span<const double> known = points.point_scales();
  const double least = communicator.min(known.empty() ? HUGE_VAL : *std::min_element(known.begin(), known.end()));
  const Neighbours found = nearest_points(communicator, in_fp64(options), queries, points, options.knn + 1);
  const auto places = static_cast<std::size_t>(found.k);
  std::vector<double> scales;
  for (std::size_t at = 0; at < found.distances.size(); at += places) {
    const bool itself = found.distances[at] == 0;
    const double distance = found.distances[at + places - (itself ? 1 : 2)];
    scales.push_back(distance > 0 ? distance : least);
  }
  return scales;
}

}  // namespace flashring

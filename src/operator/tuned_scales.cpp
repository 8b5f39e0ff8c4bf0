// Lengths of points for self-tuned kernels: the distance to the k-th neighbour, a point itself left out; covariances:
// those of the k neighbours and the point.
//
// Among the points one pass of row rule top_k leaves a point itself out by its row, and its copies count, at distance
// 0. New points have no row: of k + 1 neighbours a first one at distance 0 is taken for the point itself, so that a new
// point at the place of an old one has its length.
#include <algorithm>
#include <cmath>

#include "flashring/check.hpp"
#include "flashring/neighbours.hpp"
#include "operator/local_covariance.hpp"

namespace flashring {
namespace {

/// Distances are found in fp64, whatever the precision of products.
OperatorOptions in_fp64(OperatorOptions options) {
  options.precision = Precision::fp64;
  return options;
}

double trace_of(const double *triangle, int features) {
  double trace = 0;
  for (int k = 1; k <= features; ++k) trace += triangle[covariance_numbers(k) - 1];
  return trace;
}

/// Smallest positive trace of all ranks' covariances. Throws Error, on every rank, where there is none. Collective.
double least_trace(const Communicator &communicator, int features, std::span<const double> triangles) {
  const auto numbers = static_cast<std::size_t>(covariance_numbers(features));
  double least = HUGE_VAL;
  for (std::size_t at = 0; at < triangles.size(); at += numbers)
    if (const double trace = trace_of(triangles.data() + at, features); trace > 0) least = std::min(least, trace);
  least = communicator.min(least);
  communicator.agree([&] {
    FLASHRING_CHECK(std::isfinite(least),
                    "every point has as many copies as neighbours were asked for, so that all covariances are 0; take "
                    "more neighbours, or drop copies");
  });
  return least;
}

/// Covariances that are 0 become a multiple of the unit matrix with that trace. Returns how many on all ranks.
/// Collective.
std::int64_t replace_zeros(const Communicator &communicator, int features, double trace,
                           std::vector<double> &triangles) {
  const auto numbers = static_cast<std::size_t>(covariance_numbers(features));
  std::int64_t zeros = 0;
  for (std::size_t at = 0; at < triangles.size(); at += numbers) {
    if (trace_of(triangles.data() + at, features) > 0) continue;
    for (int k = 1; k <= features; ++k)
      triangles[at + static_cast<std::size_t>(covariance_numbers(k)) - 1] = trace / features;
    ++zeros;
  }
  return communicator.sum(zeros);
}

}  // namespace

ScaleSearch tune_point_scales(const Communicator &communicator, const OperatorOptions &options, PointBlock &points) {
  const PointScale kind = point_scale(options.pair.kind);
  if (kind == PointScale::none || communicator.max(static_cast<double>(points.point_scale())) > 0) return {};
  if (kind == PointScale::covariance) communicator.agree([&] { check_neighbourhood(options.knn, points.features()); });
  const Neighbours found = nearest_neighbours(communicator, in_fp64(options), points, options.knn);
  std::vector<double> scales;
  std::int64_t zeros = 0;
  if (kind == PointScale::length) {
    scales = knn_distance(found);
    zeros = replace_zero_scales(communicator, points.partition(), scales);
  } else {
    scales = local_covariances(communicator, points, points, found, options.knn);
    zeros =
        replace_zeros(communicator, points.features(), least_trace(communicator, points.features(), scales), scales);
  }
  communicator.agree([&] { points.set_point_scales(std::move(scales), kind); });
  return {true, zeros, found.report};
}

std::vector<double> tuned_scales(const Communicator &communicator, const OperatorOptions &options,
                                 const PointBlock &queries, const PointBlock &points) {
  const std::span<const double> known = points.point_scales();
  const Neighbours found = nearest_points(communicator, in_fp64(options), queries, points, options.knn + 1);
  if (point_scale(options.pair.kind) == PointScale::covariance) {
    std::vector<double> scales = local_covariances(communicator, queries, points, found, options.knn);
    replace_zeros(communicator, points.features(), least_trace(communicator, points.features(), known), scales);
    return scales;
  }
  const double least = communicator.min(known.empty() ? HUGE_VAL : *std::min_element(known.begin(), known.end()));
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

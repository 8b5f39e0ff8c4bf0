// Nearest neighbours by one pass over all pairs.
//
//   d_i1 <= d_i2 <= ... <= d_ik: the first k of (|x_i - x_j|, j), j != i
//
//   1. Points as they are (fp32: less their mean) into tiles.
//   2. One pass of row rule top_k; among points themselves each pair of tiles serves both its sides.
//   3. Lists of squares become distances and rows, row by row.
//
// Cost: N^2/2 pairs of points of 2d operations and two comparisons; blocks of N/P d numbers go round the ring, and 2k
// numbers for each row come home P/2 times. Memory: N/P (d + 4k) numbers and those of the blocks that visit.
#include "flashring/neighbours.hpp"

#include <algorithm>
#include <bit>
#include <limits>

#include "base/threads.hpp"
#include "flashring/check.hpp"
#include "operator/common_tiles.hpp"
#include "operator/neighbour_shape.hpp"

namespace flashring {
namespace {

void check_request(const OperatorOptions &options, const Backend &backend, const TileShape &shape, std::int64_t most) {
  const int k = shape.columns;
  FLASHRING_CHECK(k >= 1 && k <= max_columns, "k = ", k, " nearest neighbours; 1 to ", max_columns, " fit one pass");
  FLASHRING_CHECK(k <= most, "k = ", k, " nearest neighbours: there are ", most,
                  " to choose from; give 1 <= k <= ", most);
  FLASHRING_CHECK(options.precision != Precision::reduced,
                  "-precision reduced: distances of neighbours need fp64 or fp32");
  FLASHRING_CHECK(backend.supports(shape), "-backend ", backend.name,
                  " does not look for neighbours; -backend simd does");
}

/// The answers of the states, (rows, 2 k) column-major, as lists of neighbours.
Neighbours list_rows(const std::vector<double> &answers, const RowPartition &partition, int rank, int k) {
  Neighbours found;
  found.k = k;
  const auto rows = static_cast<std::size_t>(partition.local_rows(rank));
  const auto places = static_cast<std::size_t>(k);
  found.distances.resize(rows * places);
  found.rows.resize(rows * places);
  for (std::size_t i = 0; i < rows; ++i)
    for (std::size_t n = 0; n < places; ++n) {
      found.distances[i * places + n] = answers[n * rows + i];
      found.rows[i * places + n] = static_cast<std::int64_t>(answers[(places + n) * rows + i]);
      FLASHRING_CHECK(found.rows[i * places + n] >= 0, "row ",
                      partition.global_row(rank, LocalRow{static_cast<std::int64_t>(i)}).value, " has ", n,
                      " neighbours whose squared distance is a number of this precision; rescale the points, remove ",
                      "outliers, or use -precision fp64");
    }
  return found;
}

/// `queries` may be null: the points themselves.
Neighbours search(const Communicator &communicator, OperatorOptions options, PointBlock *queries, PointBlock &points,
                  int k) {
  options.threads = choose_threads(options.threads, communicator);
  const TilesOptions how = tiles_options(options);
  const Backend &backend = checked_backend(communicator, how);
  const TileShape shape = neighbour_shape(options.precision, points.features(), k, queries == nullptr);
  communicator.agree([&] {
    check_request(options, backend, shape, points.partition().rows() - (queries == nullptr ? 1 : 0));
    FLASHRING_CHECK(queries == nullptr || queries->features() == points.features(), "queries have ",
                    queries == nullptr ? 0 : queries->features(), " features and points ", points.features(),
                    "; they must agree");
  });
  const std::unique_ptr<Transport> transport = common_transport(communicator, how, backend.device);
  std::vector<double> mean;
  if (options.precision != Precision::fp64) mean = global_mean(communicator, points);
  const RowPartition partition = queries == nullptr ? points.partition() : queries->partition();
  std::vector<double> answers;  // (rows, 2 k)
  PassReport report;
  {
    TileBlock own;
    TileBlock sources;
    communicator.agree([&] {  // a rank without room says so to all
      if (queries != nullptr) own = TileBlock(backend, shape, std::move(*queries), mean, how.points);
      sources = TileBlock(backend, shape, std::move(points), mean, how.points);
    });
    TileBlock &receiving = queries == nullptr ? sources : own;
    report = Ring(communicator, *transport, backend, how.ring)
                 .run(shape, queries == nullptr ? Sides::both : Sides::own, receiving, sources);
    communicator.agree([&] {
      answers.resize(static_cast<std::size_t>(receiving.local_rows()) * 2 * static_cast<std::size_t>(k));
      receiving.finish(RowKind::top_k, k, {answers.data(), receiving.local_rows(), 2 * k});
    });
  }
  Neighbours found;
  communicator.agree([&] { found = list_rows(answers, partition, communicator.rank(), k); });
  found.report = report;
  return found;
}

/// The value that `rank` others of all ranks do not exceed: by bisection over the bits of a number that is not
/// negative, which are ordered as the numbers are.
double order_statistic(const Communicator &communicator, const std::vector<double> &values, std::int64_t rank) {
  std::uint64_t low = 0;
  std::uint64_t high = std::bit_cast<std::uint64_t>(std::numeric_limits<double>::max());
  while (low < high) {
    const std::uint64_t middle = low + (high - low) / 2;
    const auto bound = std::bit_cast<double>(middle);
    const std::int64_t below =
        std::count_if(values.begin(), values.end(), [bound](double value) { return value <= bound; });
    if (communicator.sum(below) > rank)
      high = middle;
    else
      low = middle + 1;
  }
  return std::bit_cast<double>(low);
}

}  // namespace

PairFunction distance_pair() {
  PairFunction pair{PairKind::laplacian, {1}};
  pair.parameters[0] = feature_scale(pair);
  FLASHRING_REQUIRE(feature_scale(pair) == 1, "features would be multiplied with ", feature_scale(pair));
  return pair;
}

TileShape neighbour_shape(Precision precision, int features, int k, bool exclude_self) {
  return {distance_pair(), RowKind::top_k, 0, precision, features, k, {false, exclude_self}};
}

Neighbours nearest_neighbours(const Communicator &communicator, const OperatorOptions &options, PointBlock points,
                              int k) {
  return search(communicator, options, nullptr, points, k);
}

Neighbours nearest_points(const Communicator &communicator, const OperatorOptions &options, PointBlock queries,
                          PointBlock points, int k) {
  return search(communicator, options, &queries, points, k);
}

std::vector<double> knn_distance(const Neighbours &neighbours) {
  const auto k = static_cast<std::size_t>(neighbours.k);
  std::vector<double> last;
  last.reserve(neighbours.distances.size() / k);
  for (std::size_t at = k - 1; at < neighbours.distances.size(); at += k) last.push_back(neighbours.distances[at]);
  return last;
}

NeighbourSummary summarise(const Communicator &communicator, const Neighbours &neighbours) {
  const std::vector<double> last = knn_distance(neighbours);
  NeighbourSummary summary;
  summary.rows = communicator.sum(std::ssize(last));
  std::int64_t duplicates = 0;
  for (std::size_t at = 0; at < neighbours.distances.size(); at += static_cast<std::size_t>(neighbours.k))
    duplicates += neighbours.distances[at] == 0 ? 1 : 0;
  summary.duplicates = communicator.sum(duplicates);
  if (summary.rows == 0) return summary;
  summary.least = order_statistic(communicator, last, 0);
  summary.median = order_statistic(communicator, last, (summary.rows - 1) / 2);
  summary.largest = order_statistic(communicator, last, summary.rows - 1);
  return summary;
}

}  // namespace flashring

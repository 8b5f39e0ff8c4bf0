// Covariances of neighbourhoods: of a point x and its k nearest neighbours x_j, about their mean,
//
//   S = 1/k (sum_j u_j u_j' - m m' / (k + 1)),  u_j = x_j - x, m = sum_j u_j,  C = S + ridge tr(S)/d I
//
// Differences from the point itself: sums lose nothing to the distance from the origin. Neighbours are summed as the
// points come by, in the order of their rows on contiguous ranges, so bits do not depend on ranks.
//
// A neighbourhood of a set of dimension below d has no variance across it. A pseudo-inverse would let distances across
// count nothing, and points of two sheets that lie above each other would be one; the ridge lets them count up to
// 10 (d/m)^(1/2) times as much as those along a set of dimension m.
#include "operator/local_covariance.hpp"

#include <algorithm>
#include <utility>

#include "flashring/check.hpp"
#include "points/point_parts.hpp"

namespace flashring {
namespace {

/// Which centre wants which row: (row, local centre), ordered.
using Wanted = std::vector<std::pair<std::int64_t, std::size_t>>;

Wanted wanted_rows(const Neighbours &found, int k) {
  Wanted wanted;
  const auto places = static_cast<std::size_t>(found.k);
  const std::size_t centres = found.rows.size() / places;
  wanted.reserve(centres * places);
  for (std::size_t i = 0; i < centres; ++i) {
    // A centre that is one of the points adds nothing to its sums.
    const bool itself = found.k > k && found.distances[i * places] == 0;
    const auto count = static_cast<std::size_t>(itself ? k + 1 : k);
    for (std::size_t n = 0; n < count; ++n) wanted.emplace_back(found.rows[i * places + n], i);
  }
  std::sort(wanted.begin(), wanted.end());
  return wanted;
}

/// The sums of one centre: of u, then of u u'.
struct Sums {
  double *first;   // (d)
  double *second;  // (d (d + 1) / 2)
  void add(std::span<const double> y, const double *x, std::vector<double> &u) const {
    std::size_t at = 0;
    for (std::size_t k = 0; k < y.size(); ++k) {
      u[k] = y[k] - x[k];
      first[k] += u[k];
      for (std::size_t l = 0; l <= k; ++l) second[at++] += u[k] * u[l];
    }
  }
  /// `second` becomes the covariance.
  void finish(std::size_t d, int k, double ridge) const {
    double trace = 0;
    for (std::size_t a = 0, at = 0; a < d; ++a) {
      for (std::size_t b = 0; b <= a; ++b, ++at) second[at] = (second[at] - first[a] * first[b] / (k + 1)) / k;
      trace += second[at - 1];
    }
    for (std::size_t a = 0; a < d; ++a) second[a * (a + 3) / 2] += ridge * trace / static_cast<double>(d);
  }
};

}  // namespace

void check_neighbourhood(int k, int features) {
  FLASHRING_CHECK(features <= most_covariance_features, "points have ", features,
                  " features, and covariances of at most ", most_covariance_features,
                  " are taken; project the points onto fewer");
  FLASHRING_CHECK(k >= features, "-knn ", k, ": the covariance of ", k + 1, " points has rank ", k,
                  " at most, and points have ", features, " features; give -knn ", features, " or more");
}

std::vector<double> local_covariances(const Communicator &communicator, const PointBlock &centres,
                                      const PointBlock &points, const Neighbours &found, int k) {
  const auto d = static_cast<std::size_t>(centres.features());
  const auto numbers = static_cast<std::size_t>(covariance_numbers(centres.features()));
  const auto rows = static_cast<std::size_t>(centres.local_rows());
  Wanted wanted;
  std::vector<double> first(rows * d, 0.0);
  std::vector<double> second(rows * numbers, 0.0);
  std::vector<double> u(d);
  communicator.agree([&] { wanted = wanted_rows(found, k); });
  const auto sums_of = [&](std::size_t i) { return Sums{first.data() + i * d, second.data() + i * numbers}; };
  std::int64_t begin = 0;
  for_each_part(communicator, points, FeatureMap(points.features()), [&](std::span<const double> part) {
    const std::int64_t end = begin + std::ssize(part) / points.features();
    std::size_t at = 0;
    for (const std::int64_t row : rows_in_order(points.partition(), begin, end)) {
      auto next = std::lower_bound(wanted.begin(), wanted.end(), std::pair(row, std::size_t{0}));
      for (; next != wanted.end() && next->first == row; ++next)
        sums_of(next->second).add(part.subspan(at, d), centres.rows().data() + next->second * d, u);
      at += d;
    }
    begin = end;
  });
  for (std::size_t i = 0; i < rows; ++i) sums_of(i).finish(d, k, covariance_ridge);
  return second;
}

}  // namespace flashring

// Covariance of features: C = 1/N sum_i (y_i - m)(y_i - m)', m their mean. Every rank sees all points, a part at a
// time, and sums its own rows of C: the order of a sum is that of the points, whatever the number of ranks, so that a
// map which is made of C, and the fingerprint of points that it maps, do not depend on it.
#include <algorithm>
#include <limits>

#include "points/point_parts.hpp"

namespace flashring {
namespace {

void add_to(std::vector<double> &sums, std::vector<double> &part) {
  for (std::size_t k = 0; k < sums.size(); ++k) sums[k] += part[k];
  std::fill(part.begin(), part.end(), 0.0);
}

/// Mean of every feature, as the first point and what is to be added to it: that is exactly 0 for a constant feature.
struct Mean {
  std::vector<double> first, beyond;  // (d')
};

Mean mean_of(const Communicator &communicator, const PointBlock &points, const FeatureMap &map) {
  const auto d = static_cast<std::size_t>(map.features());
  Mean mean{{}, std::vector<double>(d, 0.0)};
  std::vector<double> sums(d, 0.0);
  for_each_part(communicator, points, map, [&](std::span<const double> part) {
    if (mean.first.empty()) mean.first.assign(part.begin(), part.begin() + static_cast<std::ptrdiff_t>(d));
    for (std::size_t at = 0; at < part.size(); ++at) sums[at % d] += part[at] - mean.first[at % d];
    add_to(mean.beyond, sums);
  });
  for (double &value : mean.beyond) value /= static_cast<double>(points.partition().rows());
  return mean;
}

}  // namespace

FeatureCovariance feature_covariance(const Communicator &communicator, const PointBlock &points,
                                     const FeatureMap &map) {
  const auto d = static_cast<std::size_t>(map.features());
  const auto ranks = static_cast<std::size_t>(communicator.size());
  const Mean mean = mean_of(communicator, points, map);
  FeatureCovariance result{std::vector<double>(d * d, 0.0)};
  std::vector<double> sums(d * d, 0.0);
  std::vector<double> y(d);
  for_each_part(communicator, points, map, [&](std::span<const double> part) {
    for (std::size_t at = 0; at < part.size(); at += d) {
      for (std::size_t k = 0; k < d; ++k) y[k] = part[at + k] - mean.first[k] - mean.beyond[k];
      for (auto k = static_cast<std::size_t>(communicator.rank()); k < d; k += ranks)
        for (std::size_t l = 0; l <= k; ++l) sums[k * d + l] += y[k] * y[l];
    }
    add_to(result.matrix, sums);
  });
  communicator.sum(std::span<double>(result.matrix));  // entries of other ranks are 0
  const auto rows = static_cast<double>(points.partition().rows());
  for (double &entry : result.matrix) entry /= rows;
  for (std::size_t k = 0; k < d; ++k)
    for (std::size_t l = 0; l < k; ++l) result.matrix[l * d + k] = result.matrix[k * d + l];
  const auto step = static_cast<double>(part_rows(map.features()));
  result.error = (std::min(rows, step) + rows / step) * std::numeric_limits<double>::epsilon();
  return result;
}

}  // namespace flashring

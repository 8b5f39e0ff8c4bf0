// What becomes of the coordinates of one point: angles to points of circles, then U^-T for a covariance U^T U.
#include "flashring/feature_map.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numbers>

#include "flashring/check.hpp"

namespace flashring {
namespace {

std::size_t index_of(int row, int column, int d) {
  return static_cast<std::size_t>(row) * static_cast<std::size_t>(d) + static_cast<std::size_t>(column);
}

void check_covariance(const std::vector<double> &c, int d) {
  FLASHRING_CHECK(c.size() == index_of(d, 0, d), "covariance: ", c.size(), " numbers given for ", d, " features; give ",
                  d, " x ", d);
  constexpr double single_precision = 1e-6;  // what sums in fp32 leave of symmetry
  for (int k = 0; k < d; ++k)
    for (int l = 0; l <= k; ++l) {
      const double entry = c[index_of(k, l, d)];
      const double mirror = c[index_of(l, k, d)];
      FLASHRING_CHECK(std::isfinite(entry) && std::isfinite(mirror), "covariance: entry (", k, ", ", l,
                      ") or its mirror image is not finite");
      const double size = std::sqrt(std::abs(c[index_of(k, k, d)])) * std::sqrt(std::abs(c[index_of(l, l, d)]));
      FLASHRING_CHECK(std::abs(entry - mirror) <= single_precision * size, "covariance: entry (", k, ", ", l,
                      "), counted from 0, is ", entry, " and entry (", l, ", ", k, ") is ", mirror,
                      "; a covariance is symmetric");
    }
}

}  // namespace

void FeatureMap::set_circles(std::vector<double> periods, std::vector<double> radii) {
  const auto d = static_cast<std::size_t>(given_);
  FLASHRING_REQUIRE(identity(), "circles come first");
  FLASHRING_CHECK(periods.size() == d && radii.size() == d, periods.size(), " periods and ", radii.size(),
                  " radii given for ", given_, " coordinates (d); give one for all, or one for each");
  std::int64_t features = 0;
  for (std::size_t k = 0; k < d; ++k) {
    FLASHRING_CHECK(std::isfinite(periods[k]) && periods[k] >= 0, "the period of coordinate ", k,
                    " (counted from 0) is ", periods[k],
                    "; periods are positive finite numbers, or 0 for a coordinate that is not periodic");
    FLASHRING_CHECK(periods[k] == 0 || (std::isfinite(radii[k]) && radii[k] > 0), "the radius of coordinate ", k,
                    " (counted from 0) is ", radii[k], ", no positive finite number");
    features += periods[k] > 0 ? 2 : 1;
  }
  FLASHRING_CHECK(features <= std::numeric_limits<int>::max(), features, " features are too many");
  features_ = static_cast<int>(features);
  periods_ = std::move(periods);
  radii_ = std::move(radii);
}

void FeatureMap::set_factor(std::vector<double> factor) {
  FLASHRING_CHECK(factor_.empty() && factor.size() == index_of(features_, 0, features_),
                  "factor of a covariance: ", factor.size(), " numbers given for ", features_, " features");
  bool good = std::all_of(factor.begin(), factor.end(), [](double entry) { return std::isfinite(entry); });
  for (int k = 0; k < features_; ++k) good = good && factor[index_of(k, k, features_)] > 0;
  FLASHRING_CHECK(good, "factor of a covariance: its diagonal is not positive, or an entry not finite");
  factor_ = std::move(factor);
}

void FeatureMap::apply(const double *coordinates, double *features) const {
  if (periods_.empty()) std::copy_n(coordinates, given_, features);
  for (std::size_t k = 0, at = 0; k < periods_.size(); ++k) {
    if (periods_[k] == 0) {
      features[at++] = coordinates[k];
      continue;
    }
    // The remainder is exact: coordinates many periods away lose nothing.
    const double angle = std::remainder(coordinates[k], periods_[k]) * (2 * std::numbers::pi / periods_[k]);
    features[at++] = radii_[k] * std::cos(angle);
    features[at++] = radii_[k] * std::sin(angle);
  }
  if (factor_.empty()) return;
  for (int k = 0; k < features_; ++k) {  // by rows of U, which follow each other in memory
    const double *row = factor_.data() + index_of(k, 0, features_);
    const double y = features[k] /= row[k];
    for (int l = k + 1; l < features_; ++l) features[l] -= row[l] * y;
  }
}

std::vector<double> cholesky_factor(std::vector<double> covariance, int d, double error) {
  check_covariance(covariance, d);
  std::vector<double> &u = covariance;  // the upper triangle becomes U, row after row
  std::vector<double> variances;
  for (int k = 0; k < d; ++k) variances.push_back(u[index_of(k, k, d)]);
  for (int k = 0; k < d; ++k) {
    const double pivot = u[index_of(k, k, d)];
    const double variance = variances[static_cast<std::size_t>(k)];
    FLASHRING_CHECK(pivot > (k + 1) * error * variance, "covariance: not positive definite: pivot ", k,
                    " (counted from 0) is ", pivot, " where the variance of feature ", k, " is ", variance,
                    "; a feature that is constant, or a combination of those before it, has no place here: leave it "
                    "out, or add a small number to the diagonal of a covariance in a file");
    const double root = std::sqrt(pivot);
    double *row = u.data() + index_of(k, 0, d);
    for (int l = 0; l < d; ++l) row[l] = l < k ? 0 : row[l] / root;
    for (int i = k + 1; i < d; ++i) {
      double *below = u.data() + index_of(i, 0, d);
      for (int l = i; l < d; ++l) below[l] -= row[i] * row[l];
    }
  }
  return covariance;
}

}  // namespace flashring

// Lengths of points from the mean, and how long they may be.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>

#include "flashring/check.hpp"
#include "flashring/options.hpp"
#include "flashring/points.hpp"
#include "points/inverse_covariance.hpp"

namespace flashring {

/// Squared distances are below 4e36 then, the largest fp32 number is 3e38.
constexpr double most_single_length = 1e18;
/// Below 4e280; row rule log-sum-exp takes logarithms down to -1e300.
constexpr double most_double_length = 1e140;

/// Passes with fp32 sums keep nothing of rows whose weights are all near its smallest number.
constexpr double least_single_density = 1e-30;

constexpr const char *rescale =
    "its weights are out of the range of numbers; rescale the points, take another kernel parameter";

/// |x - mean|^2; no mean where `mean` is empty.
inline double squared_norm(const PointBlock &points, std::int64_t row, std::span<const double> mean = {}) {
  const double *x = points.row(LocalRow{row});
  double norm = 0;
  for (int k = 0; k < points.features(); ++k) {
    const double value = x[k] - (mean.empty() ? 0 : mean[static_cast<std::size_t>(k)]);
    norm += value * value;
  }
  return norm;
}

/// The length that row i of the points is read by: its own, or 1 / tr(C^-1)^(1/2) of its covariance C, above which no
/// distance by it is longer than the Euclidean one.
inline double length_of_scale(const PointBlock &points, std::int64_t row) {
  const int numbers = scale_numbers(points.point_scale(), points.features());
  const double *scale = points.point_scales().data() + row * numbers;
  if (points.point_scale() == PointScale::length) return *scale;
  const std::vector<double> inverse = inverse_covariance({scale, static_cast<std::size_t>(numbers)}, points.features());
  double trace = 0;
  for (int k = 0; k < points.features(); ++k) trace += inverse[static_cast<std::size_t>(covariance_numbers(k + 1)) - 1];
  return 1 / std::sqrt(trace);
}

/// The smallest of these of this rank's rows, infinite where there are none.
inline double smallest_length(const PointBlock &points) {
  double least = HUGE_VAL;
  for (std::int64_t i = 0; points.point_scale() != PointScale::none && i < points.local_rows(); ++i)
    least = std::min(least, length_of_scale(points, i));
  return least;
}

/// Throws Error where a point of so many length scales has no squared distances in passes of that precision. `row`:
/// what it is called.
inline void check_length(double length, Precision precision, std::int64_t row) {
  const bool wide = precision == Precision::fp64;
  const double most = wide ? most_double_length : most_single_length;
  FLASHRING_CHECK(length <= most, "row ", row, " is ", length, " length scales away from the mean, more than ", most,
                  ", where -precision ", to_string(precision), " ends; ", rescale,
                  wide ? "" : ", or use -precision fp64");
}

}  // namespace flashring

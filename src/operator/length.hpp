// Lengths of points from the mean, and how long they may be.
#pragma once

#include <cmath>
#include <cstdint>
#include <span>

#include "flashring/check.hpp"
#include "flashring/options.hpp"
#include "flashring/points.hpp"

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

// The inverse of the covariance of a point.
#pragma once

#include <span>
#include <vector>

namespace flashring {

/// Lower triangle of the inverse, row after row, of a covariance given by its own. Throws Error as cholesky_factor
/// does. Cost: about d^3 products.
std::vector<double> inverse_covariance(std::span<const double> triangle, int features);

}  // namespace flashring

// C^-1 = V V' with V = U^-1, where C = U' U: U by Cholesky's elimination, its columns of V by back substitution.
#include "points/inverse_covariance.hpp"

#include "flashring/feature_map.hpp"

namespace flashring {

std::vector<double> inverse_covariance(std::span<const double> triangle, int features) {
  const auto d = static_cast<std::size_t>(features);
  std::vector<double> matrix(d * d);
  for (std::size_t k = 0, at = 0; k < d; ++k)
    for (std::size_t l = 0; l <= k; ++l) matrix[k * d + l] = matrix[l * d + k] = triangle[at++];
  const std::vector<double> u = cholesky_factor(std::move(matrix), features);
  std::vector<double> v(d * d, 0.0);  // upper triangular
  for (std::size_t l = 0; l < d; ++l)
    for (std::size_t k = l + 1; k-- > 0;) {
      double sum = k == l ? 1 : 0;
      for (std::size_t m = k + 1; m <= l; ++m) sum -= u[k * d + m] * v[m * d + l];
      v[k * d + l] = sum / u[k * d + k];
    }
  std::vector<double> inverse;
  inverse.reserve(triangle.size());
  for (std::size_t k = 0; k < d; ++k)
    for (std::size_t l = 0; l <= k; ++l) {
      double sum = 0;
      for (std::size_t m = k; m < d; ++m) sum += v[k * d + m] * v[l * d + m];
      inverse.push_back(sum);
    }
  return inverse;
}

}  // namespace flashring
